//! Access review: the access to each account, with its start, its operation and its approval.

mod export;

use axum::Json;
use axum::extract::State;
use axum::http::Version;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use freehold_tenancy::baseline::{ACCESS_ROLE, VERIFY_ROLE};
use freehold_tenancy::db::access_grants::{self, AccessFilter, FreeholdRoles};
use freehold_tenancy::{Config, access_grant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account_mappings::format::Format;
use super::schema::enums::{AccessKind, GrantSource, PrincipalKind};
use crate::app::App;
use crate::extract::{QueryFields, SearchText};
use crate::pagination::Page;
use crate::problem::{ApiError, MEDIA_TYPE, Problem};

/// Entry of the access review: one principal's access to one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessEntry {
    /// Id of the entry.
    #[schema(example = "grant_01k2m8v3x9e7rt4s5q6w7y8z9f")]
    pub id: String,
    /// Kind of the access.
    #[schema(value_type = AccessKind, example = "permission_set")]
    pub kind: String,
    /// Tenant that the account belongs to.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Company name of the tenant.
    #[schema(example = "Example GmbH")]
    pub company_name: String,
    /// Environment that the account belongs to.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
    /// Name of the environment.
    #[schema(example = "production")]
    pub environment: String,
    /// AWS account: 12 digits, including leading zeros.
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: String,
    /// Name of the permission set, or of the role of Freehold.
    #[schema(example = "support")]
    pub permission_set: String,
    /// ARN of the permission set, or of the role of Freehold.
    #[schema(example = "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-1234567890abcdef")]
    pub arn: String,
    /// Principal that has the access.
    pub principal: AccessPrincipal,
    /// Source of the entry.
    #[schema(value_type = GrantSource, example = "freehold")]
    pub source: String,
    /// Start of the access; for an observed assignment, the first comparison that found it.
    pub granted_at: DateTime<Utc>,
    /// Operation that granted the access; `null` if no operation of Freehold did.
    #[schema(required = true)]
    pub operation: Option<AccessOperation>,
    /// Latest approval of that operation before the access started; `null` if it needed none.
    #[schema(required = true)]
    pub approval: Option<AccessApproval>,
    /// Start of the latest comparison that found the assignment in AWS; `null` before the first one and for the roles
    /// of Freehold.
    #[schema(required = true)]
    pub observed_at: Option<DateTime<Utc>>,
    /// Open finding about this access; `null` if there is none.
    #[schema(required = true)]
    pub finding: Option<AccessFinding>,
    /// End of the access; `null` while it is in force.
    #[schema(required = true)]
    pub ended_at: Option<DateTime<Utc>>,
    /// Operation that ended the access; `null` while the access is in force, and if it was removed outside Freehold.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub ended_by: Option<String>,
}

/// Principal that has access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessPrincipal {
    /// Kind of the principal.
    #[schema(value_type = PrincipalKind, example = "configured_group")]
    pub kind: String,
    /// Id of the group or user in the Identity Store, ARN of the role, or id of the account.
    #[schema(example = "93448812-0061-70c1-c4d6-example11111")]
    pub id: String,
    /// Name of the group; `null` for a group that Freehold does not know, and for other principals.
    #[schema(required = true, example = "support")]
    pub name: Option<String>,
    /// Number of users that Freehold has added to the group; `null` if Freehold does not manage its members.
    #[schema(required = true, example = 1)]
    pub members: Option<i64>,
}

/// Operation that granted access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessOperation {
    /// Id of the operation.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub id: String,
    /// Kind of the operation.
    #[schema(example = "onboard")]
    pub kind: String,
    /// Subject of the token that requested the operation.
    #[schema(example = "ann")]
    pub requested_by: String,
    /// Time of the request.
    pub requested_at: DateTime<Utc>,
}

/// Approval of an operation that granted access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessApproval {
    /// Id of the approval.
    #[schema(example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9e")]
    pub id: String,
    /// Approved action.
    #[schema(example = "vend")]
    pub action: String,
    /// Subject of the token that approved the action.
    #[schema(example = "bob")]
    pub approved_by: String,
    /// Time of the approval.
    pub approved_at: DateTime<Utc>,
}

/// Open finding about an access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessFinding {
    /// Id of the finding.
    #[schema(example = "find_01k2m8v3x9e7rt4s5q6w7y8z9e")]
    pub id: String,
    /// Kind of the finding.
    #[schema(example = "assignment_extra")]
    pub kind: String,
}

