//! Tests of webhook deliveries: events of the feed are signed and sent to the endpoints that subscribe to them, without
//! avoidable duplicates.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::db::findings::{self, FindingFilter};
use freehold_tenancy::finding::{FindingKind, FindingRemedy, NewFinding};
use freehold_tests::receiver::{ReceivedRequest, Receiver, Reply};
use freehold_tests::webhook_fixture::{WebhookFixture, id};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

#[tokio::test]
async fn a_delivery_contains_the_signed_event_and_the_attempt_is_logged() {
    let hooks = WebhookFixture::new().await;
    hooks.sign_up_tenant().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    let tenant = hooks.sign_up_tenant().await;
    assert_eq!(Arc::new(hooks.worker()).drain_webhooks().await.unwrap(), 1);

    let all = receiver.received();
    let [received] = &all[..] else { panic!("{all:?}") };
    assert_eq!(received.line, "POST /hook?of=billing HTTP/1.1");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.signatures(), [received.expected_signature(endpoint["secret"].as_str().unwrap())]);
    let timestamp: i64 = received.headers["webhook-timestamp"].parse().unwrap();
    assert!((freehold_tenancy::Clock::real().now().timestamp() - timestamp).abs() < 60, "{timestamp}");
    // Events that are older than the endpoint are not sent. The body is the same as in the feed.
    let feed = hooks.api.get("/v1/events").await.json();
    assert_eq!(feed["events"].as_array().unwrap().len(), 2);
    assert_eq!(received.json(), feed["events"][1]);
    assert_eq!(received.json()["data"]["tenant_id"], tenant["id"]);
    assert!(received.body.len() < 20_000);

    let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("expected one delivery") };
    assert_eq!(
        (&delivery["state"], &delivery["type"], &delivery["attempt_count"], &delivery["next_attempt_at"]),
        (&json!("delivered"), &json!("tenant.onboarding.accepted"), &json!(1), &json!(null))
    );
    assert_eq!(id(delivery), received.id());
    let attempt = hooks.last_attempt(&endpoint, delivery).await;
    assert_eq!((&attempt["response_status"], &attempt["error"]), (&json!(204), &json!(null)));
    assert_eq!(attempt["message"], "Delivered (204).");
    assert_eq!(Arc::new(hooks.worker()).drain_webhooks().await.unwrap(), 0, "the delivery was sent again");
}

#[tokio::test]
async fn concurrent_workers_send_each_selected_event_once() {
    let hooks = WebhookFixture::new().await;
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    hooks.create_endpoint(&all.url(), &[]).await;
    hooks.create_endpoint(&some.url(), &["environment.account.assigned", "tenant.updated"]).await;
    for account in 0..6 {
        hooks.sign_up_tenant().await;
        hooks.api.succeed_operation(&format!("00000000000{account}")).await;
    }
    let workers = [Arc::new(hooks.worker()), Arc::new(hooks.worker()), Arc::new(hooks.worker())];
    let sent = futures::future::join_all(workers.iter().map(send_due_deliveries)).await;
    let feed = hooks.api.get("/v1/events").await.json();
    let feed_ids: BTreeSet<_> =
        feed["events"].as_array().unwrap().iter().map(|event| event["id"].to_string()).collect();
    let got: Vec<_> = all.received().iter().map(|received| received.json()["id"].to_string()).collect();
    assert_eq!(got.len(), feed_ids.len(), "events are missing or repeated");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), feed_ids);
    let types: Vec<_> = some.received().iter().map(|received| received.json()["type"].clone()).collect();
    assert_eq!(types, vec![json!("environment.account.assigned"); 6]);
    assert_eq!(sent.into_iter().sum::<usize>(), feed_ids.len() + 6);
}

