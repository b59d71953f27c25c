//! The audit trail: everything that changes something is on record, with who, from where and what came of it, and nothing of
//! that can be changed afterwards without being found out.

mod verify;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::audit::{AnchorFile, AuditWriter, Signer};
use freehold_tenancy::config::Audit;
use freehold_tenancy::db::audit;
use freehold_tests::api_fixture::{Served, signup};
use freehold_tests::fixture::Freehold;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The records of the trail, oldest first.
async fn trail(api: &Served, filter: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/audit-events?page_size=1000{filter}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.json()["audit_events"].as_array().expect("records").iter().map(|event| event["record"].clone()).collect()
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let come_about = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, come_about).await.unwrap_or_else(|_| panic!("it does not come about that {what}"));
}

#[tokio::test]
async fn whoever_changes_something_is_on_record_with_the_result() {
    let api = Served::new().await;
    let send = async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").status().as_u16();
    let asked =
        api.signup("key-1", &signup()).header("X-Request-Id", "ours-1").header("X-Forwarded-For", "203.0.113.7");
    let tenant: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(send(api.signup("key-1", &signup())).await, 202, "again");
    assert_eq!(send(api.signup("key-2", &json!({}))).await, 422);
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    assert_eq!(api.post(&format!("{path}/retry")).await.status, 409);
    assert_eq!(api.as_person("bob", Method::POST, &format!("{path}/cancel"), &json!({})).await.status, 202);
    let reader = api.issuer.token("fleet tenants:read");
    assert_eq!(send(api.bare(Method::DELETE, "/v1/tenants/ten_x").bearer_auth(reader)).await, 403);
    // Who only looks is not on record, and neither is who is nobody.
    api.get("/v1/tenants").await;
    assert_eq!(send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&signup())).await, 200);
    assert_eq!(send(api.bare(Method::POST, "/v1/tenants")).await, 401);

    let records = trail(&api, "").await;
    let told: Vec<_> = records
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
    let of = |action, subject, result, status| (Some(action), Some(subject), Some(result), Some(status));
    assert_eq!(
        told,
        [
            of("createTenant", "ann", "succeeded", 202),
            of("createTenant", "ann", "succeeded", 202),
            of("createTenant", "ann", "refused", 422),
            of("retryOperation", "ann", "refused", 409),
            of("cancelOperation", "bob", "succeeded", 202),
            of("offboardTenant", "ann", "refused", 403),
        ]
    );
    let first = &records[0];
    assert_eq!((&first["tenant_id"], &first["request_id"]), (&tenant["id"], &json!("ours-1")));
    assert_eq!(first["source"], json!({ "address": "127.0.0.1", "forwarded_for": "203.0.113.7" }));
    assert_eq!(first["actor"]["issuer"], freehold_tests::tokens::ISSUER);
    assert_eq!(records[2]["outcome"]["code"], "validation_failed");
    assert_eq!(records[4]["tenant_id"], tenant["id"], "what is done to an operation is about its tenant");
    assert_eq!(trail(&api, &format!("&tenant={}", tenant["id"].as_str().expect("an id"))).await.len(), 4);
    assert_eq!(trail(&api, "&action=cancelOperation&subject=bob").await.len(), 1);
    assert_eq!(trail(&api, "&request_id=ours-1").await.len(), 1);

    // Page by page it is the same.
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
    // Who asks for what is not there yet would miss what comes until then.
    assert_eq!(api.get("/v1/audit-events?after=7").await.outcome(), (400, "invalid_query".into()));
}

