//! Policy documents: those of the simulated AWS, and the comparison of guardrails.

use serde_json::Value;

use crate::{text, two};

#[path = "../../worker/src/guardrail.rs"]
#[allow(dead_code, reason = "it is a part of another crate")]
mod guardrail;

use crate::simulated::policy::{Document, Keys, Principal, Question, Verdict, arn_matches, text_matches, verdict};

/// Two documents are the same where they say the same, however they are laid out, and in both directions.
pub fn guardrail_document(data: &[u8]) {
    let Some((one, other)) = two(data) else { return };
    assert_eq!(guardrail::same(one, other), guardrail::same(other, one));
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let Some(value) = read(one) else { return assert!(!guardrail::same(one, one), "{one}") };
    // A policy has no fractions, and serde_json reads those of many digits only nearly.
    if has_fractions(&value) {
        return;
    }
    let laid_out = serde_json::to_string_pretty(&value).expect("JSON");
    assert!(guardrail::same(one, &laid_out), "{one} and {laid_out}");
    if let Some(fields) = value.as_object() {
        let turned: serde_json::Map<_, _> =
            fields.iter().rev().map(|(name, one)| (name.clone(), one.clone())).collect();
        assert!(guardrail::same(one, &Value::Object(turned).to_string()), "{one}");
    }
    assert_eq!(guardrail::same(one, other), read(other) == Some(value));
}

fn has_fractions(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fractions),
        Value::Object(fields) => fields.values().any(has_fractions),
        _ => false,
    }
}

/// A pattern matches what the definition says that it does: `*` any run of characters, `?` any one.
pub fn pattern(data: &[u8]) {
    let Some((pattern, given)) = two(data) else { return };
    if pattern.len() > 64 || given.len() > 256 {
        return;
    }
    assert_eq!(text_matches(pattern, given), matches(pattern, given), "{pattern:?} against {given:?}");
    if arn_matches(pattern, given) && pattern != "*" {
        assert!(text_matches(pattern, given), "{pattern:?} reaches further as an ARN: {given:?}");
    }
    assert!(text_matches(given, given) || given.contains(['*', '?']));
}

/// By the definition, one character of the pattern after the other; which places of the text it may have come to.
fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut places = vec![false; text.len() + 1];
    places[0] = true;
    for expected in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        for place in (0..=text.len()).filter(|place| places[*place]) {
            match expected {
                '*' => next[place..].fill(true),
                one if text.get(place).is_some_and(|there| one == '?' || one == *there) => next[place + 1] = true,
                _ => {}
            }
        }
        places = next;
    }
    places[text.len()]
}

/// A document survives being saved; what denies, denies whatever else is said.
pub fn policy(data: &[u8]) {
    let Some(Ok(document)) = text(data).map(Document::parse) else { return };
    let saved = serde_json::to_string(&document).expect("a document");
    assert_eq!(Document::parse(&saved).as_ref(), Ok(&document), "{saved}");
    let everything = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let everything = Document::parse(everything).expect("a document");
    let keys =
        Keys::default().with("aws:RequestedRegion", "eu-central-1").with("aws:PrincipalArn", "arn:aws:iam::1:role/x");
    for action in ["iam:GetRole", "lambda:CreateFunction", "sts:AssumeRole"] {
        let principal =
            Principal::Aws { account: "1", arn: "arn:aws:iam::1:role/x", role_arn: "arn:aws:iam::1:role/x" };
        let question = Question { action, resource: "arn:aws:iam::1:role/y", principal, keys: &keys };
        let alone = verdict([&document], &question);
        let beside = verdict([&everything, &document], &question);
        assert_eq!(alone == Verdict::ExplicitDeny, beside == Verdict::ExplicitDeny);
        assert_eq!(beside, verdict([&document, &everything], &question), "their order counts");
        assert_ne!(beside, Verdict::ImplicitDeny, "what is allowed by one is not forbidden by silence of the other");
    }
}
