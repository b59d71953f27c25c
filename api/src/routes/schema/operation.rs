//! Response schemas of operations, steps and approvals.

use chrono::{DateTime, Utc};
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::release::PREVIEW_FACT;
use freehold_tenancy::step::StepName;
use freehold_tenancy::{approval, attention, customer_sentence, fleet_hold, operation, step, wait_estimate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::enums::{OperationState, StepState};

/// Operation: long-running work on one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Id of the operation.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub id: String,
    /// Tenant that owns the environment.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Environment that the operation works on.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
    /// Name of the environment.
    #[schema(example = "production")]
    pub environment: String,
    /// Kind of the operation: `onboard`, `offboard`, `restore`, `repair`, `upgrade_baseline`, `suspend`, `resume`,
    /// `change_regions`, `remove_regions`, `move_home`, `prove_residency`, `update` or `preview`. More kinds may be
    /// added.
    #[schema(example = "onboard")]
    pub kind: String,
    /// State of the operation.
    #[schema(value_type = OperationState, example = "running")]
    pub state: String,
    /// Requester: the `sub` of the token.
    #[serde(default)]
    #[schema(required = true, example = "ann")]
    pub requested_by: String,
    /// Reason why the operation needs attention, with the available remedies; `null` otherwise. A late operation can
    /// still finish by itself.
    #[schema(required = true)]
    pub attention: Option<Attention>,
    /// Cause of a `failed` operation, whose environment continues to serve; `null` otherwise. Once the cause is fixed,
    /// request another operation.
    #[schema(required = true)]
    pub failure: Option<Failure>,
    /// Result of a `preview`, with the changes of resources in each region; `null` for other kinds, and before the
    /// preview has succeeded.
    #[serde(default)]
    #[schema(required = true, example = json!(null))]
    pub result: Option<Value>,
    /// Position in the queue for an AWS quota; `null` while the operation is not queued.
    #[schema(required = true)]
    pub queue: Option<Queue>,
    /// Fleet hold that stops the operation; `null` if none does. While a fleet hold stops all work, `queue` is `null`.
    #[schema(required = true)]
    pub fleet_hold: Option<OperationHold>,
    /// Time at which a worker runs the operation next; `null` while it waits for a person, and once it has finished.
    #[schema(required = true)]
    pub wake_at: Option<DateTime<Utc>>,
    /// Time at which the operation was accepted.
    pub created_at: DateTime<Utc>,
    /// Time at which a worker first started the operation; `null` until then.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// Time at which the operation finished; `null` until then.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Steps in the order of the workflow; empty until the operation is started, omitted in lists of operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub steps: Option<Vec<Step>>,
    /// Approvals, oldest first; omitted in lists of operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub approvals: Option<Vec<Approval>>,
}

/// Position of an operation in a queue, with the estimated time of completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Position in the queue; 1 is next.
    #[schema(example = 17, minimum = 1)]
    pub position: u32,
    /// Estimated time at which the environment is ready or, for operations other than onboarding, the operation is
    /// finished. The estimate is calculated for each response, from the AWS quotas and recent durations. `null` while
    /// vending is paused or the maximum number of accounts is reached.
    #[schema(required = true)]
    pub estimated_ready_at: Option<DateTime<Utc>>,
    /// Reason why no account is created: `vending_paused`, `account_ceiling_reached` or
    /// `daily_account_ceiling_reached`; `null` if accounts are created or the operation needs none.
    #[serde(default)]
    #[schema(required = true, example = json!(null))]
    pub stopped_by: Option<String>,
}

impl From<wait_estimate::Queue> for Queue {
    fn from(queue: wait_estimate::Queue) -> Self {
        Self {
            position: queue.position,
            estimated_ready_at: queue.estimated_ready_at,
            stopped_by: queue.stopped_by.map(|code| code.to_string()),
        }
    }
}

