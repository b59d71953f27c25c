//! Compares the JSON of all types that are stored or sent, and the values of all enums that are stored or sent, with
//! their frozen state.

use chrono::{DateTime, Utc};
use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::attention::{Attention, AttentionCode, Remedy};
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, Source};
use freehold_tenancy::config::{Capability, Config};
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::event::EventType;
use freehold_tenancy::feed::{Entry, EventNames, FeedEvent, FeedType, OperationEventRef};
use freehold_tenancy::finding::{FindingKind, FindingRemedy, FindingState, Severity};
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::operation::{OperationKind, OperationState, Requester};
use freehold_tenancy::step::StepState;
use freehold_tenancy::tenant::TenantState;
use freehold_tenancy::webhook::{AttemptError, DeliveryState, DisabledReason};
use freehold_tenancy::{EnvironmentId, OperationId, TenantId};
use freehold_tests::fixture::CONFIG;
use freehold_worker::cloud::{Grant, NewAccount, NewStack};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::compare::{Lines, assert_unchanged, line};
use super::renames::Renames;
use super::stored::renamed_path;

/// Returns the path and the redacted text of every leaf of a JSON value.
pub(super) fn redacted_leaves(value: &Value) -> Vec<(Vec<String>, String)> {
    match value {
        Value::Object(fields) if !fields.is_empty() => fields
            .iter()
            .flat_map(|(key, value)| {
                redacted_leaves(value).into_iter().map(|(path, leaf)| (prepend(redact(key), path), leaf))
            })
            .collect(),
        Value::Array(values) if !values.is_empty() => values
            .iter()
            .flat_map(|value| {
                redacted_leaves(value).into_iter().map(|(path, leaf)| (prepend("[]".to_owned(), path), leaf))
            })
            .collect(),
        Value::Object(_) => vec![(vec![], "{}".to_owned())],
        Value::Array(_) => vec![(vec![], "[]".to_owned())],
        Value::Null => vec![(vec![], "null".to_owned())],
        Value::Bool(_) => vec![(vec![], "<bool>".to_owned())],
        Value::Number(_) => vec![(vec![], "<number>".to_owned())],
        Value::String(text) => vec![(vec![], redact(text))],
    }
}

fn prepend(first: String, rest: Vec<String>) -> Vec<String> {
    std::iter::once(first).chain(rest).collect()
}

/// Redacts values that differ between runs, and keeps codes and names.
fn redact(text: &str) -> String {
    let is_id = |text: &str| {
        let parts = text.split_once('_');
        parts.is_some_and(|(prefix, rest)| prefix.len() <= 4 && rest.len() == 26).then(|| format!("<{}>", &text[..3]))
    };
    if let Some(id) = is_id(text) {
        return id;
    }
    if text.starts_with("/v1/") {
        let segments = text.split('/').map(|one| is_id(one).unwrap_or_else(|| one.to_owned()));
        return segments.collect::<Vec<_>>().join("/");
    }
    let starts = [("arn:", "<arn>"), ("http", "<url>"), ("ou-", "<ou>"), ("car-", "<request>"), ("p-", "<policy>")];
    if let Some((_, redacted)) = starts.iter().find(|(start, _)| text.starts_with(start)) {
        return (*redacted).to_owned();
    }
    if DateTime::parse_from_rfc3339(text).is_ok() {
        return "<time>".to_owned();
    }
    if text.len() == 12 && text.chars().all(|c| c.is_ascii_digit()) {
        return "<account>".to_owned();
    }
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c));
    if !is_word {
        return if text.contains('@') { "<email>" } else { "<text>" }.to_owned();
    }
    let is_kept = text.starts_with("worker-") || text.parse::<freehold_tenancy::Region>().is_ok();
    if !is_kept && text.chars().any(|c| c.is_ascii_digit()) {
        return "<id>".to_owned();
    }
    text.to_owned()
}

fn fixed_time() -> DateTime<Utc> {
    "2026-01-02T03:04:05.678901Z".parse().expect("a time")
}

