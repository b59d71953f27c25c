//! Response schema of approvals with their tenant, environment and operation.

use chrono::{DateTime, Utc};
use freehold_tenancy::approval;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::enums::ApprovalState;

/// Request of one person that a second person must approve, with the decision and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalDetails {
    /// Id of the approval.
    #[schema(example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub id: String,
    /// Requested action: `vend` (create an account), `adopt`, `correct`, `close` or `change_tier`. More actions may be
    /// added.
    #[schema(example = "adopt")]
    pub action: String,
    /// State: `expired` if the request ended without a decision, because its operation ended or the tenant changed.
    #[schema(value_type = ApprovalState, example = "pending")]
    pub state: String,
    /// Requested values.
    #[schema(value_type = Object, example = json!({ "adopt_account_id": "111122223333" }))]
    pub request: Value,
    /// Hash of the exact request. The approver sends it back to confirm what is approved.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub request_hash: String,
    /// Tenant of the request.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Name of the company.
    #[schema(example = "Example GmbH")]
    pub company_name: String,
    /// Environment of the request; `null` if the request changes the tenant itself.
    #[schema(required = true, example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: Option<String>,
    /// Name of the environment; `null` if the request changes the tenant itself.
    #[schema(required = true, example = "production")]
    pub environment: Option<String>,
    /// Operation that waits for the decision; `null` if the request changes the tenant itself.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
    /// Kind of the operation; `null` without an operation.
    #[schema(required = true, example = "onboard")]
    pub operation_kind: Option<String>,
    /// Current state of the operation; `null` without an operation.
    #[schema(required = true, example = "running")]
    pub operation_state: Option<String>,
    /// Requester: the `sub` of the token.
    #[schema(example = "ann")]
    pub requested_by: String,
    /// Time of the request.
    pub requested_at: DateTime<Utc>,
    /// Person who decided: the `sub` of the token; `null` while pending. For an expired request, the person whose
    /// action ended it.
    #[schema(required = true, example = "bob")]
    pub decided_by: Option<String>,
    /// Time of the decision or of the expiry; `null` while pending.
    #[schema(required = true)]
    pub decided_at: Option<DateTime<Utc>>,
    /// Reason of the decision; `null` if none was given.
    #[schema(required = true, example = "The contract is signed.")]
    pub reason: Option<String>,
    /// Human-readable description of the result, or of the decision that is needed.
    #[schema(example = "A person other than the requester must approve or reject it.")]
    pub outcome: String,
}

impl From<approval::ApprovalRecord> for ApprovalDetails {
    fn from(approval: approval::ApprovalRecord) -> Self {
        let outcome = approval.outcome();
        let operation = approval.operation.as_ref();
        Self {
            id: approval.id.to_string(),
            action: approval.action.to_string(),
            state: approval.state.to_string(),
            request_hash: approval.request_hash.clone(),
            tenant_id: approval.tenant_id.to_string(),
            environment_id: operation.map(|operation| operation.environment_id.to_string()),
            environment: operation.map(|operation| operation.environment.to_string()),
            operation_id: operation.map(|operation| operation.id.to_string()),
            operation_kind: operation.map(|operation| operation.kind.to_string()),
            operation_state: operation.map(|operation| operation.state.to_string()),
            requested_by: approval.requested_by.subject,
            requested_at: approval.requested_at,
            decided_by: approval.decided_by.map(|by| by.subject),
            decided_at: approval.decided_at,
            reason: approval.reason,
            company_name: approval.company_name.into(),
            request: approval.request,
            outcome,
        }
    }
}
