//! Tests of the audit trail: it records every change with caller, origin and outcome, and manipulations of the trail
//! are detected.

mod changes;
mod functions;
mod list;
mod refusals;
mod tampering;
mod verify;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::audit::{AnchorFile, AuditWriter, Signer};
use freehold_tenancy::config::Audit;
use freehold_tenancy::db::audit;
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use freehold_tests::fixture::Freehold;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};

const SIGNING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Returns the audit records, oldest first.
async fn list_audit_records(api: &ApiFixture, filter: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/audit-events?page_size=1000{filter}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.json()["audit_events"].as_array().expect("records").iter().map(|event| event["record"].clone()).collect()
}

async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let poll = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let timeout = Duration::from_secs(30);
    tokio::time::timeout(timeout, poll).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test]
async fn each_change_is_recorded_with_its_caller_and_result() {
    let api = ApiFixture::new().await;
    let send = async |request: reqwest::RequestBuilder| request.send().await.expect("a response").status().as_u16();
    let request = api
        .signup_request("key-1", &signup_body())
        .header("X-Request-Id", "ours-1")
        .header("X-Forwarded-For", "203.0.113.7");
    let tenant: Value = request.send().await.expect("a response").json().await.expect("JSON");
    assert_eq!(send(api.signup_request("key-1", &signup_body())).await, 202, "a replay");
    assert_eq!(send(api.signup_request("key-2", &json!({}))).await, 422);
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    assert_eq!(api.post(&format!("{path}/retry")).await.status, 409);
    assert_eq!(api.send_as("bob", Method::POST, &format!("{path}/cancel"), &json!({})).await.status, 202);
    let reader = api.issuer.token("fleet tenants:read");
    assert_eq!(send(api.request_without_token(Method::DELETE, "/v1/tenants/ten_x").bearer_auth(reader)).await, 403);
    // Reads and unauthenticated requests are not recorded.
    api.get("/v1/tenants").await;
    assert_eq!(send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&signup_body())).await, 200);
    assert_eq!(send(api.request_without_token(Method::POST, "/v1/tenants")).await, 401);

    let records = list_audit_records(&api, "").await;
    let recorded_fields: Vec<_> = records
        .iter()
        .map(|record| {
            let outcome = &record["outcome"];
            (
                record["action"].as_str(),
                record["actor"]["subject"].as_str(),
                outcome["result"].as_str(),
                outcome["status"].as_u64(),
            )
        })
        .collect();
    let expected = |action, subject, result, status| (Some(action), Some(subject), Some(result), Some(status));
    assert_eq!(
        recorded_fields,
        [
            expected("createTenant", "ann", "succeeded", 202),
            expected("createTenant", "ann", "succeeded", 202),
            expected("createTenant", "ann", "refused", 422),
            expected("retryOperation", "ann", "refused", 409),
            expected("cancelOperation", "bob", "succeeded", 202),
            expected("offboardTenant", "ann", "refused", 403),
        ]
    );
    let first = &records[0];
    assert_eq!((&first["tenant_id"], &first["request_id"]), (&tenant["id"], &json!("ours-1")));
    assert_eq!(first["source"], json!({ "address": "127.0.0.1", "forwarded_for": "203.0.113.7" }));
    assert_eq!(first["actor"]["issuer"], freehold_tests::tokens::ISSUER);
    assert_eq!(records[2]["outcome"]["code"], "validation_failed");
    assert_eq!(records[4]["tenant_id"], tenant["id"], "an entry about an operation names its tenant");
    assert_eq!(list_audit_records(&api, &format!("&tenant={}", tenant["id"].as_str().expect("an id"))).await.len(), 4);
    assert_eq!(list_audit_records(&api, "&action=cancelOperation&subject=bob").await.len(), 1);
    assert_eq!(list_audit_records(&api, "&request_id=ours-1").await.len(), 1);

    // Pages contain the same records.
    let (mut after, mut paged) = (0, Vec::new());
    loop {
        let page = api.get(&format!("/v1/audit-events?page_size=2&after={after}")).await.json();
        paged.extend(page["audit_events"].as_array().expect("records").iter().map(|event| event["record"].clone()));
        after = page["next_after"].as_i64().expect("a position");
        if page["has_more"] == false {
            assert_eq!(page["head"]["position"], 6);
            break;
        }
    }
    assert_eq!(paged, records);
    // A position beyond the end of the trail would skip records that are written later.
    assert_eq!(api.get("/v1/audit-events?after=7").await.status_and_code(), (400, "invalid_query".into()));
}