impl From<access_grant::AccessEntry> for AccessEntry {
    fn from(entry: access_grant::AccessEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            kind: entry.kind.to_string(),
            tenant_id: entry.tenant_id.to_string(),
            company_name: entry.company_name,
            environment_id: entry.environment_id.to_string(),
            environment: entry.environment.into(),
            aws_account_id: entry.aws_account_id.into(),
            permission_set: entry.permission_set,
            arn: entry.arn,
            principal: AccessPrincipal {
                kind: entry.principal_kind.to_string(),
                id: entry.principal_id,
                name: entry.principal_name,
                members: entry.members,
            },
            source: entry.source.to_string(),
            granted_at: entry.granted_at,
            operation: entry.operation.map(|operation| AccessOperation {
                id: operation.id.to_string(),
                kind: operation.kind.to_string(),
                requested_by: operation.requested_by,
                requested_at: operation.requested_at,
            }),
            approval: entry.approval.map(|approval| AccessApproval {
                id: approval.id.to_string(),
                action: approval.action,
                approved_by: approval.approved_by,
                approved_at: approval.approved_at,
            }),
            observed_at: entry.observed_at,
            finding: entry.finding.map(|(id, kind)| AccessFinding { id: id.to_string(), kind: kind.to_string() }),
            ended_at: entry.ended_at,
            ended_by: entry.ended_by.map(|id| id.to_string()),
        }
    }
}

/// Page of the access review, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessReviewPage {
    /// Entries of this page.
    pub access_review: Vec<AccessEntry>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// List the access to the accounts, oldest first
///
/// An entry is the assignment of a permission set to a group or a user, or a role through which Freehold works in the
/// account. Assignments that no operation of Freehold made appear after the next comparison of AWS with the database,
/// with the source `observed`. Entries contain ids and names of groups, but no names or e-mail addresses of people.
///
/// With `Accept: application/x-ndjson` or `text/csv`, one response contains all entries. In CSV, a field that a
/// spreadsheet could read as a formula gets a leading `'`.
#[utoipa::path(
    get,
    path = "/v1/access-review",
    operation_id = "reviewAccess",
    tag = "access-review",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]; only for JSON",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page; only for JSON"),
        (
            "tenant" = Option<String>, Query,
            description = "Only access to accounts of this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
        (
            "environment" = Option<String>, Query,
            description = "Only access to the account of this environment",
            example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a"
        ),
        (
            "permission_set" = Option<String>, Query,
            description = "Only access with this permission set or role: its name or ARN",
            example = "support"
        ),
        (
            "principal" = Option<String>, Query,
            description = "Only access of this principal: its id or the name of the group",
            example = "support"
        ),
        (
            "include_ended" = Option<bool>, Query,
            description = "Whether access that has ended is included [default: false]",
            example = true
        ),
    ),
    responses(
        (status = 200, description = "Page of the access review, or all of it", content(
            (AccessReviewPage = "application/json"),
            (AccessEntry = "application/x-ndjson"),
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
pub(crate) async fn review_access(
    State(app): State<App>,
    version: Version,
    format: Format,
    QueryFields(mut query): QueryFields,
) -> Result<Response, ApiError> {
    format.refuse_pages_of_exports(&mut query);
    let page = Page::from_query("access-review", &mut query)?;
    let filter = AccessFilter {
        tenant: query.optional("tenant"),
        environment: query.optional("environment"),
        permission_set: query.optional("permission_set").map(|SearchText::<256>(text)| text),
        principal: query.optional("principal").map(|SearchText::<256>(text)| text),
        include_ended: query.optional("include_ended").unwrap_or(false),
    };
    let filter = query.finish(Some(filter))?;
    if format != Format::Json {
        return export::respond(&app, version, format, filter);
    }
    let roles = roles(&app.config);
    let mut entries = access_grants::list(&app.pool, &roles, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut entries, |entry| entry.id.as_uuid());
    let access_review = entries.into_iter().map(AccessEntry::from).collect();
    Ok(Json(AccessReviewPage { access_review, next_page_token }).into_response())
}

fn roles(config: &Config) -> FreeholdRoles {
    let organization = &config.organization;
    FreeholdRoles {
        organization_role: organization.access_role_name.clone(),
        access_role: ACCESS_ROLE.to_owned(),
        verify_role: VERIFY_ROLE.to_owned(),
        control_role_arn: organization.control_role_arn.clone(),
        management_account: organization.management_account_id.to_string(),
    }
}
