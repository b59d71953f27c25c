//! Operations with their steps and approvals, as several routes answer them.

use chrono::{DateTime, Utc};
use freehold_tenancy::{approval, attention, operation, step, wait_estimate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::enums::{OperationState, StepState};

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

/// What a second person has to approve, or has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    #[schema(example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub id: String,
    /// What is to be done: `vend` (an account is asked for), `adopt`, `correct` or `close`. Others may be added.
    #[schema(example = "adopt")]
    pub action: String,
    /// The values that were asked for.
    #[schema(value_type = Object, example = json!({ "adopt_account_id": "111122223333" }))]
    pub request: Value,
    /// Names exactly this: the operation, the action and the values. Who approves sends it back.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub request_hash: String,
    /// Where it stands: `pending`, `approved` or `rejected`.
    #[schema(example = "pending")]
    pub state: String,
    /// Who asked for it.
    #[schema(example = "ann")]
    pub requested_by: String,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Who decided.
    #[schema(required = true)]
    pub decided_by: Option<String>,
    /// When.
    #[schema(required = true)]
    pub decided_at: Option<DateTime<Utc>>,
}

impl From<approval::Approval> for Approval {
    fn from(approval: approval::Approval) -> Self {
        Self {
            id: approval.id.to_string(),
            action: approval.action.to_string(),
            request: approval.request,
            request_hash: approval.request_hash,
            state: approval.state.to_string(),
            requested_by: approval.requested_by.subject,
            requested_at: approval.requested_at,
            decided_by: approval.decided_by.map(|by| by.subject),
            decided_at: approval.decided_at,
        }
    }
}
