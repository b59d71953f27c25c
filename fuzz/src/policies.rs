//! Fuzz tests of policy evaluation in the simulated AWS and of the comparison of guardrails.

use serde_json::Value;

use crate::{split_at_line_break, text};

#[path = "../../worker/src/guardrail.rs"]
#[allow(dead_code, reason = "the module is part of another crate")]
mod guardrail;

use crate::simulated::policy::{
    AccessRequest, ConditionKeys, Decision, Document, Principal, arn_matches, evaluate, text_matches,
};

/// Checks that two policy documents are equal if and only if they are equal as JSON, and that the argument order does
/// not matter.
pub fn guardrail_document(data: &[u8]) {
    let Some((first, second)) = split_at_line_break(data) else { return };
    assert_eq!(guardrail::is_same_json(first, second), guardrail::is_same_json(second, first));
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let Some(value) = parse(first) else { return assert!(!guardrail::is_same_json(first, first), "{first}") };
    // Policies have no fractions, and serde_json does not read long fractions exactly.
    if has_fractions(&value) {
        return;
    }
    let pretty = serde_json::to_string_pretty(&value).expect("JSON");
    assert!(guardrail::is_same_json(first, &pretty), "{first} and {pretty}");
    if let Some(fields) = value.as_object() {
        let reversed: serde_json::Map<_, _> =
            fields.iter().rev().map(|(name, field)| (name.clone(), field.clone())).collect();
        assert!(guardrail::is_same_json(first, &Value::Object(reversed).to_string()), "{first}");
    }
    assert_eq!(guardrail::is_same_json(first, second), parse(second) == Some(value));
}

fn has_fractions(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fractions),
        Value::Object(fields) => fields.values().any(has_fractions),
        _ => false,
    }
}

/// Checks that pattern matching agrees with its definition: `*` matches any characters, `?` exactly one.
pub fn pattern(data: &[u8]) {
    let Some((pattern, text)) = split_at_line_break(data) else { return };
    if pattern.len() > 64 || text.len() > 256 {
        return;
    }
    assert_eq!(text_matches(pattern, text), matches_by_definition(pattern, text), "{pattern:?} against {text:?}");
    if arn_matches(pattern, text) && pattern != "*" {
        assert!(text_matches(pattern, text), "{pattern:?} matches more as an ARN: {text:?}");
    }
    assert!(text_matches(text, text) || text.contains(['*', '?']));
}

/// Reference implementation of pattern matching, which tracks the set of text positions that each prefix of the pattern
/// can reach.
fn matches_by_definition(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut positions = vec![false; text.len() + 1];
    positions[0] = true;
    for expected in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        for position in (0..=text.len()).filter(|position| positions[*position]) {
            match expected {
                '*' => next[position..].fill(true),
                '?' if position < text.len() => next[position + 1] = true,
                literal if text.get(position) == Some(&literal) => next[position + 1] = true,
                _ => {}
            }
        }
        positions = next;
    }
    positions[text.len()]
}

/// Checks that a policy document can be saved and loaded, and that an explicit deny overrides any other statement,
/// regardless of order.
pub fn policy(data: &[u8]) {
    let Some(Ok(document)) = text(data).map(Document::parse) else { return };
    let saved = serde_json::to_string(&document).expect("a document");
    assert_eq!(Document::parse(&saved).as_ref(), Ok(&document), "{saved}");
    let allow_all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let allow_all = Document::parse(allow_all).expect("a document");
    let keys = ConditionKeys::default()
        .with("aws:RequestedRegion", "eu-central-1")
        .with("aws:PrincipalArn", "arn:aws:iam::1:role/x");
    for action in ["iam:GetRole", "lambda:CreateFunction", "sts:AssumeRole"] {
        let principal =
            Principal::Aws { account: "1", arn: "arn:aws:iam::1:role/x", role_arn: "arn:aws:iam::1:role/x" };
        let request = AccessRequest { action, resource: "arn:aws:iam::1:role/y", principal, keys: &keys };
        let alone = evaluate([&document], &request);
        let combined = evaluate([&allow_all, &document], &request);
        assert_eq!(alone == Decision::ExplicitDeny, combined == Decision::ExplicitDeny);
        assert_eq!(combined, evaluate([&document, &allow_all], &request), "the order must not matter");
        assert_ne!(combined, Decision::ImplicitDeny, "a silent document must not revoke a permission");
    }
}