/// Sends all due deliveries of a worker and returns their number.
#[tokio::test]
async fn an_endpoint_receives_each_change_of_a_degraded_environment_once() {
    let hooks = WebhookFixture::new().await;
    let tenant = hooks.sign_up_tenant().await;
    hooks.api.succeed_operation("111122223333").await;
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    hooks.create_endpoint(&all.url(), &[]).await;
    hooks.create_endpoint(&some.url(), &["environment.degraded", "environment.recovered"]).await;
    let finding = NewFinding {
        kind: FindingKind::AccountMissing,
        subject: "111122223333".to_owned(),
        aws_account_id: None,
        environment: Some((id(&tenant).parse().unwrap(), id(&tenant["environments"][0]).parse().unwrap())),
        message: "Account 111122223333 is no longer in the organisation.".to_owned(),
        remedy: FindingRemedy::Person,
    };
    let (pool, now) = (&hooks.database().pool, hooks.clock().now());
    for _ in 0..2 {
        let (recorded, _) = findings::record(pool, std::slice::from_ref(&finding), now).await.unwrap();
        send_due_deliveries(&Arc::new(hooks.worker())).await;
        assert_eq!(recorded.len(), 1);
    }
    hooks.advance(Duration::from_mins(1));
    let open = findings::list(pool, &FindingFilter::default(), None, 10).await.unwrap();
    findings::resolve(pool, &[open[0].id], hooks.clock().now(), hooks.clock().now()).await.unwrap();
    send_due_deliveries(&Arc::new(hooks.worker())).await;

    let types = |receiver: &Receiver| {
        let received = receiver.received();
        let mut types: Vec<_> = received.iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect();
        types.sort();
        types
    };
    let states = ["environment.degraded", "environment.recovered"];
    assert_eq!(types(&some), states);
    assert_eq!(types(&all), [states[0], "environment.finding.opened", "environment.finding.resolved", states[1]]);
    let feed = hooks.api.get("/v1/events?types=environment.degraded").await.json();
    let degraded = some.received().iter().map(ReceivedRequest::json).find(|event| event["type"] == states[0]);
    assert_eq!(degraded.as_ref(), Some(&feed["events"][0]), "the delivery differs from the feed");
    assert_eq!(feed["events"][0]["subject"], tenant["environments"][0]["id"]);
}

async fn send_due_deliveries(worker: &Arc<freehold_worker::Worker>) -> usize {
    worker.drain_webhooks().await.unwrap()
}

#[tokio::test]
async fn both_secrets_are_valid_for_a_day_after_a_rotation() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let before = hooks.create_endpoint(&receiver.url(), &[]).await;
    let rotated = hooks.post(&before, "/rotate-secret", &json!({})).await.json();
    let (old, new) = (before["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(old, new);
    assert_eq!(hooks.get(&before, "").await.get("secret"), None, "the secret was shown again");
    let worker = Arc::new(hooks.worker());
    for (hours, both) in [(0, true), (23, true), (2, false)] {
        hooks.advance(Duration::from_hours(hours));
        hooks.sign_up_tenant().await;
        worker.drain_webhooks().await.unwrap();
        let received = receiver.received().pop().unwrap();
        let expected = if both {
            vec![received.expected_signature(new), received.expected_signature(old)]
        } else {
            vec![received.expected_signature(new)]
        };
        assert_eq!(received.signatures(), expected, "{hours} hours later");
    }
    // The expired secret is deleted.
    let stored: i64 = sqlx::query_scalar("select count(previous_secret) from webhook_endpoints")
        .fetch_one(&hooks.database().pool)
        .await
        .unwrap();
    hooks.advance(Duration::from_hours(2));
    hooks.sign_up_tenant().await;
    Arc::new(hooks.worker()).drain_webhooks().await.unwrap();
    let later: i64 = sqlx::query_scalar("select count(previous_secret) from webhook_endpoints")
        .fetch_one(&hooks.database().pool)
        .await
        .unwrap();
    assert!(stored <= 1 && later == 0, "{stored}, then {later}");
}

#[tokio::test]
async fn a_delivery_of_a_crashed_worker_is_repeated_with_the_same_id() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    receiver.set_reply(Reply::NoResponse);
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    let dying_worker = Arc::new(hooks.worker());
    let task = tokio::spawn(async move { dying_worker.drain_webhooks().await });
    assert!(receiver.wait_for(1, Duration::from_secs(10)).await);
    task.abort();
    _ = task.await;
    receiver.set_reply(Reply::Status(200, String::new()));
    let other = Arc::new(hooks.worker());
    assert_eq!(other.drain_webhooks().await.unwrap(), 0, "two workers sent the same attempt");
    hooks.advance(Duration::from_secs(25));
    assert_eq!(other.drain_webhooks().await.unwrap(), 1);
    let received = receiver.received();
    assert_eq!((received.len(), received[0].id()), (2, received[1].id()));
    let [delivery] = &hooks.deliveries(&endpoint).await[..] else { panic!("expected one delivery") };
    assert_eq!((&delivery["state"], &delivery["attempt_count"]), (&json!("delivered"), &json!(1)));
}

