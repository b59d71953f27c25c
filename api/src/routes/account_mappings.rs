//! Routes for account mappings, which record the tenant and environment of each AWS account. Billing systems read them.

pub(crate) mod csv;
pub(crate) mod export;
pub(crate) mod format;

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::Version;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::account_mapping::AccountState;
use freehold_tenancy::db::account_mappings::{self, Period, Snapshot};
use freehold_tenancy::{AwsAccountId, account_mapping};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{events, schema};
use crate::app::App;
use crate::auth::{Caller, TenantScope};
use crate::extract::{Fields, Instant, PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};
use format::Format;

/// Response header with the feed position at which the mappings were read.
const FEED_POSITION_HEADER: HeaderName = HeaderName::from_static("freehold-feed-position");

/// Account mapping: an AWS account with its environment and tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountMapping {
    /// Id of the mapping.
    #[schema(example = "map_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub id: String,
    /// AWS account: 12 digits, including leading zeros.
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: String,
    /// Tenant that the account belongs to.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Company name of the tenant.
    #[schema(example = "Example GmbH")]
    pub company_name: String,
    /// Id of the tenant in the systems of the SaaS; `null` if none was given.
    #[schema(required = true, example = "customer-4711")]
    pub external_id: Option<String>,
    /// Commercial plan of the tenant.
    #[schema(example = "standard")]
    pub tier: String,
    /// Environment that the account belongs to.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
    /// Name of the environment.
    #[schema(example = "production")]
    pub environment: String,
    /// Home region of the environment.
    #[schema(example = "eu-central-1")]
    pub home_region: String,
    /// Replica regions of the environment.
    #[serde(default)]
    #[schema(required = true, example = json!(["eu-west-1"]))]
    pub replica_regions: Vec<String>,
    /// Start of the mapping.
    pub valid_from: DateTime<Utc>,
    /// End of the mapping; `null` while the account belongs to the environment.
    #[schema(required = true)]
    pub valid_to: Option<DateTime<Utc>>,
    /// State of the account as Freehold saw it last: `in_use` until the end of the mapping. Then `released_active`
    /// while it is active in AWS and can cause costs, `closing`, `closed`, `suspended` (by AWS), `left_organization`
    /// (another payer gets its bill), or `unknown` (not seen since the end of the mapping).
    #[schema(value_type = schema::enums::AccountState, example = "in_use")]
    pub account_state: AccountState,
    /// Time at which Freehold first saw the account in this state; `null` while it is `in_use` or `unknown`.
    #[schema(required = true)]
    pub account_state_since: Option<DateTime<Utc>>,
    /// Time at which Freehold last saw the account in this state: at the end of the offboarding, then at each
    /// comparison with AWS; `null` while it is `in_use` or `unknown`.
    #[schema(required = true)]
    pub account_seen_at: Option<DateTime<Utc>>,
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
            replica_regions: mapping.replica_regions.iter().map(ToString::to_string).collect(),
            valid_from: mapping.valid_from,
            valid_to: mapping.valid_to,
            account_state: mapping.account_state,
            account_state_since: mapping.account_state_since,
            account_seen_at: mapping.account_seen_at,
        }
    }
}

/// Page of account mappings, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountMappingPage {
    /// Mappings of this page.
    pub account_mappings: Vec<AccountMapping>,
    /// Feed position at which all pages of this list are read. Without `at`, later changes are the events after this
    /// position in `GET /v1/events`.
    #[schema(example = 4711)]
    pub feed_position: i64,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Ownership history of an AWS account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountHistory {
    /// Mappings of the account, oldest first.
    pub account_mappings: Vec<AccountMapping>,
}

