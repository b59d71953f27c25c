//! Validation of the inline policy of a permission set.

use serde_json::Value;

use crate::aws::constraints::INLINE_POLICY;
use crate::aws::quotas::{MAX_INLINE_POLICY_CHARACTERS, POLICY_VERSIONS};

/// Returns the rules of AWS that a policy document violates.
pub(super) fn violations(policy: &str) -> Vec<String> {
    let mut violations: Vec<String> = INLINE_POLICY.violation(policy).into_iter().collect();
    let characters = policy.chars().filter(|one| !one.is_whitespace()).count();
    if characters > MAX_INLINE_POLICY_CHARACTERS {
        violations.push(format!(
            "must have at most {MAX_INLINE_POLICY_CHARACTERS} characters without whitespace, not {characters}"
        ));
    }
    let document = match serde_json::from_str::<Value>(policy) {
        Ok(Value::Object(document)) => document,
        Ok(_) => {
            violations.push("must be a JSON object with Version and Statement".to_owned());
            return violations;
        }
        Err(error) => {
            violations.push(format!("must be JSON; line {}, column {} is not", error.line(), error.column()));
            return violations;
        }
    };
    if !document.get("Version").and_then(Value::as_str).is_some_and(|version| POLICY_VERSIONS.contains(&version)) {
        violations.push("must have \"Version\": \"2012-10-17\"".to_owned());
    }
    let statements: Vec<&Value> = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => Vec::new(),
    };
    if statements.is_empty() {
        violations.push("must have a Statement with at least one statement".to_owned());
    }
    for (number, statement) in (1..).zip(statements) {
        violations.extend(statement_violations(statement).map(|rule| format!("statement {number} {rule}")));
    }
    violations
}

fn statement_violations(statement: &Value) -> impl Iterator<Item = &'static str> {
    let has = |key: &str| statement.get(key).is_some();
    let rules = [
        (matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")), "must have the Effect Allow or Deny"),
        (has("Action") != has("NotAction"), "must have either Action or NotAction"),
        (has("Resource") != has("NotResource"), "must have either Resource or NotResource"),
        // The policy belongs to the role of the permission set, which is its principal.
        (!has("Principal") && !has("NotPrincipal"), "must have no Principal"),
    ];
    rules.into_iter().filter(|(followed, _)| !followed).map(|(_, rule)| rule)
}
