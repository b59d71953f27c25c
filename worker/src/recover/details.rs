//! Details of a lost environment, from the tags of its account and from the operator.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use freehold_tenancy::config::Residency;
use freehold_tenancy::recovery::{EnvironmentDetails, LostEnvironment, LostTenant};
use freehold_tenancy::replica::MAX_REPLICAS;
use freehold_tenancy::{Config, EnvironmentId, Region, TenantId};

use crate::account_tags;
use crate::cloud::Tags;

/// Returns the lost tenant and environment of an account. Fails with the details that are missing or invalid.
pub(super) fn lost(
    tags: &Tags,
    tenant_id: TenantId,
    id: EnvironmentId,
    given: &EnvironmentDetails,
    config: &Config,
    created_at: DateTime<Utc>,
) -> Result<(LostTenant, LostEnvironment), String> {
    let mut problems = Vec::new();
    let company_name = detail(given.company_name.clone(), tags, account_tags::COMPANY_NAME, &mut problems);
    let tier = detail(given.tier.clone(), tags, account_tags::TIER, &mut problems);
    let name = detail(given.environment.clone(), tags, account_tags::ENVIRONMENT_NAME, &mut problems);
    let home_region: Option<Region> = detail(given.home_region, tags, account_tags::HOME_REGION, &mut problems);
    let replica_regions = replica_regions(tags).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    if let Some(tier) = tier.as_ref().filter(|tier| config.tier(tier).is_none()) {
        problems.push(format!("the tier `{tier}` is not in the configuration"));
    }
    let residency = home_region.and_then(|region| config.residency_of(region)).map(|Residency { name, .. }| name);
    if let (Some(region), None) = (home_region, residency) {
        problems.push(format!("no residency in the configuration has the region {region}"));
    }
    let (Some(company_name), Some(tier), Some(name), Some(home_region), Some(residency), true) =
        (company_name, tier, name, home_region, residency, problems.is_empty())
    else {
        return Err(problems.join("; "));
    };
    let external_id = given.external_id.clone();
    let external_id =
        external_id.or_else(|| account_tags::detail(tags, account_tags::EXTERNAL_ID).and_then(|id| id.parse().ok()));
    let tenant = LostTenant { id: tenant_id, company_name, admin_email: None, tier, external_id };
    let residency = residency.clone();
    let environment = LostEnvironment { id, tenant_id, name, residency, home_region, replica_regions, created_at };
    Ok((tenant, environment))
}

/// Returns the regions of the replicas in the tag of the account, or none if there is no such tag.
fn replica_regions(tags: &Tags) -> Result<Vec<Region>, String> {
    let text = account_tags::detail(tags, account_tags::REPLICA_REGIONS).unwrap_or_default();
    let regions: Result<Vec<Region>, _> = text.split_whitespace().map(str::parse).collect();
    match regions {
        Ok(regions) if regions.len() <= MAX_REPLICAS => Ok(regions),
        Ok(_) => Err(format!("its tag {} has more than {MAX_REPLICAS} regions", account_tags::REPLICA_REGIONS)),
        Err(error) => Err(format!("its tag {} is invalid: {error}", account_tags::REPLICA_REGIONS)),
    }
}

/// Returns the given detail or that of the tag. A missing or invalid tag is a problem.
fn detail<T: FromStr>(given: Option<T>, tags: &Tags, key: &str, problems: &mut Vec<String>) -> Option<T>
where
    T::Err: Display,
{
    if given.is_some() {
        return given;
    }
    let Some(text) = account_tags::detail(tags, key) else {
        problems.push(format!("it has no tag {key}"));
        return None;
    };
    text.parse().map_err(|error| problems.push(format!("its tag {key} is invalid: {error}"))).ok()
}
