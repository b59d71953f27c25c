//! Tests of the list and the export of the audit trail.

use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::Clock;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult};
use freehold_tenancy::db::audit;
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::tokens::Issuer;
use reqwest::Method;
use serde_json::{Value, json};

use super::list_audit_records;

const NDJSON: &str = "application/x-ndjson";

/// Starts an API whose trail has one entry per minute, from 09:00 on: `requests` API calls of ann and bob in turn, then
/// one call of a worker.
async fn api_with_entries(requests: u8) -> ApiFixture {
    let issuer = Issuer::new();
    let jwks = issuer.jwks().display().to_string();
    let clock = Clock::manual("2026-11-01T09:00:00Z".parse().expect("a time"));
    let api = ApiFixture::with_app(issuer, &jwks, "", clock, |app| app).await;
    api.database.simulate_clock(api.clock.now()).await;
    let caller = |subject: &str, client: &str| Actor::Caller {
        issuer: "https://issuer.example.com".to_owned(),
        subject: subject.to_owned(),
        client: client.to_owned(),
    };
    for number in 0..requests {
        let actor = if number % 2 == 0 { caller("ann", "portal") } else { caller("bob", "cli") };
        let entry = AuditEntry {
            request_id: Some(format!("request-{number}")),
            // An id that only AWS writes with other characters must not be lost.
            resource: Some(format!("/v1/tenants/\u{fc}\"{number}")),
            ..AuditEntry::new(AuditKind::ApiCall, "updateTenant", actor)
        };
        add(&api, &entry, &AuditOutcome::of(AuditResult::Succeeded)).await;
    }
    let entry = AuditEntry {
        operation_id: Some("op_01k2m8v3x9e7rt4s5q6w7y8z9c".parse().expect("an id")),
        ..AuditEntry::new(AuditKind::AwsCall, "sso:CreateAccountAssignment", Actor::Process { process: "ann-1".into() })
    };
    let outcome = AuditOutcome { aws_request_id: Some("aws-1".to_owned()), ..AuditOutcome::of(AuditResult::Succeeded) };
    add(&api, &entry, &outcome).await;
    api
}

async fn add(api: &ApiFixture, entry: &AuditEntry, outcome: &AuditOutcome) {
    let (pool, now) = (&api.database.pool, api.clock.now());
    audit::note(pool, entry, None, outcome, now).await.expect("an entry");
    audit::advance(pool, now).await.expect("a chain");
    api.clock.advance(Duration::from_mins(1));
}

