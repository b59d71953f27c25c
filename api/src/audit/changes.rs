//! Changes that the handler of the current request makes, for its audit entry.

use std::cell::RefCell;

use freehold_tenancy::ApprovalId;
use freehold_tenancy::approval::{Approval, ApprovalAction, ApprovalState};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

tokio::task_local! {
    static CHANGES: RefCell<Changes>;
}

/// Changes of one request.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Ids of the objects that the request created or started.
    pub(super) ids: Vec<String>,
    /// Changed fields, each with its old and new value.
    pub(super) fields: Map<String, Value>,
}

/// Runs the handler `work` and returns its result with the changes that it has recorded.
pub(crate) async fn with_changes<T>(work: impl Future<Output = T>) -> (T, Changes) {
    let scope = async {
        let result = work.await;
        (result, CHANGES.with(RefCell::take))
    };
    CHANGES.scope(RefCell::default(), scope).await
}

fn record(change: impl FnOnce(&mut Changes)) {
    // A handler that runs outside of a write request, as in a unit test, has nothing to record.
    _ = CHANGES.try_with(|changes| change(&mut changes.borrow_mut()));
}

/// Records the id of an object that the request created or started.
pub(crate) fn record_id(id: impl ToString) {
    record(|changes| changes.ids.push(id.to_string()));
}

/// Records the old and the new value of a field, unless they are equal.
pub(crate) fn record_change(field: &str, old: impl Serialize, new: impl Serialize) {
    let (old, new) = (json!(old), json!(new));
    if old != new {
        record(|changes| _ = changes.fields.insert(field.to_owned(), json!({ "old": old, "new": new })));
    }
}

/// Records that a secret or personal data has changed, without the values.
pub(crate) fn record_hidden_change(field: &str) {
    record(|changes| _ = changes.fields.insert(field.to_owned(), json!("changed")));
}

/// Records the new state of an approval, with its request.
pub(crate) fn record_approval(old: Option<ApprovalState>, approval: &Approval) {
    record_approval_state(approval.id, old, approval.state, approval.action, &approval.request);
}

/// Records the new state of the approval `id`, with its action and its request.
pub(crate) fn record_approval_state(
    id: ApprovalId,
    old: Option<ApprovalState>,
    state: ApprovalState,
    action: ApprovalAction,
    request: &Value,
) {
    record_id(id);
    let new = json!({ "state": state, "action": action, "request": request });
    record_change("approval", old.map(|state| json!({ "state": state })), new);
}

/// Returns a URL in the form in which it is recorded: its path and query, which can contain a secret of the receiver
/// (Slack has it in the path, Teams in the query), are replaced by the start of their hash.
pub(crate) fn recorded_url(url: &str) -> String {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |length| host + length);
    match url.split_at(end) {
        (_, "" | "/") => url.to_owned(),
        (origin, rest) => format!("{origin}/?sha256={}", &hex::encode(Sha256::digest(rest))[..16]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_values_are_no_change_and_hidden_values_are_not_recorded() {
        let ((), changes) = with_changes(async {
            record_change("tier", "standard", "enterprise");
            record_change("labels", json!({}), json!({}));
            record_hidden_change("admin_email");
            record_id("op_1");
        })
        .await;
        assert_eq!(
            Value::Object(changes.fields),
            json!({ "tier": { "old": "standard", "new": "enterprise" }, "admin_email": "changed" })
        );
        assert_eq!(changes.ids, ["op_1"]);
        record_id("outside of a request");
    }

    #[test]
    fn the_path_and_query_of_a_url_are_recorded_as_a_hash() {
        for url in ["https://example.com", "https://example.com/", "no URL"] {
            assert_eq!(recorded_url(url), url);
        }
        let slack = recorded_url("https://hooks.slack.com/services/T0/B0/x");
        assert!(slack.starts_with("https://hooks.slack.com/?sha256=") && !slack.contains("B0"), "{slack}");
        let [one, other] = ["token=1", "token=2"].map(|query| recorded_url(&format!("https://example.com/a?{query}")));
        assert!(one != other && one.starts_with("https://example.com/?sha256=") && !one.contains("token"), "{one}");
    }
}
