//! What one person asks for and another has to approve.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::operation::Requester;
use crate::string_enum::string_enum;
use crate::{ApprovalId, OperationId};

string_enum! {
    /// What is to be done.
    ApprovalAction {
        /// Ask AWS for an account.
        Vend = "vend",
        /// Take an account that is there already.
        Adopt = "adopt",
        /// Try again with another value.
        Correct = "correct",
        /// Close the account for good.
        Close = "close",
    }
}

string_enum! {
    /// Where an approval stands.
    ApprovalState {
        /// Nobody has decided yet.
        Pending = "pending",
        /// Another person said yes.
        Approved = "approved",
        /// Somebody said no, or what it was about is over.
        Rejected = "rejected",
    }
}

/// Something that a second person has to approve.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// `apr_…`
    pub id: ApprovalId,
    /// What it is about.
    pub operation_id: OperationId,
    /// What is to be done.
    pub action: ApprovalAction,
    /// The values that were asked for.
    pub request: Value,
    /// What an approval has to name.
    pub request_hash: String,
    /// Who asked.
    pub requested_by: Requester,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who decided.
    pub decided_by: Option<Requester>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
}

/// What an approval binds: operation, action and values.
pub fn request_hash(operation: OperationId, action: ApprovalAction, request: &Value) -> String {
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hash_belongs_to_one_operation_one_action_and_its_values() {
        let operation = OperationId::new(DateTime::UNIX_EPOCH);
        let hash = |action, request| request_hash(operation, action, &request);
        let one = hash(ApprovalAction::Adopt, json!({ "a": "1", "b": "2" }));
        assert_eq!(one, hash(ApprovalAction::Adopt, json!({ "b": "2", "a": "1" })));
        assert_ne!(one, hash(ApprovalAction::Adopt, json!({ "a": "1", "b": "3" })));
        assert_ne!(one, hash(ApprovalAction::Correct, json!({ "a": "1", "b": "2" })));
        assert_ne!(one, request_hash(OperationId::new(DateTime::UNIX_EPOCH), ApprovalAction::Adopt, &json!({})));
    }
}