async fn positions(api: &ApiFixture, filter: &str) -> Vec<i64> {
    let page = api.get(&format!("/v1/audit-events?page_size=1000{filter}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let page = page.json();
    page["audit_events"].as_array().expect("entries").iter().map(|one| one["position"].as_i64().unwrap()).collect()
}

async fn export(api: &ApiFixture, query: &str) -> ApiResponse {
    send(api.request(Method::GET, &format!("/v1/audit-events?{query}")).header("Accept", NDJSON)).await
}

#[tokio::test]
async fn each_filter_selects_the_entries_that_match() {
    let api = api_with_entries(6).await;
    for (filter, expected) in [
        ("", &[1, 2, 3, 4, 5, 6, 7][..]),
        ("&from=2026-11-01T09:02:00Z&until=2026-11-01T09:04:00Z", &[3, 4]),
        ("&from=2026-11-01T09:04:00Z", &[5, 6, 7]),
        ("&until=2026-11-01T09:02:00Z", &[1, 2]),
        // Half-open: the end of one range is the start of the next.
        ("&from=2026-11-01T10:01:30%2B01:00&until=2026-11-01T09:02:00.000001Z", &[3]),
        ("&from=2026-11-01T10:00:00Z", &[]),
        ("&until=2026-11-01T09:00:00Z", &[]),
        ("&actor=ann", &[1, 3, 5]),
        ("&actor=ann-1", &[7]),
        ("&subject=bob", &[2, 4, 6]),
        ("&subject=ann-1", &[]),
        ("&subject=bob&actor=ann", &[]),
        ("&client=portal", &[1, 3, 5]),
        ("&action=sso:CreateAccountAssignment", &[7]),
        ("&operation=op_01k2m8v3x9e7rt4s5q6w7y8z9c", &[7]),
        ("&request_id=request-3", &[4]),
        ("&request_id=aws-1", &[7]),
        ("&actor=bob&from=2026-11-01T09:02:00Z&after=4", &[6]),
        ("&environment=env_01k2m8v3x9e7rt4s5q6w7y8z9a", &[]),
        ("&aws_account_id=111122223333", &[]),
    ] {
        assert_eq!(positions(&api, filter).await, expected, "{filter}");
    }
    for (wrong, field) in [
        ("from=yesterday", "from"),
        ("until=2026-11-01", "until"),
        ("from=2026-11-01T09:00:00Z&until=2026-11-01T09:00:00Z", "until"),
        ("operation=4711", "operation"),
        ("environment=production", "environment"),
        ("aws_account_id=4711", "aws_account_id"),
        ("actor=", "actor"),
        ("client=%00", "client"),
        ("who=ann", "who"),
    ] {
        let refused = api.get(&format!("/v1/audit-events?{wrong}")).await;
        assert_eq!(refused.status_and_code(), (400, "invalid_query".into()), "{wrong}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
}

#[tokio::test]
async fn the_entries_of_an_environment_are_found_by_its_id_and_its_account() {
    let freehold = Freehold::instant().await;
    let (api, worker) = (ApiFixture::of(&freehold, CONFIG).await, freehold.worker("worker-1"));
    let tenant = api.sign_up(&signup_body()).await;
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let staging = json!({ "name": "staging", "home_region": "eu-central-1" });
    let created = api.request(Method::POST, &format!("{path}/environments")).header("Idempotency-Key", "key-1");
    assert_eq!(send(created.json(&staging)).await.status, 202);
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    assert_eq!(api.delete(&format!("{path}/environments/staging")).await.status, 202);
    let shown = api.get(&path).await.json();
    let environments = shown["environments"].as_array().expect("environments");
    let staging = environments.iter().find(|one| one["name"] == "staging").expect("the environment");
    let [id, account] = ["id", "aws_account_id"].map(|field| staging[field].as_str().expect("a text"));

    let all = list_audit_records(&api, "").await;
    let operations_of_production: Vec<_> =
        all.iter().filter(|record| record["operation_id"] == tenant["environments"][0]["operation_id"]).collect();
    let found = list_audit_records(&api, &format!("&environment={id}")).await;
    let is_api_call = |record: &&Value| record["kind"] == "api.call" && record["action"] != "createTenant";
    let expected: Vec<_> = all
        .iter()
        .filter(|record| record["kind"] == "aws.call" || is_api_call(record))
        .filter(|record| !operations_of_production.contains(record))
        .collect();
    // The entry of the creation names the environment only by its result.
    let without_creation: Vec<_> =
        expected.into_iter().filter(|record| record["action"] != "createEnvironment").cloned().collect();
    let found_without_creation: Vec<_> =
        found.iter().filter(|record| record["action"] != "createEnvironment").cloned().collect();
    assert_eq!(found_without_creation, without_creation);
    assert!(found.iter().any(|record| record["action"] == "organizations:CreateAccount"));
    assert_eq!(found.last().expect("an entry")["action"], "offboardEnvironment");
    assert_eq!(list_audit_records(&api, &format!("&aws_account_id={account}")).await, found);
    let tenant = tenant["id"].as_str().unwrap();
    assert_eq!(list_audit_records(&api, &format!("&environment={id}&tenant={tenant}")).await, found);
    let other = "&tenant=ten_01k2m8v3x9e7rt4s5q6w7y8z9b";
    assert_eq!(list_audit_records(&api, &format!("&environment={id}{other}")).await, [Value::Null; 0]);
}

#[tokio::test]
async fn records_that_are_not_part_of_the_chain_are_not_served() {
    let api = api_with_entries(2).await;
    let forged = "insert into audit_records (position, recorded_at, record, hash)
        select position + 1, recorded_at, '{\"action\": \"forged\"}', hash from audit_records
        where position = (select max(position) from audit_records)";
    sqlx::query(forged).execute(&api.database.pool).await.expect("a forged record");
    // The forged record leaves the trail, and a record about it takes its place.
    assert_eq!(positions(&api, "").await, [1, 2, 3, 4]);
    let text = export(&api, "").await.text;
    assert!(text.contains("quarantineAuditRows") && !text.contains("forged"), "{text}");
}

#[tokio::test]
async fn an_export_contains_each_record_and_can_be_resumed() {
    // More than one batch.
    let api = api_with_entries(2).await;
    let pool = &api.database.pool;
    let entry = AuditEntry::new(AuditKind::Command, "migrate", Actor::Process { process: "freehold".into() });
    for _ in 0..1500 {
        let done = AuditOutcome::of(AuditResult::Succeeded);
        audit::note(pool, &entry, None, &done, api.clock.now()).await.expect("an entry");
    }
    let exported = export(&api, "").await;
    assert_eq!((exported.status.as_u16(), exported.header("content-type")), (200, NDJSON));
    let lines: Vec<Value> = exported.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 1503);
    let page = api.get("/v1/audit-events?page_size=1000").await.json();
    for (line, event) in lines.iter().zip(page["audit_events"].as_array().expect("entries")) {
        for field in ["position", "hash", "record"] {
            assert_eq!(line[field], event[field], "{line}");
        }
    }
    for (one, next) in lines.iter().zip(&lines[1..]) {
        assert_eq!(one["hash"], next["previous_hash"], "{next}");
    }
    let (start, rest) = exported.text.split_at(exported.text.match_indices('\n').nth(999).expect("a line").0 + 1);
    assert_eq!(start.lines().count(), 1000);
    assert_eq!(export(&api, "after=1000").await.text, rest);

    let all = list_audit_records(&api, "&actor=bob").await;
    let filtered = export(&api, "actor=bob").await.text;
    let records: Vec<Value> = filtered.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    assert_eq!(records.iter().map(|line| &line["record"]).collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
    let paged = export(&api, "page_size=7").await;
    assert_eq!((paged.status.as_u16(), &paged.json()["errors"][0]["field"]), (400, &json!("page_size")));
    let request = api.request(Method::GET, "/v1/audit-events").header("Accept", "text/csv");
    assert_eq!(send(request).await.status_and_code(), (406, "not_acceptable".into()));
}

/// Runs `freehold audit verify --file` for this text. Returns whether the command succeeded, and its output.
fn verify_file(text: &str, more: &[&str]) -> (bool, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("export.ndjson");
    std::fs::write(&path, text).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_freehold-under-test"))
        .env_clear()
        .args(["audit", "verify", "--file", path.to_str().expect("text")])
        .args(more)
        .output()
        .expect("the program");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn every_change_of_an_export_is_found_without_the_database() {
    let api = api_with_entries(6).await;
    let text = export(&api, "").await.text;
    let head = api.get("/v1/audit-events").await.json()["head"]["hash"].as_str().expect("a hash").to_owned();
    let (intact, output) = verify_file(&text, &[]);
    assert!(intact && output.contains("7 records from 1 to 7") && output.contains(&head), "{output}");
    let (intact, output) = verify_file(&export(&api, "from=2026-11-01T09:02:00Z").await.text, &[]);
    assert!(intact && output.contains("5 records from 3 to 7") && output.contains("previous_hash"), "{output}");

    let lines: Vec<&str> = text.lines().collect();
    let join = |lines: &[&str]| lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>();
    let replaced = |index: usize, from: &str, to: &str| {
        let changed = lines[index].replacen(from, to, 1);
        assert_ne!(changed, lines[index], "{from}");
        let mut lines = lines.clone();
        lines[index] = &changed;
        join(&lines)
    };
    let hash_of =
        |index: usize| serde_json::from_str::<Value>(lines[index]).unwrap()["hash"].as_str().unwrap().to_owned();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    let cases = [
        ("actor", replaced(2, "\"ann\"", "\"eve\""), "the record at 3 was edited"),
        ("result", replaced(2, "succeeded", "refused"), "the record at 3 was edited"),
        ("space", replaced(2, "\"action\":", "\"action\": "), "the record at 3 was edited"),
        ("time", replaced(2, "T09:02:00.000000Z\",\"previous", "T09:02:00.000001Z\",\"previous"), "at 3 was edited"),
        ("position", replaced(6, "\"position\":7", "\"position\":8"), "position 8 directly follows position 6"),
        ("hash", replaced(2, &hash_of(2), &hash_of(3)), "the record at 3 was edited"),
        ("previous hash", replaced(2, &hash_of(1), &hash_of(3)), "the record at 3 was edited"),
        ("first previous hash", replaced(0, &"0".repeat(64), &"1".repeat(64)), "the record at 1 was edited"),
        ("null", replaced(0, &format!("\"{}\"", "0".repeat(64)), "null"), "intact"),
        ("removed", join(&[&lines[..2], &lines[3..]].concat()), "position 4 directly follows position 2"),
        ("repeated", join(&[&lines[..3], &lines[2..]].concat()), "position 3 directly follows position 3"),
        ("swapped", join(&swapped), "position 4 directly follows position 2"),
        ("cut", text[..text.len() - 6].to_owned(), "line 7 of"),
        ("no hash", replaced(1, &hash_of(1), "00"), "line 2 of"),
        ("not an export", "{}\n".to_owned(), "line 1 of"),
        ("empty", String::new(), "contains no records"),
    ];
    for (case, changed, message) in &cases {
        let (intact, output) = verify_file(changed, &[]);
        if *case == "null" {
            // The hash before the first record is zero.
            assert!(intact, "{case}: {output}");
        } else {
            assert!(!intact && output.contains(message), "{case}: {output}");
        }
    }

    // Positions are missing in a filtered export, and each record is verified by itself.
    let filtered = export(&api, "actor=ann").await.text;
    let (intact, output) = verify_file(&filtered, &[]);
    assert!(!intact && output.contains("position 3 directly follows position 1"), "{output}");
    let (intact, output) = verify_file(&filtered, &["--filtered"]);
    assert!(intact && output.contains("3 records from 1 to 5, with gaps"), "{output}");
    let (intact, output) = verify_file(&filtered.replacen("portal", "other", 1), &["--filtered"]);
    assert!(!intact && output.contains("the record at 1 was edited"), "{output}");
}

#[tokio::test]
async fn a_record_with_line_breaks_keeps_its_text_in_an_export() {
    let api = api_with_entries(1).await;
    let broken = "update audit_records set record = replace(record::text, ',', E',\\n')::json where position = 1";
    sqlx::query(broken).execute(&api.database.pool).await.expect("a changed record");
    let text = export(&api, "").await.text;
    assert_eq!(text.lines().count(), 2);
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).expect("JSON");
    assert!(line["record"].as_str().is_some_and(|record| record.contains(",\n")), "{line}");
    let (intact, output) = verify_file(&text, &[]);
    assert!(!intact && output.contains("the record at 1 was edited"), "{output}");
}
