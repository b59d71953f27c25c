//! Route that lists findings, which are differences between AWS and the database.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use freehold_tenancy::db::findings::FindingFilter;
use freehold_tenancy::{db, finding};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::enums::{FindingRemedy, FindingState, Severity};
use crate::app::App;
use crate::extract::QueryFields;
use crate::pagination::Page;
use crate::problem::ApiError;

/// Finding: a difference between AWS and the database or the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Id of the finding.
    #[schema(example = "find_01k2m8v3x9e7rt4s5q6w7y8z9e")]
    pub id: String,
    /// Kind of the difference: a stable, machine-readable code.
    #[schema(example = "wrong_ou")]
    pub kind: String,
    /// Severity of the finding.
    #[schema(value_type = Severity, example = "critical")]
    pub severity: String,
    /// State of the finding.
    #[schema(value_type = FindingState, example = "open")]
    pub state: String,
    /// Name of the affected resource, such as an account id. It does not change while the finding is open.
    #[schema(example = "111122223333")]
    pub subject: String,
    /// Human-readable description of the difference and of the necessary action.
    #[schema(example = "Account 111122223333, production of Example GmbH, is in r-ab12 and not in OU freehold-eu.")]
    pub message: String,
    /// Remedy of the finding. It changes to `person` if the repair fails.
    #[schema(value_type = FindingRemedy, example = "repair")]
    pub remedy: String,
    /// Id of the AWS account (12 digits); `null` if the finding is not about an account.
    #[schema(required = true, example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: Option<String>,
    /// Id of the tenant; `null` if the finding is not about an environment.
    #[schema(required = true, example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: Option<String>,
    /// Id of the environment; `null` if the finding is not about an environment.
    #[schema(required = true, example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: Option<String>,
    /// Id of the repair operation; `null` if no repair was started.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
    /// Time at which the difference was first found.
    pub first_seen_at: DateTime<Utc>,
    /// Time at which the difference was last found.
    pub last_seen_at: DateTime<Utc>,
    /// Time of the first comparison that no longer found the difference; `null` while the finding is open.
    #[schema(required = true)]
    pub resolved_at: Option<DateTime<Utc>>,
}

impl From<finding::Finding> for Finding {
    fn from(finding: finding::Finding) -> Self {
        let state = match finding.resolved_at {
            None => finding::FindingState::Open,
            Some(_) => finding::FindingState::Resolved,
        };
        Self {
            id: finding.id.to_string(),
            kind: finding.kind.to_string(),
            severity: finding.severity.to_string(),
            state: state.to_string(),
            subject: finding.subject,
            message: finding.message,
            remedy: finding.remedy.to_string(),
            aws_account_id: finding.aws_account_id.map(String::from),
            tenant_id: finding.environment.map(|(tenant, _)| tenant.to_string()),
            environment_id: finding.environment.map(|(_, environment)| environment.to_string()),
            operation_id: finding.operation_id.map(|id| id.to_string()),
            first_seen_at: finding.first_seen_at,
            last_seen_at: finding.last_seen_at,
            resolved_at: finding.resolved_at,
        }
    }
}

/// Page of findings, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingPage {
    /// Findings of this page.
    pub findings: Vec<Finding>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// List findings (differences between AWS and the database), newest first
///
/// AWS is compared with the database at regular intervals. Findings that are safe to repair are repaired by an
/// operation; a person decides about the others.
#[utoipa::path(
    get,
    path = "/v1/findings",
    operation_id = "listFindings",
    tag = "findings",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page"),
        (
            "state" = Option<FindingState>, Query,
            description = "Only findings in this state [default: all]",
            example = "open"
        ),
        ("severity" = Option<Severity>, Query, description = "Only findings of this severity", example = "critical"),
        (
            "tenant" = Option<String>, Query,
            description = "Only findings of this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
    ),
    responses((status = 200, description = "Page of findings", body = FindingPage)),
)]
pub(crate) async fn list_findings(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<FindingPage>, ApiError> {
    let page = Page::from_query("findings", &mut query)?;
    let filter = FindingFilter {
        state: query.optional("state"),
        severity: query.optional("severity"),
        tenant: query.optional("tenant"),
    };
    let filter = query.finish(Some(filter))?;
    let mut findings = db::findings::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut findings, |finding| finding.id.as_uuid());
    Ok(Json(FindingPage { findings: findings.into_iter().map(Finding::from).collect(), next_page_token }))
}
