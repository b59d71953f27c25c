//! The audit trail: everything that changes something is on record, with who, from where and what came of it, and nothing of
//! that can be changed afterwards without being found out.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::audit::{AnchorFile, Scribe, Signer};
use freehold_tenancy::config::Audit;
use freehold_tenancy::db::{PgPool, audit};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::served::{Served, signup};
use reqwest::Method;
use serde_json::{Value, json};

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
    assert_eq!(trail(&api, &format!("&tenant={}", tenant["id"].as_str().expect("an id"))).await.len(), 3);
    assert_eq!(trail(&api, "&action=cancelOperation&subject=bob").await.len(), 1);
    assert_eq!(trail(&api, "&request_id=ours-1").await.len(), 1);

    // Page by page it is the same.
    let (mut after, mut paged) = (0, Vec::new());
    loop {
        let page = api.get(&format!("/v1/audit-events?page_size=2&after={after}")).await.json();
        paged.extend(page["audit_events"].as_array().expect("records").iter().map(|event| event["record"].clone()));
        after = page["next_after"].as_i64().expect("a position");
        if page["more"] == false {
            assert_eq!(page["head"]["position"], 6);
            break;
        }
    }
    assert_eq!(paged, records);
    // Who asks for what is not there yet would miss what comes until then.
    assert_eq!(api.get("/v1/audit-events?after=7").await.outcome(), (400, "invalid_query".into()));
}

#[tokio::test]
async fn what_has_begun_comes_to_its_end_and_on_record_though_the_caller_hangs_up() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let mut lock = api.database.pool.begin().await.expect("a transaction");
    sqlx::query("select 1 from operations for update").execute(&mut *lock).await.expect("a lock");
    let cancel = api.request(Method::POST, &format!("{path}/cancel")).timeout(Duration::from_millis(300));
    assert!(cancel.send().await.expect_err("no answer").is_timeout());
    lock.rollback().await.expect("the lock given back");
    eventually("it is on record", async || !trail(&api, "&action=cancelOperation").await.is_empty()).await;
    let canceled = trail(&api, "&action=cancelOperation").await;
    assert_eq!(canceled[0]["outcome"], json!({ "result": "succeeded", "status": 202 }));
    assert_eq!(api.get(&path).await.json()["state"], "canceled");
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

/// What `freehold audit verify` says, and whether it is content.
fn verify(freehold: &Freehold, directory: &Path) -> (bool, String) {
    let config = directory.join("freehold.toml");
    let anchors = directory.join("anchors.jsonl");
    let text = format!("{CONFIG}\n[audit]\nsigning_key = {}\nanchor_file = {}\n", json!(KEY), json!(anchors));
    std::fs::write(&config, text).expect("a configuration");
    let output = Command::new(env!("CARGO_BIN_EXE_freehold-under-test"))
        .args(["audit", "verify", "--config", config.to_str().expect("text"), "--database-url", &freehold.database.url])
        .output()
        .expect("the program");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), told)
}

async fn execute(pool: &PgPool, statement: &'static str) {
    sqlx::raw_sql(statement).execute(pool).await.expect("a change");
}

