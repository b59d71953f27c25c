//! Operations: long-running work on an environment, step by step.

pub(crate) mod actions;

use axum::extract::State as Shared;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use freehold_tenancy::db::operations::OperationFilter;
use freehold_tenancy::{OperationId, attention, db, operation, step, wait_estimate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::approvals::Approval;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::ApiError;

/// Where an operation stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the words that freehold_tenancy writes")]
pub(crate) enum OperationState {
    /// Accepted; no worker has looked at it yet.
    Pending,
    /// On its way.
    Running,
    /// Waits for a person.
    NeedsAttention,
    /// Ended well.
    Succeeded,
    /// Ended without success.
    Failed,
    /// Ended because somebody asked for that.
    Canceled,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the words that freehold_tenancy writes")]
pub(crate) enum StepState {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// Looks again at `check_at`.
    Waiting,
    /// Waits for a person.
    Parked,
    /// Done.
    Done,
}

/// Work on one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its id.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub id: String,
    /// The tenant whose environment it works on.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// What it works on.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
    /// What that is called.
    #[schema(example = "production")]
    pub environment: String,
    /// What it does: `onboard`, …
    #[schema(example = "onboard")]
    pub kind: String,
    /// Where it stands.
    #[schema(value_type = OperationState, example = "running")]
    pub state: String,
    /// Who asked for it: the `sub` of the token.
    #[schema(example = "ann")]
    pub requested_by: String,
    /// With `needs_attention`: why it needs a person, and what that person can do. It may go on by itself all the same.
    #[schema(required = true)]
    pub attention: Option<Attention>,
    /// Where it stands in line for what AWS allows only so much of at a time; `null` while it does not wait in one.
    #[schema(required = true)]
    pub queue: Option<Queue>,
    /// When it is looked at next; `null` while it waits for a person, and once it has ended.
    #[schema(required = true)]
    pub wake_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it was begun.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Its steps, in the order of its list; empty until it is begun. Lists of operations leave them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub steps: Option<Vec<Step>>,
    /// What a second person has to approve, or has; oldest first. Lists of operations leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub approvals: Option<Vec<Approval>>,
}

/// Where an operation stands in line, and when the wait is expected to be over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// 1 is next.
    #[schema(example = 17, minimum = 1)]
    pub position: u32,
    /// When the environment is expected to be ready; for other work than onboarding, when that is expected to be done.
    /// Follows from what AWS allows and from how long things have taken lately, and is told anew with every answer.
    pub estimated_ready_at: DateTime<Utc>,
}

impl From<wait_estimate::Queue> for Queue {
    fn from(queue: wait_estimate::Queue) -> Self {
        Self { position: queue.position, estimated_ready_at: queue.estimated_ready_at }
    }
}

/// Why an operation needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// Stable, for programs.
    #[schema(example = "account_email_taken")]
    pub code: String,
    /// One sentence in plain words, for people.
    #[schema(example = "The e-mail address of the new AWS account belongs to an account that is not ours.")]
    pub message: String,
    /// What can be done about it: `retry`, …
    #[schema(example = json!(["retry"]))]
    pub remedies: Vec<String>,
}

/// One entry of the list that an operation walks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What it is called.
    #[schema(example = "deploy-stack")]
    pub name: String,
    /// The steps that must be done before it may start.
    #[schema(example = json!(["install-baseline", "enable-regions"]))]
    pub after: Vec<String>,
    /// Where it stands.
    #[schema(value_type = StepState, example = "waiting")]
    pub state: String,
    /// How often it was run.
    #[schema(example = 3)]
    pub attempts: u32,
    /// When it was first run.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// What it waits for, in plain words.
    #[schema(required = true, example = "the stack to be created")]
    pub waits_for: Option<String>,
    /// When it looks again.
    #[schema(required = true)]
    pub check_at: Option<DateTime<Utc>>,
    /// Why it needs a person, where it does; one that waits all the same is late.
    #[schema(required = true)]
    pub attention: Option<Attention>,
    /// The latest error, in plain words; `null` once it has got over it.
    #[schema(required = true)]
    pub last_error: Option<String>,
    /// What it has learnt, such as the id of the stack.
    #[schema(example = json!({ "region": "eu-central-1" }))]
    pub facts: Map<String, Value>,
}

impl Operation {
    fn without_steps(self) -> Self {
        Self { steps: None, ..self }
    }