/// Sends a cancel request and disconnects while a database lock blocks the request. Returns the path of the operation
/// and the lock.
async fn send_cancel_and_disconnect(api: &ApiFixture) -> (String, Transaction<'static, Postgres>) {
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let mut lock = api.database.pool.begin().await.expect("a transaction");
    sqlx::query("select 1 from operations for update").execute(&mut *lock).await.expect("a lock");
    let cancel = api.request(Method::POST, &format!("{path}/cancel")).timeout(Duration::from_millis(300));
    assert!(cancel.send().await.expect_err("a timeout").is_timeout());
    (path, lock)
}

#[tokio::test]
async fn a_change_is_completed_and_audited_after_the_client_disconnects() {
    let api = ApiFixture::new().await;
    let (path, lock) = send_cancel_and_disconnect(&api).await;
    lock.rollback().await.expect("a released lock");
    wait_until("the change is recorded", async || {
        !list_audit_records(&api, "&action=cancelOperation").await.is_empty()
    })
    .await;
    let canceled = list_audit_records(&api, "&action=cancelOperation").await;
    let id = path.rsplit('/').next();
    assert_eq!(canceled[0]["outcome"], json!({ "result": "succeeded", "status": 202, "ids": [id] }));
    assert_eq!(api.get(&path).await.json()["state"], "canceled");
}

#[tokio::test]
async fn no_audit_entry_is_written_before_the_request_body_is_complete() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let host = api.url.trim_start_matches("http://");
    let token = api.issuer.token(freehold_tests::api_fixture::ALL_SCOPES);
    let body = json!({ "reason": "Records are to be kept." }).to_string();
    let head = format!(
        "PUT /v1/tenants/{}/legal-hold HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        tenant["id"].as_str().expect("an id"),
        body.len()
    );
    let mut connection = tokio::net::TcpStream::connect(host).await.expect("a connection");
    connection.write_all(head.as_bytes()).await.expect("a head");
    connection.write_all(&body.as_bytes()[..10]).await.expect("half a body");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let open_entries: i64 = sqlx::query_scalar("select count(*) from audit_pending where outcome is null")
        .fetch_one(&api.database.pool)
        .await
        .expect("an answer");
    assert_eq!(open_entries, 0, "an open entry would be recorded as unknown after a minute");
    connection.write_all(&body.as_bytes()[10..]).await.expect("the rest");
    let mut response = String::new();
    connection.read_to_string(&mut response).await.expect("an answer");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    wait_until("the change is recorded", async || !list_audit_records(&api, "&action=setLegalHold").await.is_empty())
        .await;
    let legal_holds = list_audit_records(&api, "&action=setLegalHold").await;
    assert_eq!(
        (&legal_holds[0]["outcome"]["result"], &legal_holds[0]["outcome"]["status"]),
        (&json!("succeeded"), &json!(200))
    );
}

#[tokio::test]
async fn replays_and_account_closures_have_their_own_audit_actions() {
    let api = ApiFixture::new().await;
    for _ in 0..2 {
        assert_eq!(api.signup_request("key-1", &signup_body()).send().await.expect("a response").status(), 202);
    }
    let tenants = api.get("/v1/tenants").await.json();
    let id = tenants["tenants"][0]["id"].as_str().expect("an id");
    assert_eq!(api.delete(&format!("/v1/tenants/{id}?close_account=true")).await.status, 202);
    wait_until("the change is recorded", async || list_audit_records(&api, &format!("&tenant={id}")).await.len() == 3)
        .await;
    let records = list_audit_records(&api, &format!("&tenant={id}")).await;
    assert_eq!(records[0]["outcome"]["code"], Value::Null);
    assert_eq!(records[1]["outcome"]["code"], "replayed");
    assert_eq!(records[2]["resource"], format!("/v1/tenants/{id}?close_account=true"));
}

