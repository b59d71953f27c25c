//! Route that lists the regions of AWS with their places and residencies, and whether environments can run there.

use axum::Json;
use axum::extract::State;
use freehold_tenancy::Region;
use freehold_tenancy::aws::resource_types;
use freehold_tenancy::config::Residency;
use freehold_tenancy::environment;
use freehold_tenancy::needed_types;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::region_rules::RegionRules;
use super::schema::enums::{NeedingStack, RegionRole};
use crate::app::App;
use crate::extract::QueryFields;
use crate::problem::ApiError;

/// Region of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AwsRegion {
    /// Code of the region.
    #[schema(example = "eu-central-1")]
    pub region: String,
    /// Place in words.
    #[schema(example = "Europe (Frankfurt)")]
    pub place: String,
    /// Residency that contains the region; `null` if none does.
    #[schema(required = true, example = "eu")]
    pub residency: Option<String>,
    /// `true` if AWS enables the region only in accounts that opt in, which Freehold does for each environment. It
    /// takes minutes to hours.
    pub opt_in_required: bool,
    /// Roles in which a new environment can use the region: `home` and `replica`, or none.
    #[schema(value_type = Vec<RegionRole>, example = json!(["home", "replica"]))]
    pub offered_as: Vec<String>,
    /// Reason why the region is not offered in each role, in a sentence; `null` if it is.
    #[schema(required = true, example = "No residency of the configuration contains the region.")]
    pub message: Option<String>,
    /// Resource types of CloudFormation that the stacks of an environment need and that exist in the region.
    #[schema(example = json!(["AWS::IAM::Role", "AWS::Lambda::Function"]))]
    pub available_types: Vec<String>,
    /// Needed resource types that do not exist in the region.
    pub missing_types: Vec<MissingResourceType>,
    /// `false` if this version of Freehold does not know the resource types of the region. It then assumes that all
    /// exist.
    pub types_known: bool,
}

/// Resource type that a stack needs, and CloudFormation lacks in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingResourceType {
    /// Name of the resource type.
    #[schema(example = "AWS::Lambda::Url")]
    pub resource_type: String,
    /// Stack that needs the resource type: `baseline`, `tenant` or `front_door`. A region is offered even if only the
    /// front door lacks a type there.
    #[schema(value_type = NeedingStack, example = "front_door")]
    pub needed_by: String,
}

/// Regions of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AwsRegionList {
    /// Regions, ordered by their codes.
    pub regions: Vec<AwsRegion>,
}

/// List the regions of AWS
///
/// All regions of the commercial partition that this version of Freehold knows, with those that the configuration
/// offers. Other partitions, such as AWS GovCloud, are not supported.
#[utoipa::path(
    get, path = "/v1/regions", operation_id = "listRegions", tag = "regions",
    params((
        "offered" = Option<bool>, Query,
        description = "`true`: only regions that are offered; `false`: only those that are not",
        example = true
    )),
    responses((status = 200, description = "Regions of AWS", body = AwsRegionList)),
)]
pub(crate) async fn list_regions(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<AwsRegionList>, ApiError> {
    let offered: Option<bool> = query.optional("offered");
    query.finish(Some(()))?;
    let rules = RegionRules::of(&app);
    let regions = Region::all().map(|region| describe(region, rules));
    let regions = regions.filter(|region| offered.is_none_or(|offered| region.offered_as.is_empty() != offered));
    Ok(Json(AwsRegionList { regions: regions.collect() }))
}

fn describe(region: Region, rules: RegionRules<'_>) -> AwsRegion {
    let residency = rules.config.residency_of(region);
    let (offered_as, message) = find_offer(region, residency, rules);
    let types = rules.types.of_region(region);
    AwsRegion {
        region: region.to_string(),
        place: region.place().to_owned(),
        residency: residency.map(|residency| residency.name.to_string()),
        opt_in_required: region.is_opt_in(),
        offered_as: offered_as.iter().map(ToString::to_string).collect(),
        message,
        available_types: types.iter().flat_map(|types| &types.available).cloned().collect(),
        missing_types: types.iter().flat_map(|types| &types.missing).map(MissingResourceType::of).collect(),
        types_known: resource_types::has_data(region),
    }
}

/// Returns the roles in which a region is offered, and the reason if these are not all roles.
fn find_offer(
    region: Region,
    residency: Option<&Residency>,
    rules: RegionRules<'_>,
) -> (&'static [environment::RegionRole], Option<String>) {
    let refusal = rules.types.refusal(region);
    let Some(residency) = residency else {
        let reason = "No residency of the configuration contains the region.";
        let more = refusal.map(|refusal| format!(" Also, {refusal}.")).unwrap_or_default();
        return (&[], Some(format!("{reason}{more}")));
    };
    if let Some(refusal) = refusal {
        return (&[], Some(format!("{refusal}.")));
    }
    let mut others = residency.regions.iter().filter(|other| **other != region);
    if others.any(|other| rules.types.refusal(*other).is_none()) {
        (environment::RegionRole::ALL, None)
    } else {
        let reason = format!(
            "The region is offered as home only, because the residency {} has no other region that is offered.",
            residency.name
        );
        (&[environment::RegionRole::Home], Some(reason))
    }
}

impl MissingResourceType {
    fn of(missing: &needed_types::MissingType) -> Self {
        Self { resource_type: missing.resource_type.clone(), needed_by: missing.stack.to_string() }
    }
}