    /// These operations, each with where it stands in line.
    async fn shown(app: &App, operations: Vec<operation::Operation>) -> Result<Vec<Self>, ApiError> {
        let all: Vec<_> = operations.iter().collect();
        let queues = db::queue::of(&app.pool, &app.config, &all, app.clock.now()).await?;
        let shown = |operation: operation::Operation| {
            let queue = queues.get(&operation.id).copied().map(Queue::from);
            Self { queue, ..operation.into() }
        };
        Ok(operations.into_iter().map(shown).collect())
    }

    /// The operation `id`, with where it stands in line.
    async fn get(app: &App, id: OperationId) -> Result<Self, ApiError> {
        let operation = db::operations::get(&app.pool, id).await?.ok_or_else(ApiError::no_operation)?;
        Self::shown(app, vec![operation]).await?.pop().ok_or_else(ApiError::no_operation)
    }

    /// One operation with everything that is known of it.
    pub(super) async fn whole(app: &App, id: OperationId) -> Result<Self, ApiError> {
        let operation = Self::get(app, id).await?;
        let approvals = db::approvals::list_for_operation(&app.pool, id).await?;
        Ok(Self { approvals: Some(approvals.into_iter().map(Approval::from).collect()), ..operation })
    }
}

impl From<operation::Operation> for Operation {
    fn from(operation: operation::Operation) -> Self {
        Self {
            queue: None,
            id: operation.id.to_string(),
            tenant_id: operation.tenant_id.to_string(),
            environment_id: operation.environment_id.to_string(),
            environment: operation.environment_name.into(),
            kind: operation.kind.to_string(),
            requested_by: operation.requested_by.subject,
            state: operation.state.to_string(),
            attention: operation.attention.map(Attention::from),
            wake_at: operation.wake_at,
            created_at: operation.created_at,
            started_at: operation.started_at,
            finished_at: operation.finished_at,
            updated_at: operation.updated_at,
            steps: Some(operation.steps.into_iter().map(Step::from).collect()),
            approvals: None,
        }
    }
}

impl From<attention::Attention> for Attention {
    fn from(attention: attention::Attention) -> Self {
        let remedies = attention.remedies.iter().map(ToString::to_string).collect();
        Self { code: attention.code, message: attention.message, remedies }
    }
}

impl From<step::JournalEntry> for Step {
    fn from(entry: step::JournalEntry) -> Self {
        Self {
            name: entry.name,
            after: entry.after,
            state: entry.state.to_string(),
            attempts: entry.attempts,
            started_at: entry.started_at,
            finished_at: entry.finished_at,
            waits_for: entry.waits_for,
            check_at: entry.check_at,
            attention: entry.attention.map(Attention::from),
            last_error: entry.last_error,
            facts: entry.facts,
        }
    }
}

/// A page of operations, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationPage {
    /// The operations, without their steps.
    pub operations: Vec<Operation>,
    /// Leads to the next page; `null` on the last.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Operations, newest first
#[utoipa::path(
    get,
    path = "/v1/operations",
    operation_id = "listOperations",
    tag = "operations",
    params(
        ("page_size" = Option<i64>, Query, description = "How many at most; 50 if left out", minimum = 1, maximum = 200, example = 50),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ("state" = Option<OperationState>, Query, description = "Where the operation stands", example = "needs_attention"),
        ("code" = Option<String>, Query, description = "The code of what it needs attention for", example = "account_email_taken"),
        ("tenant" = Option<String>, Query, description = "The tenant whose environment it works on", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
    ),
    responses((status = 200, description = "A page of operations", body = OperationPage)),
)]
pub(crate) async fn list_operations(
    Shared(app): Shared<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<OperationPage>, ApiError> {
    let page = Page::read("operations", &mut query)?;
    let filter = OperationFilter {
        state: query.optional("state"),
        code: query.optional::<AttentionCode>("code").map(|code| code.0),
        tenant: query.optional("tenant"),
    };
    let mut filter = query.finish(Some(filter))?;
    filter.tenant = caller.sight.filter(filter.tenant)?;
    let mut operations = db::operations::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut operations, |operation| operation.id.as_uuid());
    let operations = Operation::shown(&app, operations).await?.into_iter().map(Operation::without_steps).collect();
    Ok(Json(OperationPage { operations, next_page_token }))
}

struct AttentionCode(String);

impl std::str::FromStr for AttentionCode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or("this is a code such as account_email_taken")
    }
}

/// One operation with its steps
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    operation_id = "getOperation",
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    responses((status = 200, description = "The operation", body = Operation)),
)]
pub(crate) async fn get_operation(
    Shared(app): Shared<App>,
    PathParam(id): PathParam<OperationId>,
) -> Result<Json<Operation>, ApiError> {
    let id = id.ok_or_else(ApiError::no_operation)?;
    Operation::whole(&app, id).await.map(Json)
}