#[tokio::test]
async fn shutdown_completes_the_writes_of_disconnected_callers() {
    let mut api = ApiFixture::new().await;
    let (_, lock) = send_cancel_and_disconnect(&api).await;
    api.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!api.server.is_finished(), "the API stopped before its requests finished");
    lock.rollback().await.expect("a released lock");
    let pool = api.database.pool.clone();
    (&mut api.server).await.expect("a stopped API");
    let state: String = sqlx::query_scalar("select state from operations").fetch_one(&pool).await.expect("a state");
    let open_entries: i64 = sqlx::query_scalar("select count(*) from audit_pending where outcome is null")
        .fetch_one(&pool)
        .await
        .expect("an answer");
    assert_eq!((state.as_str(), open_entries), ("canceled", 0));
}

#[tokio::test]
async fn a_change_that_takes_over_a_minute_gets_a_second_audit_record() {
    let freehold = Freehold::instant().await;
    let audit_writer = AuditWriter::new(freehold.pool().clone(), freehold.clock.clone());
    let entry = freehold_tests::signup::audit_entry();
    let open_entry = audit_writer.begin(&entry, None).await.expect("an audit entry");
    let results = async || {
        audit::advance(freehold.pool(), freehold.clock.now()).await.expect("a chain");
        let trail = audit::list(freehold.pool(), &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
        let result = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["outcome"]["result"].clone();
        trail.iter().map(|record| result(&record.text)).collect::<Vec<_>>()
    };
    freehold.clock.advance(Duration::from_secs(61));
    assert_eq!(results().await, ["unknown"]);
    let done = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    audit_writer.end(open_entry, &done).await;
    assert_eq!(results().await, ["unknown", "succeeded"]);
}

#[tokio::test]
async fn a_change_that_cannot_be_audited_is_rejected() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.database.do_not_reuse();
    sqlx::raw_sql("alter table audit_pending rename to renamed")
        .execute(&api.database.pool)
        .await
        .expect("a renamed table");
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    assert_eq!(api.post(&format!("{path}/cancel")).await.status, 500);
    assert_eq!(api.get(&path).await.json()["state"], "pending", "the operation was canceled without an audit entry");
    let refused = api.signup_request("key-2", &signup_body()).send().await.expect("a response");
    assert_eq!(refused.status(), 500);
    assert_eq!(api.get("/v1/tenants").await.json()["tenants"].as_array().expect("tenants").len(), 1);
}

#[tokio::test]
async fn each_aws_write_is_recorded_with_its_request_id() {
    let freehold = Freehold::instant().await;
    let before = freehold.world.calls();
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(30)).await;
    let now = freehold.clock.now();
    audit::advance(freehold.pool(), now).await.expect("a chain");
    let records = audit::list(freehold.pool(), &audit::AuditFilter::default(), 0, 1000).await.expect("the trail");
    let records: Vec<Value> = records.iter().map(|record| serde_json::from_str(&record.text).expect("JSON")).collect();
    let calls: Vec<_> = records.iter().filter(|record| record["kind"] == "aws.call").collect();
    for call in &calls {
        assert_eq!(call["tenant_id"], tenant.id.to_string(), "{call}");
        assert_eq!(call["operation_id"], tenant.environments[0].operation_id.to_string(), "{call}");
        assert!(
            call["step"].is_string() && call["aws_role"].as_str().expect("a role").starts_with("arn:aws:iam::"),
            "{call}"
        );
        assert_eq!(call["actor"], json!({ "process": "worker-1" }));
        assert!(call["outcome"]["aws_request_id"].as_str().is_some_and(|id| !id.is_empty()), "{call}");
    }
    // Expect one record per AWS call that is not a read.
    let recorded: Vec<&str> = calls.iter().map(|call| call["action"].as_str().expect("an action")).collect();
    let reads = ["Describe", "List", "Get", "Assume", "Invoke"];
    for (call, count) in freehold.world.calls().by_operation() {
        let count = usize::try_from(count.calls - before.of(&call).calls).expect("a number");
        // IAM and the SDK use different names for the service.
        let call = call.replace("ssoadmin:", "sso:");
        let (_, name) = call.split_once(':').expect("a service");
        let times = recorded.iter().filter(|recorded| **recorded == call).count();
        let expected = if reads.iter().any(|read| name.starts_with(read)) { 0 } else { count };
        assert_eq!(times, expected, "{call} in {recorded:?}");
    }
    let actions: BTreeSet<_> = recorded.into_iter().collect();
    assert!(
        actions.contains("organizations:CreateAccount") && actions.contains("sso:CreateAccountAssignment"),
        "{actions:?}"
    );
}