#[tokio::test]
async fn one_event_or_all_events_since_a_time_can_be_replayed() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let worker = Arc::new(hooks.worker());
    hooks.sign_up_tenant().await;
    hooks.advance(Duration::from_hours(1));
    let since = hooks.clock().now();
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    hooks.sign_up_tenant().await;
    worker.drain_webhooks().await.unwrap();
    let first = receiver.received()[0].clone();

    let one = hooks.post(&endpoint, &format!("/deliveries/{}/replay", first.id()), &json!({})).await;
    assert_eq!((one.status.as_u16(), &one.json()["state"]), (202, &json!("pending")));
    worker.drain_webhooks().await.unwrap();
    assert_eq!((receiver.received().len(), receiver.received()[1].id()), (2, first.id()));
    assert_eq!(receiver.received()[1].body, first.body);

    let disabled = hooks.post(&endpoint, "/disable", &json!({})).await.json();
    assert_eq!((&disabled["state"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("by_request")));
    hooks.sign_up_tenant().await;
    assert_eq!(worker.drain_webhooks().await.unwrap(), 0, "a disabled endpoint received a delivery");
    let refused = hooks.post(&endpoint, "/replay", &json!({ "since": since })).await;
    assert_eq!(refused.status_and_code(), (409, "webhook_disabled".into()));
    let enabled = hooks.post(&endpoint, "/enable", &json!({})).await.json();
    assert_eq!(enabled["state"], "enabled");
    assert_eq!(worker.drain_webhooks().await.unwrap(), 0, "events were stored for a disabled endpoint");

    let replayed = hooks.post(&endpoint, "/replay", &json!({ "since": since })).await;
    assert_eq!((replayed.status.as_u16(), replayed.json()), (202, json!({ "events": 2 })));
    assert_eq!(worker.drain_webhooks().await.unwrap(), 2);
    let everything = hooks.post(&endpoint, "/replay", &json!({ "since": "2026-01-01T00:00:00Z" })).await;
    assert_eq!(everything.json(), json!({ "events": 3 }));
    worker.drain_webhooks().await.unwrap();
    let ids: BTreeSet<_> = receiver.received().iter().map(|received| received.id().to_owned()).collect();
    assert_eq!((ids.len(), receiver.received().len()), (3, 7), "(ids, requests)");
    hooks.advance(Duration::from_hours(24 * 31));
    let long_ago = hooks.post(&endpoint, "/replay", &json!({ "since": since })).await;
    assert_eq!(long_ago.status_and_code(), (422, "validation_failed".into()));
}