/// An operation that is being canceled by somebody who has hung up, and what keeps that from coming to its end.
async fn hung_up(api: &Served) -> (String, Transaction<'static, Postgres>) {
    let tenant = api.signed_up(&signup()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let mut lock = api.database.pool.begin().await.expect("a transaction");
    sqlx::query("select 1 from operations for update").execute(&mut *lock).await.expect("a lock");
    let cancel = api.request(Method::POST, &format!("{path}/cancel")).timeout(Duration::from_millis(300));
    assert!(cancel.send().await.expect_err("no answer").is_timeout());
    (path, lock)
}

#[tokio::test]
async fn what_has_begun_comes_to_its_end_and_on_record_though_the_caller_hangs_up() {
    let api = Served::new().await;
    let (path, lock) = hung_up(&api).await;
    lock.rollback().await.expect("the lock given back");
    eventually("it is on record", async || !trail(&api, "&action=cancelOperation").await.is_empty()).await;
    let canceled = trail(&api, "&action=cancelOperation").await;
    assert_eq!(canceled[0]["outcome"], json!({ "result": "succeeded", "status": 202 }));
    assert_eq!(api.get(&path).await.json()["state"], "canceled");
}

#[tokio::test]
async fn what_somebody_is_slow_to_send_is_begun_when_it_is_there() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    let host = api.url.trim_start_matches("http://");
    let token = api.issuer.token(freehold_tests::api_fixture::EVERY_SCOPE);
    let body = json!({ "reason": "Records are to be kept." }).to_string();
    let head = format!(
        "PUT /v1/tenants/{}/legal-hold HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        tenant["id"].as_str().expect("an id"),
        body.len()
    );
    let mut caller = tokio::net::TcpStream::connect(host).await.expect("a connection");
    caller.write_all(head.as_bytes()).await.expect("a head");
    caller.write_all(&body.as_bytes()[..10]).await.expect("half a body");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun: i64 = sqlx::query_scalar("select count(*) from audit_pending where outcome is null")
        .fetch_one(&api.database.pool)
        .await
        .expect("an answer");
    assert_eq!(begun, 0, "it is on record as begun, and would be as unknown after a minute");
    caller.write_all(&body.as_bytes()[10..]).await.expect("the rest");
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    eventually("it is on record", async || !trail(&api, "&action=setLegalHold").await.is_empty()).await;
    let held = trail(&api, "&action=setLegalHold").await;
    assert_eq!(held[0]["outcome"], json!({ "result": "succeeded", "status": 200 }));
}

#[tokio::test]
async fn a_replay_is_told_from_a_signup_and_closing_from_letting_go() {
    let api = Served::new().await;
    for _ in 0..2 {
        assert_eq!(api.signup("key-1", &signup()).send().await.expect("an answer").status(), 202);
    }
    let tenants = api.get("/v1/tenants").await.json();
    let id = tenants["tenants"][0]["id"].as_str().expect("an id");
    assert_eq!(api.delete(&format!("/v1/tenants/{id}?close_account=true")).await.status, 202);
    eventually("it is on record", async || trail(&api, &format!("&tenant={id}")).await.len() == 3).await;
    let records = trail(&api, &format!("&tenant={id}")).await;
    assert_eq!(records[0]["outcome"]["code"], Value::Null);
    assert_eq!(records[1]["outcome"]["code"], "replayed");
    assert_eq!(records[2]["resource"], format!("/v1/tenants/{id}?close_account=true"));
}

#[tokio::test]
async fn a_change_whose_caller_has_hung_up_comes_to_its_end_before_the_api_does() {
    let mut api = Served::new().await;
    let (_, lock) = hung_up(&api).await;
    api.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!api.server.is_finished(), "the API has ended before what it was doing");
    lock.rollback().await.expect("the lock given back");
    let pool = api.database.pool.clone();
    (&mut api.server).await.expect("an API that ends");
    let state: String = sqlx::query_scalar("select state from operations").fetch_one(&pool).await.expect("its state");
    let begun: i64 = sqlx::query_scalar("select count(*) from audit_pending where outcome is null")
        .fetch_one(&pool)
        .await
        .expect("an answer");
    assert_eq!((state.as_str(), begun), ("canceled", 0));
}