/// Fleet hold that stops an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationHold {
    /// Stable, machine-readable code of the cause.
    #[schema(example = "workers_without_aws_access")]
    pub code: String,
    /// Human-readable description of the cause and of the necessary action.
    #[serde(default)]
    #[schema(
        required = true,
        example = "No worker can call AWS with its credentials. Correct the credentials of the workers."
    )]
    pub message: String,
    /// Start of the fleet hold.
    pub since: DateTime<Utc>,
}

impl From<&fleet_hold::FleetHold> for OperationHold {
    fn from(hold: &fleet_hold::FleetHold) -> Self {
        Self { code: hold.kind.to_string(), message: hold.message(), since: hold.started_at }
    }
}

/// Reason why an operation needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// Stable, machine-readable code of the cause.
    #[schema(example = "account_email_taken")]
    pub code: String,
    /// Human-readable description of the cause.
    #[serde(default)]
    #[schema(
        required = true,
        example = "The e-mail address of the new AWS account belongs to an account that is not ours."
    )]
    pub message: String,
    /// Sentence for the customer, without internal details.
    #[serde(default)]
    #[schema(
        required = true,
        example = "The technical e-mail address reserved for your account is already in use. A colleague is resolving \
        this."
    )]
    pub tell_customer: String,
    /// Actions that resolve the problem: `retry`, `correct`, `adopt`, `approve`, `reject` or `cancel`.
    #[schema(example = json!(["retry"]))]
    pub remedies: Vec<String>,
    /// Id of the AWS request that failed, which AWS support needs; `null` if no request to AWS caused the problem.
    #[schema(required = true, example = "b25f48e8-84fd-11e6-80d9-574e0c4664cb")]
    pub aws_request_id: Option<String>,
}

/// Cause of a failed operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Stable, machine-readable code of the cause, one of the attention codes.
    #[schema(example = "stack_failed")]
    pub code: String,
    /// Human-readable description of the cause.
    #[serde(default)]
    #[schema(
        required = true,
        example = "CloudFormation has rolled back the update of the stack freehold-baseline in eu-central-1, \
        which works as before. Access failed with: …"
    )]
    pub message: String,
}

/// Step of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Name of the step.
    #[schema(example = "deploy-stack")]
    pub name: String,
    /// Steps that must be done or skipped before this step can start.
    #[schema(example = json!(["install-baseline", "enable-regions"]))]
    pub after: Vec<String>,
    /// State of the step. A step that had nothing to do is `skipped`.
    #[schema(value_type = StepState, example = "waiting")]
    pub state: String,
    /// Human-readable reason why the step was skipped; `null` in the other states.
    #[schema(required = true, example = "region eu-central-1 needs no opt-in")]
    pub reason: Option<String>,
    /// Number of times that the step was run.
    #[schema(example = 3)]
    pub attempts: u32,
    /// Time of the first run; `null` until then.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// Time at which the step was done or skipped; `null` until then.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Human-readable reason for the wait; `null` while the step does not wait.
    #[schema(required = true, example = "the stack to be created")]
    pub waits_for: Option<String>,
    /// Sentence about the wait for the customer, without internal details; `null` while the step does not wait, and for
    /// a wait that another version of Freehold has recorded.
    #[schema(
        required = true,
        example = "The software is being installed in your environment. The work continues by itself after that."
    )]
    pub tell_customer: Option<String>,
    /// Time of the next poll; `null` while the step does not wait.
    #[schema(required = true)]
    pub check_at: Option<DateTime<Utc>>,
    /// Reason why the step needs attention or has failed; `null` otherwise. A step that needs attention and still waits
    /// is late.
    #[schema(required = true)]
    pub attention: Option<Attention>,
    /// Human-readable description of the latest error; `null` once the step has succeeded.
    #[schema(required = true)]
    pub last_error: Option<String>,
    /// Id of the AWS request that caused the latest error; `null` if no request to AWS caused it.
    #[schema(required = true, example = "b25f48e8-84fd-11e6-80d9-574e0c4664cb")]
    pub aws_request_id: Option<String>,
    /// Values that the step has recorded, such as the id of the stack.
    #[serde(default)]
    #[schema(required = true, example = json!({ "region": "eu-central-1" }))]
    pub facts: Map<String, Value>,
}

