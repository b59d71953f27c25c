//! Account mappings: which AWS account belongs to which tenant. Billing reads them.

pub(crate) mod export;
pub(crate) mod format;

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::Version;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::account_mappings::{self, Snapshot};
use freehold_tenancy::{AwsAccountId, account_mapping};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::events;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{Instant, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use format::Format;

/// Names the position in the feed at which something was read.
const FEED_POSITION: HeaderName = HeaderName::from_static("freehold-feed-position");

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

impl From<account_mapping::AccountMapping> for AccountMapping {
    fn from(mapping: account_mapping::AccountMapping) -> Self {
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
    /// The position in the feed at which all pages of this list are read: without `at`, what follows it in `GET /v1/events` is
    /// what has changed since.
    #[schema(example = 4711)]
    pub feed_position: i64,
    /// Leads to the next page; `null` on the last.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Whose an account has been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountHistory {
    /// The account's mappings, from the first to the last.
    pub account_mappings: Vec<AccountMapping>,
}

/// The account mappings that hold now, or held at an instant, oldest first
///
/// Which account is whose is on all pages as it was at `feed_position`. Without `at`, what follows that position in
/// `GET /v1/events` is what has changed since; with it, what has changed since the instant stands before the position as well.
/// What a tenant is called, its external id, its tier and until when a mapping held are told as they are known now, whatever
/// `at` is.
///
/// With `Accept: application/x-ndjson` or `text/csv` all of it comes in one answer, which names the position in the header
/// `Freehold-Feed-Position`; its columns are called as in FOCUS 1.2. In CSV, a field that begins with `=`, `+`, `-` or `@` has a `'`
/// before it, so that no spreadsheet takes a customer's name for a formula.
#[utoipa::path(
    get,
    path = "/v1/account-mappings",
    operation_id = "listAccountMappings",
    tag = "account-mappings",
    params(
        ("page_size" = Option<i64>, Query, description = "How many at most; 50 if left out. For JSON alone", minimum = 1, maximum = 200, example = 50),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before. For JSON alone"),
        ("at" = Option<DateTime<Utc>>, Query, description = "The instant at which they held, which is not in the future; they are those that hold now if left out", example = "2026-10-31T00:00:00Z"),
        ("tenant" = Option<String>, Query, description = "Only those of this tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
    ),
    responses(
        (status = 200, description = "A page of account mappings, or all of them", headers(
            ("Freehold-Feed-Position" = i64, description = "The position in the feed at which they were read"),
        ), content(
            (AccountMappingPage = "application/json"),
            (export::Row = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        (status = 406, description = "It comes as JSON, NDJSON or CSV", body = Problem, content_type = MEDIA_TYPE),
        (status = 505, description = "NDJSON and CSV take HTTP/1.1 or later (`http_version_not_supported`)", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn list_account_mappings(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    version: Version,
    format: Format,
    QueryFields(mut query): QueryFields,
) -> Result<Response, ApiError> {
    if format != Format::Json {
        for name in ["page_size", "page_token"] {
            if query.names(name) {
                query.error(name, "invalid", "pages are for JSON; this format comes in one piece");
            }
        }
    }
    let page = Page::read("account-mappings", &mut query)?;
    let at = query.optional("at").map(|Instant(at)| at);
    if at.is_some_and(|at| at > app.clock.now()) {
        query.error("at", "invalid", "this is in the future, of which nothing is known");
    }
    let tenant = query.optional("tenant");
    query.finish(Some(()))?;
    let tenant = caller.tenant_scope.filter(tenant)?;
    let position = match page.position() {
        Some(position) => position,
        None => events::advance(&app).await?,
    };
    let snapshot = Snapshot { position, at, tenant };
    let mut response = match format {
        Format::Json => first_or_next(&app, page.at(position), &snapshot).await?.into_response(),
        Format::NdJson | Format::Csv => export::respond(&app, version, format, snapshot)?,
    };
    response.headers_mut().insert(FEED_POSITION, position.into());
    Ok(response)
}

async fn first_or_next(app: &App, page: Page, snapshot: &Snapshot) -> Result<Json<AccountMappingPage>, ApiError> {
    let mut mappings = account_mappings::list(&app.pool, snapshot, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut mappings, |mapping| mapping.id.as_uuid());
    let account_mappings = mappings.into_iter().map(AccountMapping::from).collect();
    Ok(Json(AccountMappingPage { account_mappings, feed_position: snapshot.position, next_page_token }))
}

/// Whose an account has been
///
/// Mappings are ended, and never deleted: accounts that were let go and closed are found here for good.
#[utoipa::path(
    get,
    path = "/v1/account-mappings/{aws_account_id}",
    operation_id = "getAccountHistory",
    tag = "account-mappings",
    params(("aws_account_id" = String, Path, description = "The AWS account: 12 digits", example = "111122223333")),
    responses((status = 200, description = "Its mappings, from the first to the last", body = AccountHistory)),
)]
pub(crate) async fn get_account_history(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(account): PathParam<AwsAccountId>,
) -> Result<Json<AccountHistory>, ApiError> {
    let unknown = || ApiError::new(Code::AccountNotFound, "No account of this id was ever mapped to a tenant.");
    let account = account.ok_or_else(unknown)?;
    let mappings = account_mappings::history(&app.pool, &account, caller.tenant_scope.filter(None)?).await?;
    if mappings.is_empty() {
        return Err(unknown());
    }
    Ok(Json(AccountHistory { account_mappings: mappings.into_iter().map(AccountMapping::from).collect() }))
}