#[tokio::test]
async fn the_chain_head_is_anchored_after_changes_and_at_shutdown() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let anchors = directory.path().join("anchors.jsonl");
    let config = Audit {
        signing_key: Some(SIGNING_KEY.to_owned().into()),
        anchor_file: Some(anchors.clone()),
        anchor_interval_seconds: 3600,
        ..Audit::default()
    };
    let audit_writer = AuditWriter::new(freehold.pool().clone(), freehold.clock.clone());
    let shutdown = tokio_util::sync::CancellationToken::new();
    audit_writer.anchor_first(&config, &freehold.installation).await.expect("an anchor");
    let writer_task = tokio::spawn({
        let (audit_writer, shutdown, installation) =
            (audit_writer.clone(), shutdown.clone(), freehold.installation.clone());
        async move { audit_writer.run(&config, &installation, shutdown).await }
    });
    let entry = freehold_tests::signup::audit_entry();
    let done = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    audit_writer.note(&entry, None, &done).await;
    let keys = [Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key").public_key()];
    let anchored_positions = || -> Vec<i64> {
        let Ok(file) = AnchorFile::new(&anchors).read(&keys) else { return Vec::new() };
        file.anchors.iter().map(|(_, anchor)| anchor.head.position).collect()
    };
    wait_until("the first entry is anchored", async || anchored_positions() == [0, 1]).await;
    audit_writer.note(&entry, None, &done).await;
    shutdown.cancel();
    writer_task.await.expect("a finished task");
    assert_eq!(anchored_positions(), [0, 1, 2], "one of the empty trail, one after the first entry, one at shutdown");
}

#[tokio::test]
async fn entries_of_processes_without_the_key_are_anchored() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let anchors = directory.path().join("anchors.jsonl");
    let of_worker = Audit {
        signing_key: Some(SIGNING_KEY.to_owned().into()),
        anchor_file: Some(anchors.clone()),
        anchor_interval_seconds: 1,
        ..Audit::default()
    };
    let shutdown = tokio_util::sync::CancellationToken::new();
    let run = |pool: &sqlx::PgPool, config: Audit| {
        let writer = AuditWriter::new(pool.clone(), freehold.clock.clone());
        let (shutdown, installation) = (shutdown.clone(), freehold.installation.clone());
        let running = writer.clone();
        (writer, tokio::spawn(async move { running.run(&config, &installation, shutdown).await }))
    };
    let (_, worker) = run(&freehold.database.worker_pool, of_worker);
    let (of_api, api) = run(&freehold.database.api_pool, Audit::default());
    let keys = [Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key").public_key()];
    let last_anchored = || {
        let file = AnchorFile::new(&anchors).read(&keys).ok()?;
        file.anchors.last().map(|(_, anchor)| anchor.head.position)
    };
    let done = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    for position in 1..=2 {
        of_api.note(&freehold_tests::signup::audit_entry(), None, &done).await;
        wait_until("the entry is anchored", async || last_anchored() == Some(position)).await;
    }
    shutdown.cancel();
    worker.await.expect("a finished task");
    api.await.expect("a finished task");
}