impl From<operation::Operation> for Operation {
    fn from(operation: operation::Operation) -> Self {
        let result = preview_result(&operation);
        Self {
            queue: None,
            fleet_hold: None,
            id: operation.id.to_string(),
            tenant_id: operation.tenant_id.to_string(),
            environment_id: operation.environment_id.to_string(),
            environment: operation.environment_name.into(),
            kind: operation.kind.to_string(),
            requested_by: operation.requested_by.subject,
            state: operation.state.to_string(),
            attention: operation.attention.map(Attention::from),
            failure: operation.failure.map(|failure| Failure { code: failure.code, message: failure.message }),
            result,
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

/// Returns the result of a preview that has succeeded.
fn preview_result(operation: &operation::Operation) -> Option<Value> {
    if operation.kind != OperationKind::Preview || operation.state != operation::OperationState::Succeeded {
        return None;
    }
    let step = operation.steps.iter().find(|step| step.name == StepName::PreviewRelease)?;
    Some(json!({ "regions": step.facts.get(PREVIEW_FACT)? }))
}

impl From<attention::Attention> for Attention {
    fn from(attention: attention::Attention) -> Self {
        let remedies = attention.remedies.iter().map(ToString::to_string).collect();
        let (tell_customer, aws_request_id) = (attention.customer_sentence().to_owned(), attention.aws_request_id);
        Self { code: attention.code, message: attention.message, tell_customer, remedies, aws_request_id }
    }
}

impl From<step::JournalEntry> for Step {
    fn from(entry: step::JournalEntry) -> Self {
        let tell_customer = entry.waits_for.as_deref().and_then(customer_sentence::of_wait_text).map(str::to_owned);
        Self {
            name: entry.name,
            after: entry.after,
            state: entry.state.to_string(),
            reason: entry.skip_reason,
            attempts: entry.attempts,
            started_at: entry.started_at,
            finished_at: entry.finished_at,
            waits_for: entry.waits_for,
            tell_customer,
            check_at: entry.check_at,
            attention: entry.attention.map(Attention::from),
            last_error: entry.last_error,
            aws_request_id: entry.last_error_aws_request_id,
            facts: entry.facts,
        }
    }
}

/// Approval by a second person, pending or decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Id of the approval.
    #[schema(example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub id: String,
    /// Requested action: `vend` (create an account), `adopt`, `correct` or `close`. More actions may be added.
    #[schema(example = "adopt")]
    pub action: String,
    /// Requested values.
    #[serde(default)]
    #[schema(required = true, value_type = Object, example = json!({ "adopt_account_id": "111122223333" }))]
    pub request: Value,
    /// Hash of approval, operation, action and values. The approver sends it back to confirm what is approved.
    #[serde(default)]
    #[schema(required = true, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub request_hash: String,
    /// State: `pending`, `approved`, `rejected`, or `expired` if the operation has ended before the decision.
    #[schema(example = "pending")]
    pub state: String,
    /// Requester: the `sub` of the token.
    #[serde(default)]
    #[schema(required = true, example = "ann")]
    pub requested_by: String,
    /// Time of the request.
    pub requested_at: DateTime<Utc>,
    /// Person who approved or rejected: the `sub` of the token; `null` while pending.
    #[schema(required = true)]
    pub decided_by: Option<String>,
    /// Time of the decision; `null` while pending.
    #[schema(required = true)]
    pub decided_at: Option<DateTime<Utc>>,
    /// Reason of the decision; `null` if none was given.
    #[serde(default)]
    #[schema(required = true, example = "The contract is not signed.")]
    pub reason: Option<String>,
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
            reason: approval.reason,
        }
    }
}
