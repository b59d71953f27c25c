//! Approval: the consent of a second person to a specific request.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::operation::{OperationKind, OperationState, Requester};
use crate::string_enum::string_enum;
use crate::{ApprovalId, CompanyName, EnvironmentId, EnvironmentName, OperationId, TenantId};

string_enum! {
    /// Action that requires approval.
    ApprovalAction {
        /// Creation of an AWS account.
        Vend = "vend",
        /// Adoption of an existing account.
        Adopt = "adopt",
        /// Retry with a corrected value.
        Correct = "correct",
        /// Permanent closure of the account.
        Close = "close",
        /// Change of a tenant to a tier that requires approval.
        ChangeTier = "change_tier",
    }
}

string_enum! {
    /// State of an approval.
    ApprovalState {
        /// Waiting for the decision of a second person.
        Pending = "pending",
        /// Approved by a second person.
        Approved = "approved",
        /// Rejected by a person.
        Rejected = "rejected",
        /// Withdrawn without a decision, because the operation has ended or the tenant has changed. Never stored: the
        /// stored state is `rejected`.
        Expired = "expired",
    }
}

/// Request that a second person must approve.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub id: ApprovalId,
    pub operation_id: OperationId,
    pub action: ApprovalAction,
    /// Requested values as a JSON object; part of the hash.
    pub request: Value,
    /// Hash that the approver must send, see [`approval_hash`].
    pub request_hash: String,
    pub requested_by: Requester,
    pub requested_at: DateTime<Utc>,
    pub state: ApprovalState,
    pub decided_by: Option<Requester>,
    pub decided_at: Option<DateTime<Utc>>,
    /// Reason of the deciding person.
    pub reason: Option<String>,
}

/// Approval with its tenant, environment and operation.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRecord {
    pub id: ApprovalId,
    pub action: ApprovalAction,
    pub request: Value,
    pub request_hash: String,
    pub requested_by: Requester,
    pub requested_at: DateTime<Utc>,
    pub state: ApprovalState,
    pub decided_by: Option<Requester>,
    pub decided_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub tenant_id: TenantId,
    pub company_name: CompanyName,
    /// Operation that waits for the approval; `None` if the request changes the tenant itself.
    pub operation: Option<ApprovedOperation>,
}

/// Operation of an approval.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedOperation {
    pub id: OperationId,
    pub kind: OperationKind,
    pub state: OperationState,
    pub environment_id: EnvironmentId,
    pub environment: EnvironmentName,
}

impl ApprovalRecord {
    /// Returns a sentence about the result of the approval, or about the decision that is needed.
    pub fn outcome(&self) -> String {
        let operation = self.operation.as_ref().map(|operation| (operation.id, operation.state));
        match (self.state, self.action, operation) {
            (ApprovalState::Pending, ..) => "A person other than the requester must approve or reject it.".to_owned(),
            (ApprovalState::Expired, _, Some((id, state))) => {
                format!("Nothing follows: operation {id} ended before the decision ({state}).")
            }
            (ApprovalState::Expired, ..) => {
                "Nothing follows: the tenant was changed or offboarded before the decision.".to_owned()
            }
            (ApprovalState::Rejected, ApprovalAction::Close, Some((id, _))) => {
                format!("The account stays open; operation {id} offboards the environment without closing it.")
            }
            (ApprovalState::Rejected, ApprovalAction::ChangeTier, _) => "The tier is unchanged.".to_owned(),
            (ApprovalState::Approved, ApprovalAction::ChangeTier, _) => "The tier was changed.".to_owned(),
            (_, _, Some((id, state))) => format!("Operation {id} has the state {state}."),
            (_, _, None) => String::new(),
        }
    }
}

/// Returns the hash of one request for approval. It differs between two requests with the same values, so that the
/// approval of an earlier request cannot be sent again for a later one.
pub fn approval_hash(id: ApprovalId, operation: OperationId, action: ApprovalAction, request: &Value) -> String {
    request_hash(operation, action, &json!({ "approval_id": id.to_string(), "request": request }))
}

/// Returns the hash of operation, action and values. In place of an operation, a change of a tenant has the id of its
/// approval.
pub fn request_hash(operation: impl std::fmt::Display, action: ApprovalAction, request: &Value) -> String {
    let mut request = request.clone();
    request.sort_all_objects();
    let mut hash = Sha256::new();
    for part in [operation.to_string(), action.to_string(), request.to_string()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_request_has_another_hash() {
        let operation = OperationId::new(DateTime::UNIX_EPOCH);
        let [first, second] = [(); 2].map(|()| ApprovalId::new(DateTime::UNIX_EPOCH));
        let hash = |id| approval_hash(id, operation, ApprovalAction::Close, &json!({ "close_account": true }));
        assert_ne!(hash(first), hash(second));
        assert_eq!(hash(first), hash(first));
    }

    #[test]
    fn a_request_hash_depends_on_operation_action_and_values() {
        let operation = OperationId::new(DateTime::UNIX_EPOCH);
        let hash = |action, request| request_hash(operation, action, &request);
        let one = hash(ApprovalAction::Adopt, json!({ "a": "1", "b": "2" }));
        assert_eq!(one, hash(ApprovalAction::Adopt, json!({ "b": "2", "a": "1" })));
        assert_ne!(one, hash(ApprovalAction::Adopt, json!({ "a": "1", "b": "3" })));
        assert_ne!(one, hash(ApprovalAction::Correct, json!({ "a": "1", "b": "2" })));
        assert_ne!(one, request_hash(OperationId::new(DateTime::UNIX_EPOCH), ApprovalAction::Adopt, &json!({})));
    }
}