/// List the account mappings in force now, at an instant or in a period, oldest first
///
/// All pages show the mappings as of `feed_position`. Without `at`, later changes are the events after that position in
/// `GET /v1/events`. With `at`, `feed_position` is still the current position, so events about changes after `at` can
/// be before it. Company name, external id, tier, replica regions, `valid_to` and the state of the account always have
/// their current values, even with `at`. With `from` and `to`, the list contains each mapping that overlaps the period,
/// for example all that a bill of the month concerns; an account can then occur twice.
///
/// With `Accept: application/x-ndjson` or `text/csv`, one response contains all mappings, with the position in the
/// header `Freehold-Feed-Position`, and column names and times as in FOCUS 1.2. In CSV, each `=`, `+`, `-` or `@` at
/// the start of a field, or after a separator within a field, gets a leading `'`, so that no spreadsheet reads the name
/// of a customer as a formula.
#[utoipa::path(
    get,
    path = "/v1/account-mappings",
    operation_id = "listAccountMappings",
    tag = "account-mappings",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]; only for JSON",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page; only for JSON"),
        (
            "at" = Option<DateTime<Utc>>, Query,
            description = "Instant at which the mappings are in force, not in the future [default: now]",
            example = "2026-10-31T00:00:00Z"
        ),
        (
            "from" = Option<DateTime<Utc>>, Query,
            description = "Start of a period, inclusive: mappings that were in force at any time in it [default: the \
                beginning, if `to` is given]",
            example = "2026-10-01T00:00:00Z"
        ),
        (
            "to" = Option<DateTime<Utc>>, Query,
            description = "End of the period, exclusive, not in the future [default: now, if `from` is given]",
            example = "2026-11-01T00:00:00Z"
        ),
        (
            "tenant" = Option<String>, Query,
            description = "Only mappings of this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
        (
            "account_state" = Option<schema::enums::AccountState>, Query,
            description = "Only mappings whose account has this state now; without `at`, `from` and `to`, mappings of \
                any time, also ended ones",
            example = "released_active"
        ),
    ),
    responses(
        (status = 200, description = "Page of account mappings, or all of them", headers(
            ("Freehold-Feed-Position" = i64, description = "Feed position of the mappings"),
        ), content(
            (AccountMappingPage = "application/json"),
            (export::Row = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        (
            status = 406,
            description = "`Accept` allows neither JSON, NDJSON nor CSV",
            body = Problem, content_type = MEDIA_TYPE
        ),
        (
            status = 505,
            description = "NDJSON and CSV require HTTP/1.1 or later (`http_version_not_supported`)",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn list_account_mappings(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    version: Version,
    format: Format,
    QueryFields(mut query): QueryFields,
) -> Result<Response, ApiError> {
    format.refuse_pages_of_exports(&mut query);
    let page = Page::from_query("account-mappings", &mut query)?;
    let now = app.clock.now();
    let period = read_period(&mut query, now);
    let tenant = query.optional("tenant");
    let account_state = query.optional::<AccountState>("account_state");
    query.finish(Some(()))?;
    let tenant = caller.tenant_scope.filter(tenant)?;
    let position = match page.position() {
        Some(position) => position,
        None => events::advance(&app).await?,
    };
    let any_time = Period { from: DateTime::UNIX_EPOCH, to: now };
    let period = period.or(account_state.map(|_| any_time));
    let snapshot = Snapshot { position, period, tenant, account_state };
    let mut response = match format {
        Format::Json => read_page(&app, page.with_position(position), &snapshot).await?.into_response(),
        Format::NdJson | Format::Csv => {
            let is_restricted = matches!(caller.tenant_scope, TenantScope::Tenant(_));
            export::respond(&app, version, format, is_restricted, snapshot)?
        }
    };
    response.headers_mut().insert(FEED_POSITION_HEADER, position.into());
    Ok(response)
}

/// Returns the period of the parameters `at`, or `from` and `to`; `None` without them.
fn read_period(query: &mut Fields, now: DateTime<Utc>) -> Option<Period> {
    let mut instant = |name: &str| {
        let time = query.optional(name).map(|Instant(time)| time)?;
        if time > now {
            query.error(name, "invalid", "must not be in the future");
        }
        Some(time)
    };
    let (at, from, to) = (instant("at"), instant("from"), instant("to"));
    if at.is_some() && (from.is_some() || to.is_some()) {
        query.error("at", "invalid", "must not be combined with `from` or `to`");
    }
    if from.is_some_and(|from| from >= to.unwrap_or(now)) {
        query.error("from", "invalid", "must be before `to`, or before now without `to`");
    }
    match (at, from, to) {
        (Some(at), ..) => Some(Period::at(at)),
        (None, None, None) => None,
        (None, from, to) => Some(Period { from: from.unwrap_or(DateTime::UNIX_EPOCH), to: to.unwrap_or(now) }),
    }
}

async fn read_page(app: &App, page: Page, snapshot: &Snapshot) -> Result<Json<AccountMappingPage>, ApiError> {
    let mut mappings = account_mappings::list(&app.pool, snapshot, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut mappings, |mapping| mapping.id.as_uuid());
    let account_mappings = mappings.into_iter().map(AccountMapping::from).collect();
    Ok(Json(AccountMappingPage { account_mappings, feed_position: snapshot.position, next_page_token }))
}

/// Get the ownership history of an AWS account
///
/// Mappings end but are never deleted, so the history includes released and closed accounts.
#[utoipa::path(
    get,
    path = "/v1/account-mappings/{aws_account_id}",
    operation_id = "getAccountHistory",
    tag = "account-mappings",
    params(("aws_account_id" = String, Path, description = "AWS account: 12 digits", example = "111122223333")),
    responses((status = 200, description = "Mappings of the account, oldest first", body = AccountHistory)),
)]
pub(crate) async fn get_account_history(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathParam(account): PathParam<AwsAccountId>,
) -> Result<Json<AccountHistory>, ApiError> {
    let not_found = || ApiError::new(Code::AccountNotFound, "No account with this id was ever mapped to a tenant.");
    let account = account.ok_or_else(not_found)?;
    let mappings = account_mappings::history(&app.pool, &account, caller.tenant_scope.filter(None)?).await?;
    if mappings.is_empty() {
        return Err(not_found());
    }
    Ok(Json(AccountHistory { account_mappings: mappings.into_iter().map(AccountMapping::from).collect() }))
}