#[tokio::test]
async fn what_takes_longer_than_a_minute_is_told_again_when_it_is_known() {
    let freehold = Freehold::instant().await;
    let audit_writer = AuditWriter::new(freehold.pool().clone(), freehold.clock.clone());
    let entry = freehold_tests::signup::entry();
    let begun = audit_writer.begin(&entry, None).await.expect("on record");
    let results = async || {
        audit::advance(freehold.pool(), TimeDelta::days(1), freehold.clock.now()).await.expect("a chain");
        let trail = audit::list(freehold.pool(), &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
        let result = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["outcome"]["result"].clone();
        trail.iter().map(|record| result(&record.text)).collect::<Vec<_>>()
    };
    freehold.clock.advance(Duration::from_secs(61));
    assert_eq!(results().await, ["unknown"]);
    let done = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    audit_writer.end(begun, &done).await;
    assert_eq!(results().await, ["unknown", "succeeded"]);
}

#[tokio::test]
async fn what_cannot_be_put_on_record_is_not_done() {
    let mut api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    api.database.spoil();
    sqlx::raw_sql("alter table audit_pending rename to gone").execute(&api.database.pool).await.expect("no table");
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    assert_eq!(api.post(&format!("{path}/cancel")).await.status, 500);
    assert_eq!(api.get(&path).await.json()["state"], "pending", "it was canceled all the same");
    let refused = api.signup("key-2", &signup()).send().await.expect("an answer");
    assert_eq!(refused.status(), 500);
    assert_eq!(api.get("/v1/tenants").await.json()["tenants"].as_array().expect("tenants").len(), 1);
}

#[tokio::test]
async fn every_call_that_changes_something_in_aws_is_on_record_with_its_request_id() {
    let freehold = Freehold::instant().await;
    let before = freehold.world.calls();
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::minutes(30)).await;
    let now = freehold.clock.now();
    audit::advance(freehold.pool(), TimeDelta::days(1), now).await.expect("a chain");
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
    // One record for each call that the simulated AWS was asked for and that is not a look.
    let recorded: Vec<&str> = calls.iter().map(|call| call["action"].as_str().expect("an action")).collect();
    let reads = ["Describe", "List", "Get", "Assume", "Invoke"];
    for (call, count) in freehold.world.calls().by_operation() {
        let count = usize::try_from(count.calls - before.of(&call).calls).expect("a number");
        // The service's name in IAM is another than the SDK's.
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
async fn the_head_is_anchored_where_it_has_moved_and_the_trail_is_at_most_a_second_behind() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let anchors = directory.path().join("anchors.jsonl");
    let config = Audit {
        signing_key: Some(KEY.to_owned().into()),
        anchor_file: Some(anchors.clone()),
        anchor_interval_seconds: 3600,
        ..Audit::default()
    };
    let audit_writer = AuditWriter::new(freehold.pool().clone(), freehold.clock.clone());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let keeping = tokio::spawn({
        let (audit_writer, shutdown, installation) =
            (audit_writer.clone(), shutdown.clone(), freehold.installation.clone());
        async move { audit_writer.run(&config, &installation, shutdown).await }
    });
    let entry = freehold_tests::signup::entry();
    let done = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    audit_writer.note(&entry, None, &done).await;
    let chained = async || -> i64 {
        sqlx::query_scalar("select position from audit_head").fetch_one(freehold.pool()).await.expect("the head")
    };
    eventually("it is chained", async || chained().await == 1).await;
    audit_writer.note(&entry, None, &done).await;
    shutdown.cancel();
    keeping.await.expect("an end");
    let keys = [Signer::new(&KEY.to_owned().into()).expect("a key").public_key()];
    let kept = AnchorFile::new(&anchors).read(freehold.installation.id, &keys).expect("anchors");
    let places: Vec<_> = kept.anchors.iter().map(|anchor| anchor.head.position).collect();
    assert_eq!(places, [1, 2], "one when there was something, one at the end");
}