#[tokio::test]
async fn whatever_is_edited_removed_reordered_or_cut_off_is_found() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let pool = freehold.pool();
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::minutes(30)).await;
    let head = audit::advance(pool, TimeDelta::days(1), freehold.clock.now()).await.expect("a chain");
    assert!(head.position > 5, "{head:?}");
    let signer = Signer::new(&KEY.to_owned().into()).expect("a key");
    let file = AnchorFile::new(&directory.path().join("anchors.jsonl"));
    file.append(&signer.sign(freehold.installation.id, head, freehold.clock.now())).expect("an anchor");
    let (sound, told) = verify(&freehold, directory.path());
    assert!(sound && told.contains(&format!("from 1 to {0}, anchored up to {0}", head.position)), "{told}");

    execute(pool, "create table kept as table audit_records; create table kept_head as table audit_head").await;
    let rehash = "update audit_head set position = r.position, hash = r.hash
        from (select position, hash from audit_records order by position desc limit 1) r";
    for (what, change, says) in [
        ("edited", "update audit_records set record = replace(record::text, 'worker-1', 'worker-2')::json where position = 3", "the record at 3 was edited"),
        ("backdated", "update audit_records set recorded_at = recorded_at - interval '1 hour' where position = 3", "the record at 3 was edited"),
        ("removed", "delete from audit_records where position = 3", "4 follows 2"),
        ("beheaded", "delete from audit_records where position = 1", "2 follows 0"),
        ("reordered", "update audit_records set position = -position where position in (3, 4);
            update audit_records set position = 7 + position where position < 0", "the record at 3 was edited"),
        ("cut off", "delete from audit_records where position = (select max(position) from audit_records)", "its end was cut off"),
        ("cut off with its head", "delete from audit_records where position > 3", "its end was cut off"),
        ("dropped before its time", "update audit_head set dropped_position = 2, dropped_hash = (select hash from audit_records where position = 2);
            delete from audit_records where position <= 2", "no record says that what came before was dropped"),
        ("emptied", "delete from audit_records", "its end was cut off"),
    ] {
        let unchecked = "alter table audit_records drop constraint if exists audit_records_position_check";
        execute(pool, unchecked).await;
        execute(pool, change).await;
        if what == "cut off with its head" {
            execute(pool, rehash).await;
        }
        let (sound, told) = verify(&freehold, directory.path());
        assert!(!sound && told.contains(says), "{what}: {told}");
        execute(pool, "delete from audit_records; insert into audit_records table kept; delete from audit_head; insert into audit_head table kept_head").await;
        assert!(verify(&freehold, directory.path()).0, "{what}");
    }

    // Written anew from the beginning, the chain holds, and the anchor tells.
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 1000).await.expect("the trail");
    execute(pool, "delete from audit_records").await;
    let mut hash = [0; 32];
    for record in records {
        let text = record.text.replace("worker-1", "worker-2");
        hash = freehold_tenancy::audit::chained(&hash, record.position, record.recorded_at, &text);
        sqlx::query("insert into audit_records (position, recorded_at, record, hash) values ($1, $2, $3::json, $4)")
            .bind(record.position)
            .bind(record.recorded_at)
            .bind(text)
            .bind(hash.as_slice())
            .execute(pool)
            .await
            .expect("a record");
    }
    execute(pool, rehash).await;
    let (sound, told) = verify(&freehold, directory.path());
    assert!(!sound && told.contains("was written anew"), "{told}");

    // An anchor that somebody else has signed is none.
    let other = Signer::new(&"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=".to_owned().into()).expect("a key");
    file.append(&other.sign(freehold.installation.id, head, freehold.clock.now())).expect("an anchor");
    let (sound, told) = verify(&freehold, directory.path());
    assert!(!sound && told.contains("was not signed with the key"), "{told}");
    execute(pool, "drop table kept; drop table kept_head; alter table audit_records add constraint audit_records_position_check check (position > 0)").await;
}

#[tokio::test]
async fn what_was_begun_by_somebody_who_died_is_unknown_and_old_records_go_on_record() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("anchors.jsonl"), "").expect("no anchors yet");
    let (pool, clock) = (freehold.pool(), &freehold.clock);
    let advance = async |days| audit::advance(pool, TimeDelta::days(days), clock.now()).await.expect("a chain");
    let deed = freehold_tests::signup::deed();
    let begun = audit::begin(pool, &deed, None, clock.now()).await.expect("on record");
    assert_eq!(advance(10).await.position, 0, "chained while it is under way");
    clock.advance(Duration::from_secs(61));
    assert_eq!(advance(10).await.position, 1);
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    assert!(records[0].text.contains(r#""outcome":{"result":"unknown"}"#), "{}", records[0].text);
    // Who comes to its end later than that changes nothing.
    let late = freehold_tenancy::audit::Outcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    audit::end(pool, begun, &late).await.expect("an answer");

    for _ in 0..3 {
        clock.advance(Duration::from_hours(5 * 24));
        audit::note(pool, &deed, None, &late, clock.now()).await.expect("on record");
        advance(10).await;
    }
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    let places: Vec<_> = records.iter().map(|record| record.position).collect();
    assert_eq!(places, [2, 3, 4, 5], "the first is fifteen days old");
    assert!(records[3].text.contains("audit.dropped"), "{}", records[3].text);
    let (sound, told) = verify(&freehold, directory.path());
    assert!(sound && told.contains("from 2 to 5, never anchored"), "{told}");
}

#[tokio::test]
async fn the_head_is_anchored_where_it_has_moved_and_the_trail_is_at_most_a_second_behind() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let anchors = directory.path().join("anchors.jsonl");
    let config = Audit {
        signing_key: Some(KEY.to_owned().into()),
        anchor_file: Some(anchors.clone()),
        anchor_every_seconds: 3600,
        ..Audit::default()
    };
    let scribe = Scribe::new(freehold.pool().clone(), freehold.clock.clone());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let keeping = tokio::spawn({
        let (scribe, shutdown, installation) = (scribe.clone(), shutdown.clone(), freehold.installation.clone());
        async move { scribe.keep(&config, &installation, shutdown).await }
    });
    let deed = freehold_tests::signup::deed();
    let done = freehold_tenancy::audit::Outcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    scribe.note(&deed, None, &done).await;
    let chained = async || -> i64 {
        sqlx::query_scalar("select position from audit_head").fetch_one(freehold.pool()).await.expect("the head")
    };
    eventually("it is chained", async || chained().await == 1).await;
    scribe.note(&deed, None, &done).await;
    shutdown.cancel();
    keeping.await.expect("an end");
    let keys = [Signer::new(&KEY.to_owned().into()).expect("a key").public_key()];
    let kept = AnchorFile::new(&anchors).read(freehold.installation.id, &keys).expect("anchors");
    let places: Vec<_> = kept.iter().map(|anchor| anchor.head.position).collect();
    assert_eq!(places, [1, 2], "one when there was something, one at the end");
}