fn add(lines: &mut Lines, name: &str, value: &impl Serialize) {
    for (path, leaf) in redacted_leaves(&json!(value)) {
        let mut parts = vec![name];
        parts.extend(path.iter().map(String::as_str));
        parts.push(&leaf);
        lines.insert(line(&parts));
    }
}

/// Adds the JSON of an event of each type with all possible data, as the feed and the webhooks send it.
fn cloud_events(lines: &mut Lines) {
    let config = Config::parse(CONFIG).expect("a configuration");
    let operation_id = OperationId::from(Uuid::from_u128(3));
    for feed_type in FeedType::ALL {
        let data = json!({
            "aws_account_id": "111122223333", "code": "account_email_taken", "action": "close", "changed": ["tier"],
            "finding_id": "find_01k2m8v3x9e7rt4s5q6w7y8z9e", "kind": "wrong_ou", "severity": "critical",
            "release_id": "rel_01k2m8v3x9e7rt4s5q6w7y8z9f", "rollout_id": "rol_01k2m8v3x9e7rt4s5q6w7y8z9g",
            "wave": "canaries", "by": "ann", "sentence": "A text.", "request_hash": "00",
        });
        let has = |id: &str| feed_type.id_fields().contains(&id);
        let name = |id: &str, text: &str| has(id).then(|| text.to_owned());
        let names = EventNames {
            external_id: name("tenant_id", "customer-4711"),
            environment: name("environment_id", "production"),
            home_region: name("environment_id", "eu-central-1"),
        };
        let entry = Entry {
            position: 5,
            tenant_id: has("tenant_id").then_some(TenantId::from(Uuid::from_u128(1))),
            environment_id: has("environment_id").then_some(EnvironmentId::from(Uuid::from_u128(2))),
            operation: has("operation_id").then_some(OperationEventRef { operation_id, seq: 4 }),
            feed_type: *feed_type,
            data: names.add_to(feed_type.data(&data)),
            occurred_at: fixed_time(),
        };
        let event = FeedEvent::of(entry, &config);
        add(lines, &format!("CloudEvent {feed_type}"), &event);
        let sent = serde_json::to_string(&event).expect("JSON");
        assert!(sent.starts_with(r#"{"specversion":"1.0","id":""#), "{sent}");
    }
}

#[test]
fn the_json_of_every_stored_or_sent_type_is_unchanged() {
    let mut lines = Lines::new();
    let source = Source { address: "127.0.0.1".to_owned(), forwarded_for: Some("203.0.113.7".to_owned()) };
    let caller = Actor::Caller { issuer: "https://i".to_owned(), subject: "ann".to_owned(), client: "cli".to_owned() };
    let entry = AuditEntry {
        source: Some(source),
        request_id: Some("ours-1".to_owned()),
        resource: Some("/v1/tenants".to_owned()),
        operation_id: Some(OperationId::from(Uuid::from_u128(3))),
        step: Some("verify".to_owned()),
        aws_role: Some("arn:aws:iam::111122223333:role/x".to_owned()),
        ..AuditEntry::new(AuditKind::ApiCall, "createTenant", caller)
    };
    add(&mut lines, "AuditEntry", &entry);
    add(
        &mut lines,
        "AuditEntry",
        &AuditEntry::new(AuditKind::Command, "x", Actor::Process { process: "w".to_owned() }),
    );
    let outcome = AuditOutcome {
        result: AuditResult::Refused,
        status: Some(409),
        code: Some("legal_hold".to_owned()),
        aws_request_id: Some("4f0c".to_owned()),
        ..AuditOutcome::of(AuditResult::Refused)
    };
    add(&mut lines, "AuditOutcome", &outcome);
    add(&mut lines, "AuditOutcome", &AuditOutcome::of(AuditResult::Unknown));
    let attention = Attention {
        remedies: vec![Remedy::Retry, Remedy::Correct],
        ..Attention::new(AttentionCode::AccountEmailTaken, "What happened, and what to do.")
    };
    add(&mut lines, "Attention", &attention);
    add(&mut lines, "Requester", &Requester { issuer: "https://i".to_owned(), subject: "ann".to_owned() });
    let tags = || [("freehold:tenant".to_owned(), "ten".to_owned())].into_iter().collect();
    let account = NewAccount { name: "A name".to_owned(), email: "a@example.com".to_owned(), tags: tags() };
    add(&mut lines, "NewAccount", &account);
    let stack = NewStack {
        name: "freehold-tenant".to_owned(),
        template: "{}".to_owned(),
        template_url: None,
        capabilities: vec![Capability::NamedIam],
        parameters: [("TenantId".to_owned(), "ten".to_owned())].into_iter().collect(),
        tags: tags(),
        token: "a token".to_owned(),
    };
    add(&mut lines, "NewStack", &stack);
    add(&mut lines, "Grant", &Grant { permission_set_arn: "arn:a".to_owned(), group_id: "a group".to_owned() });
    cloud_events(&mut lines);
    assert_unchanged("values.txt", &lines, |renames, parts| {
        let [name, path @ .., leaf] = &parts[..] else { panic!("{parts:?} is not a line of a value") };
        let (kind, feed_type) = name.split_once(' ').unwrap_or((name, ""));
        let name =
            if feed_type.is_empty() { kind.to_owned() } else { format!("{kind} {}", renames.code(kind, feed_type)) };
        let mut new = vec![name];
        new.extend(renamed_path(renames, kind, path));
        new.push(renames.code(kind, leaf));
        new
    });
}

/// Adds a line for each value of an enum, after checking that its JSON and SQL representations are equal.
fn add_enum_values<T: Copy + Serialize + std::fmt::Display>(lines: &mut Lines, name: &str, all: &[T]) {
    for word in all {
        assert_eq!(json!(word), json!(word.to_string()), "{name}");
        lines.insert(line(&[name, &word.to_string()]));
    }
}

#[test]
fn the_values_of_every_stored_or_sent_enum_are_unchanged() {
    let mut lines = Lines::new();
    add_enum_values(&mut lines, "ApprovalAction", ApprovalAction::ALL);
    add_enum_values(&mut lines, "ApprovalState", ApprovalState::ALL);
    add_enum_values(&mut lines, "AttemptError", AttemptError::ALL);
    add_enum_values(&mut lines, "AuditKind", AuditKind::ALL);
    add_enum_values(&mut lines, "AuditResult", AuditResult::ALL);
    add_enum_values(&mut lines, "DeliveryState", DeliveryState::ALL);
    add_enum_values(&mut lines, "DisabledReason", DisabledReason::ALL);
    add_enum_values(&mut lines, "EnvironmentState", EnvironmentState::ALL);
    add_enum_values(&mut lines, "EventType", EventType::ALL);
    add_enum_values(&mut lines, "FeedType", FeedType::ALL);
    add_enum_values(&mut lines, "FindingKind", FindingKind::ALL);
    add_enum_values(&mut lines, "FindingRemedy", FindingRemedy::ALL);
    add_enum_values(&mut lines, "FindingState", FindingState::ALL);
    add_enum_values(&mut lines, "HoldKind", HoldKind::ALL);
    add_enum_values(&mut lines, "InstallationKind", InstallationKind::ALL);
    add_enum_values(&mut lines, "OperationKind", OperationKind::ALL);
    add_enum_values(&mut lines, "OperationState", OperationState::ALL);
    add_enum_values(&mut lines, "Remedy", Remedy::ALL);
    add_enum_values(&mut lines, "Severity", Severity::ALL);
    add_enum_values(&mut lines, "StepState", StepState::ALL);
    add_enum_values(&mut lines, "TenantState", TenantState::ALL);
    assert_unchanged("sets.txt", &lines, |renames: &Renames, parts| {
        let [name, word] = &parts[..] else { panic!("{parts:?} is not a word of a set") };
        vec![name.clone(), renames.code(name, word)]
    });
}
