//! Comparison of a stack's response with the configured check.

use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::config::{StackCheck, fill_placeholders};
use serde_json::Value;

use crate::cloud::{CheckRequest, CheckResponse, CloudError};
use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Maximum number of characters of a response in a message.
const MAX_EXCERPT_LENGTH: usize = 200;

/// Placeholders whose values identify the environment. A different value means that the stack serves another one.
const IDENTITY: [&str; 3] = ["{tenant_id}", "{environment_id}", "{region}"];

/// Difference between a response and the check.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch {
    code: AttentionCode,
    /// Description that completes the sentence "the stack …".
    problem: String,
}

/// Returns the request of the check for the stack of this environment in `region`.
pub(in crate::steps) fn request(context: &StepContext, region: Region) -> CheckRequest {
    CheckRequest::new(&context.config().stack.check, &placeholder_values(context, region))
}

fn placeholder_values(context: &StepContext, region: Region) -> [(&'static str, String); 5] {
    let (tenant, environment) = (context.tenant(), context.environment());
    [
        ("tenant_id", tenant.id.to_string()),
        ("environment_id", environment.id.to_string()),
        ("environment", environment.name.to_string()),
        ("region", region.to_string()),
        ("tier", tenant.tier.to_string()),
    ]
}

/// Compares a response with the check. An unexpected response needs attention.
pub(in crate::steps) fn compare(
    context: &StepContext,
    region: Region,
    target: &str,
    response: &CheckResponse,
) -> Result<(), StepError> {
    match mismatch(&context.config().stack.check, &placeholder_values(context, region), &response.body) {
        None => Ok(()),
        Some(Mismatch { code, problem }) => Err(StepError::needs_attention(code, describe(target, &problem))),
    }
}

/// Returns the error for a response whose HTTP status the check does not accept, or for a target that must not be
/// called.
pub(in crate::steps) fn rejected(context: &StepContext, region: Region, target: &str, error: &CloudError) -> StepError {
    let request = request(context, region);
    let expected = if request.statuses.is_empty() {
        "a status from 200 to 299".to_owned()
    } else {
        let statuses: Vec<String> = request.statuses.iter().map(u16::to_string).collect();
        format!("status {}", statuses.join(" or "))
    };
    let problem = match error.code.strip_prefix("HTTP ") {
        Some(status) => format!("responds with status {status}, expected {expected}: {}", excerpt(&error.message)),
        None => format!("cannot be called: {error}"),
    };
    StepError::needs_attention(AttentionCode::StackCheckFailed, describe(target, &problem)).caused_by(error)
}

fn describe(target: &str, problem: &str) -> String {
    format!(
        "The stack at {target} {problem}. Correct the template or [stack.check], then retry; a retry reads the \
         template again and updates the stack."
    )
}

fn mismatch(check: &StackCheck, values: &[(&str, String)], body: &[u8]) -> Option<Mismatch> {
    let failed = |problem| Some(Mismatch { code: AttentionCode::StackCheckFailed, problem });
    if let Some(text) = &check.body_contains {
        let expected = fill_placeholders(text, values);
        if !String::from_utf8_lossy(body).contains(&expected) {
            return failed(format!(
                "responds without the expected text `{expected}`: {}",
                excerpt(&String::from_utf8_lossy(body))
            ));
        }
    }
    if check.json.is_empty() {
        return None;
    }
    let Ok(response) = serde_json::from_slice::<Value>(body) else {
        return failed(format!("responds with no JSON: {}", excerpt(&String::from_utf8_lossy(body))));
    };
    for (pointer, expected) in &check.json {
        let is_identity = expected.as_str().is_some_and(|text| IDENTITY.contains(&text));
        let expected = match expected {
            Value::String(text) => Value::String(fill_placeholders(text, values)),
            other => other.clone(),
        };
        let found = response.pointer(pointer);
        if found != Some(&expected) {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| excerpt(&in_words(found)));
            let code = if is_identity { AttentionCode::StackIdentityMismatch } else { AttentionCode::StackCheckFailed };
            let problem = format!("reports {pointer} = {found}, expected {}", in_words(&expected));
            return Some(Mismatch { code, problem });
        }
    }
    None
}

/// Returns a text without quotes, and any other value as JSON.
fn in_words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn excerpt(text: &str) -> String {
    if text.is_empty() {
        return "an empty response".to_owned();
    }
    text.chars().take(MAX_EXCERPT_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> [(&'static str, String); 3] {
        [
            ("tenant_id", "ten_1".to_owned()),
            ("environment_id", "env_1".to_owned()),
            ("region", "eu-central-1".to_owned()),
        ]
    }

    fn problem(check: &StackCheck, body: &str) -> Option<(AttentionCode, String)> {
        mismatch(check, &values(), body.as_bytes()).map(|found| (found.code, found.problem))
    }

    #[test]
    fn the_default_check_compares_the_identity() {
        let check = StackCheck::default();
        let own = json!({ "tenant_id": "ten_1", "environment_id": "env_1", "region": "eu-central-1", "more": 1 });
        assert_eq!(problem(&check, &own.to_string()), None);
        let other = json!({ "tenant_id": "ten_1", "environment_id": "env_2", "region": "eu-central-1" });
        let (code, text) = problem(&check, &other.to_string()).unwrap();
        assert_eq!(code, AttentionCode::StackIdentityMismatch);
        assert_eq!(text, "reports /environment_id = env_2, expected env_1");
        assert_eq!(problem(&check, "{}").unwrap().0, AttentionCode::StackIdentityMismatch);
        assert_eq!(
            problem(&check, "<html>").unwrap(),
            (AttentionCode::StackCheckFailed, "responds with no JSON: <html>".to_owned())
        );
    }

    #[test]
    fn a_configured_check_replaces_the_default() {
        let healthy = [("/checks/0/ok".to_owned(), json!(true))];
        let check = StackCheck { json: healthy.into(), body_contains: Some("env_1".to_owned()), ..Default::default() };
        assert_eq!(problem(&check, r#"{"checks": [{"ok": true}], "id": "env_1"}"#), None);
        let (code, text) = problem(&check, r#"{"checks": [{"ok": false}], "id": "env_1"}"#).unwrap();
        assert_eq!(
            (code, text.as_str()),
            (AttentionCode::StackCheckFailed, "reports /checks/0/ok = false, expected true")
        );
        let (_, text) = problem(&check, r#"{"checks": []}"#).unwrap();
        assert!(text.starts_with("responds without the expected text `env_1`"), "{text}");
        let plain = StackCheck { json: [].into(), body_contains: Some("{tenant_id}".to_owned()), ..Default::default() };
        assert_eq!(problem(&plain, "ten_1 is up"), None);
        assert_eq!(problem(&plain, "").unwrap().1, "responds without the expected text `ten_1`: an empty response");
    }
}
