//! Account mappings: which AWS account belongs to which tenant. Billing reads them.

use axum::extract::State as Shared;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::{self, mappings};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::Asked;
use crate::pagination::Page;
use crate::problem::Refusal;

/// An AWS account and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountMapping {
    /// Its id.
    #[schema(example = "map_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub id: String,
    /// The AWS account: 12 digits, of which leading zeros count.
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: String,
    /// The tenant whose it is.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// What the tenant calls itself.
    #[schema(example = "Example GmbH")]
    pub company_name: String,
    /// The id that the SaaS gives the tenant.
    #[schema(required = true, example = "customer-4711")]
    pub external_id: Option<String>,
    /// The tenant's commercial plan.
    #[schema(example = "standard")]
    pub tier: String,
    /// What runs in the account.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
    /// What that is called.
    #[schema(example = "production")]
    pub environment: String,
    /// Where it runs first.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Since when it holds.
    pub valid_from: DateTime<Utc>,
    /// Until when it held; `null` while it holds.
    #[schema(required = true)]
    pub valid_to: Option<DateTime<Utc>>,
}

impl From<mappings::Mapping> for AccountMapping {
    fn from(mapping: mappings::Mapping) -> Self {
        Self {
            id: mapping.id.to_string(),
            aws_account_id: mapping.aws_account_id.into(),
            tenant_id: mapping.tenant_id.to_string(),
            company_name: mapping.company_name,
            external_id: mapping.external_id.map(String::from),
            tier: mapping.tier.into(),
            environment_id: mapping.environment_id.to_string(),
            environment: mapping.environment.into(),
            home_region: mapping.home_region.to_string(),
            valid_from: mapping.valid_from,
            valid_to: mapping.valid_to,
        }
    }
}

/// A page of account mappings, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountMappingPage {
    /// The mappings.
    pub account_mappings: Vec<AccountMapping>,
    /// Leads to the next page; `null` on the last.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// The account mappings that hold now, oldest first
#[utoipa::path(
    get,
    path = "/v1/account-mappings",
    operation_id = "listAccountMappings",
    tag = "account-mappings",
    params(
        ("page_size" = Option<i64>, Query, description = "How many at most; 50 if left out", minimum = 1, maximum = 200, example = 50),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ("tenant" = Option<String>, Query, description = "Only those of this tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
    ),
    responses((status = 200, description = "A page of account mappings", body = AccountMappingPage)),
)]
pub(crate) async fn list_account_mappings(
    Shared(app): Shared<App>,
    Extension(caller): Extension<Caller>,
    Asked(mut query): Asked,
) -> Result<Json<AccountMappingPage>, Refusal> {
    let page = Page::read("account-mappings", &mut query)?;
    let tenant = query.optional("tenant");
    query.finish(Some(()))?;
    let tenant = caller.sight.narrow(tenant)?;
    let mut mappings = db::mappings::current(&app.pool, tenant, page.after(), page.limit()).await?;
    let next_page_token = page.cut(&mut mappings, |mapping| mapping.id.as_uuid());
    let account_mappings = mappings.into_iter().map(AccountMapping::from).collect();
    Ok(Json(AccountMappingPage { account_mappings, next_page_token }))
}
