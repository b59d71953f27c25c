//! Findings: what in AWS is not as it should be, and what puts it right.

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

/// Something in AWS that is not as the database, or the configuration, says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Its id.
    #[schema(example = "find_01k2m8v3x9e7rt4s5q6w7y8z9e")]
    pub id: String,
    /// What was found. Stable, for programs.
    #[schema(example = "wrong_ou")]
    pub kind: String,
    /// How bad it is.
    #[schema(value_type = Severity, example = "critical")]
    pub severity: String,
    /// Whether it still holds.
    #[schema(value_type = FindingState, example = "open")]
    pub state: String,
    /// What exactly it is about; the same as long as it holds.
    #[schema(example = "111122223333")]
    pub subject: String,
    /// What is wrong and what to do about it, in plain words, for people.
    #[schema(example = "Account 111122223333, production of Example GmbH, is in r-ab12 and not in OU freehold-eu.")]
    pub message: String,
    /// What puts it right; `person` also where a repair did not.
    #[schema(value_type = FindingRemedy, example = "repair")]
    pub remedy: String,
    /// The AWS account that it is about: 12 digits; `null` where it is about none.
    #[schema(required = true, example = "111122223333", pattern = "^[0-9]{12}$")]
    pub aws_account_id: Option<String>,
    /// The tenant whose environment it is about; `null` where it is about none.
    #[schema(required = true, example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: Option<String>,
    /// The environment that it is about; `null` where it is about none.
    #[schema(required = true, example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: Option<String>,
    /// The operation that was begun to put it right.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// When it was first not seen any more; `null` while it is open.
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

/// A page of findings, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingPage {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Leads to the next page; `null` on the last.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// What in AWS is, or was, not as it should be, newest first
///
/// AWS is compared with the database from time to time. What is safe to put right is put right by an operation; all else
/// waits for a person.
#[utoipa::path(
    get,
    path = "/v1/findings",
    operation_id = "listFindings",
    tag = "findings",
    params(
        ("page_size" = Option<i64>, Query, description = "How many at most; 50 if left out", minimum = 1, maximum = 200, example = 50),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ("state" = Option<FindingState>, Query, description = "Whether it still holds; either if left out", example = "open"),
        ("severity" = Option<Severity>, Query, description = "How bad it is", example = "critical"),
        ("tenant" = Option<String>, Query, description = "The tenant whose environment it is about", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
    ),
    responses((status = 200, description = "A page of findings", body = FindingPage)),
)]
pub(crate) async fn list_findings(
    State(app): State<App>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<FindingPage>, ApiError> {
    let page = Page::read("findings", &mut query)?;
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