#[tokio::test]
async fn events_are_sent_within_a_second_and_old_deliveries_deleted() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let (worker, shutdown) = (Arc::new(hooks.worker()), tokio_util::sync::CancellationToken::new());
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The endpoint is created while the worker runs.
    let endpoint = hooks.create_endpoint(&receiver.url(), &["tenant.onboarding.accepted", "tenant.updated"]).await;
    let tenant = hooks.sign_up_tenant().await;
    let start = Instant::now();
    assert!(receiver.wait_for(1, Duration::from_secs(5)).await);
    let took = start.elapsed();
    let path = format!("/v1/tenants/{}", id(&tenant));
    let change = hooks.api.request(Method::PATCH, &path).header("If-Match", "*").json(&json!({ "tier": "enterprise" }));
    assert_eq!(freehold_tests::api_fixture::send(change).await.status, 200);
    let changed = Instant::now();
    assert!(receiver.wait_for(2, Duration::from_secs(5)).await);
    let later = changed.elapsed();
    assert!(took < Duration::from_secs(1) && later < Duration::from_secs(1), "{took:?}, {later:?}");
    shutdown.cancel();
    running.await.unwrap();

    hooks.advance(Duration::from_hours(24 * 31));
    Arc::new(hooks.worker()).drain_webhooks().await.unwrap();
    assert_eq!(hooks.deliveries(&endpoint).await.len(), 0, "deliveries older than 30 days");
    let attempts: i64 =
        sqlx::query_scalar("select count(*) from webhook_attempts").fetch_one(&hooks.database().pool).await.unwrap();
    assert_eq!(attempts, 0);
}

#[tokio::test]
async fn the_code_in_the_readme_verifies_signatures() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    hooks.post(&endpoint, "/rotate-secret", &json!({})).await;
    hooks.sign_up_tenant().await;
    Arc::new(hooks.worker()).drain_webhooks().await.unwrap();
    let readme = include_str!("../../../README.md");
    let lines = readme.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    let script = format!(
        "import base64, hmac, json, sys\n{lines}\nprint(is_ours(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode()))"
    );
    let received = receiver.received().remove(0);
    let headers = json!(received.headers).to_string();
    let is_accepted = |secret: &str, body: &str| {
        let python =
            std::process::Command::new("python3").args(["-c", &script, secret, &headers, body]).output().unwrap();
        String::from_utf8_lossy(&python.stdout).trim().to_owned() + String::from_utf8_lossy(&python.stderr).as_ref()
    };
    // Uses the secret from before the rotation.
    let secret = endpoint["secret"].as_str().unwrap();
    assert_eq!(is_accepted(secret, &received.body), "True");
    assert_eq!(is_accepted(secret, &received.body.replace("accepted", "canceled")), "False");
    assert_eq!(is_accepted("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &received.body), "False");
}

#[tokio::test]
async fn webhook_fan_out_reads_each_event_once() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    hooks.create_endpoint(&receiver.url(), &["environment.account.released"]).await;
    hooks.sign_up_tenant().await;
    let (pool, now) = (&hooks.api.database.pool, hooks.api.clock.now());
    let fan_out = async || {
        let fanned = freehold_tenancy::db::webhooks::fanout::fan_out(pool, now);
        tokio::time::timeout(Duration::from_secs(30), fanned).await.expect("a finished task").unwrap()
    };
    assert_eq!(fan_out().await, 1);
    let many_events = "with inserted as (
            insert into feed (position, tenant_id, type, data, occurred_at, recorded_at)
            select head.position + n, (select id from tenants), 'tenant.updated', '{}', $1, $1
            from feed_head head, generate_series(1, 2500) n returning position)
        update feed_head set position = (select max(position) from inserted)";
    sqlx::query(many_events).bind(now).execute(pool).await.unwrap();
    assert_eq!(fan_out().await, 2500);
    assert_eq!(fan_out().await, 0, "events were read again");
}

#[tokio::test]
async fn webhooks_deliver_events_of_the_fleet() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    hooks.create_endpoint(&receiver.url(), &["change_freeze.started"]).await;
    sqlx::query("insert into feed_pending (type, data, occurred_at) values ('change_freeze.started', '{}', $1)")
        .bind(hooks.api.clock.now())
        .execute(&hooks.api.database.pool)
        .await
        .unwrap();
    assert_eq!(Arc::new(hooks.worker()).drain_webhooks().await.unwrap(), 1);
    let event = receiver.received().remove(0).json();
    assert_eq!((&event["type"], &event["data"]), (&json!("change_freeze.started"), &json!({})));
}
