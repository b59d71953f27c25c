//! A receiver that is dead or slow delays nobody else.

use std::sync::Arc;
use std::time::Duration;

use freehold_tests::receiver::{Receiver, StoredResponse};
use freehold_tests::webhook_fixture::WebhookFixture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many events there are.
const EVENTS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_fall_silent_at_the_same_moment_do_not_keep_the_others_waiting() {
    let hooks = WebhookFixture::new().await;
    let mut silent = Vec::new();
    // None of them has failed before: together they want as much as all that is sent at a time.
    for _ in 0..20 {
        let receiver = Receiver::start().await;
        receiver.answers(StoredResponse::Silence);
        hooks.endpoint(&receiver.url(), &[]).await;
        silent.push(receiver);
    }
    for _ in 0..10 {
        hooks.sign_up_tenant().await;
    }
    let (worker, shutdown) = (Arc::new(hooks.worker()), CancellationToken::new());
    let running = tokio::spawn(async move { worker.run(shutdown).await });
    let under_way = || silent.iter().map(|receiver| receiver.received().len()).sum::<usize>();
    while under_way() < 60 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let healthy = Receiver::start().await;
    hooks.endpoint(&healthy.url(), &[]).await;
    for _ in 0..10 {
        hooks.sign_up_tenant().await;
    }
    // They are given up after 15 seconds.
    assert!(healthy.has(10, Duration::from_secs(10)).await, "{} came", healthy.received().len());
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_and_dead_receivers_delay_neither_the_others_nor_the_rest_of_the_work() {
    let hooks = WebhookFixture::new().await;
    let (silent, slow, healthy) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    silent.answers(StoredResponse::Silence);
    slow.answers(StoredResponse::Late(Duration::from_secs(2)));
    // More who are dead than all that is sent at a time would do for, if they were let.
    let mut dead = Vec::new();
    for _ in 0..25 {
        let receiver = Receiver::start().await;
        receiver.answers(StoredResponse::Silence);
        hooks.endpoint(&receiver.url(), &[]).await;
        dead.push(receiver);
    }
    let all = "update webhook_endpoints set failing_since = created_at";
    sqlx::query(all).execute(&hooks.database().pool).await.unwrap();
    for receiver in [&silent, &slow] {
        hooks.endpoint(&receiver.url(), &[]).await;
    }
    hooks.endpoint(&healthy.url(), &[]).await;
    for _ in 0..EVENTS {
        hooks.sign_up_tenant().await;
    }
    let (worker, shutdown) = (Arc::new(hooks.worker()), CancellationToken::new());
    let begun = Instant::now();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    assert!(healthy.has(EVENTS, Duration::from_secs(10)).await, "{} of {EVENTS} came", healthy.received().len());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Operations are begun meanwhile.
    let begun: i64 = sqlx::query_scalar("select count(*) from operations where started_at is not null")
        .fetch_one(&hooks.database().pool)
        .await
        .unwrap();
    assert!(begun > 0, "no operation was looked at");
    assert!(silent.most_at_a_time() <= 5 && slow.most_at_a_time() <= 5 && healthy.most_at_a_time() <= 5);
    assert!(silent.received().len() <= 5, "{} at a time to one that does not answer", silent.received().len());
    running.abort();
    assert!(
        dead.iter().all(|receiver| receiver.most_at_a_time() <= 1),
        "one that fails is sent more than one at a time"
    );
}
