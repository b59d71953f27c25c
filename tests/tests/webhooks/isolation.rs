//! Tests that silent or slow webhook receivers do not delay other receivers.

use std::sync::Arc;
use std::time::Duration;

use freehold_tests::receiver::{Receiver, Reply};
use freehold_tests::webhook_fixture::WebhookFixture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const EVENTS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_silent_receivers_do_not_delay_the_others() {
    let hooks = WebhookFixture::new().await;
    let mut silent = Vec::new();
    // No receiver has failed before. Together, the receivers use all concurrent deliveries.
    for _ in 0..20 {
        let receiver = Receiver::start().await;
        receiver.set_reply(Reply::NoResponse);
        hooks.create_endpoint(&receiver.url(), &[]).await;
        silent.push(receiver);
    }
    for _ in 0..10 {
        hooks.sign_up_tenant().await;
    }
    let (worker, shutdown) = (Arc::new(hooks.worker()), CancellationToken::new());
    let running = tokio::spawn(async move { worker.run(shutdown).await });
    let open_deliveries = || silent.iter().map(|receiver| receiver.received().len()).sum::<usize>();
    while open_deliveries() < 60 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let healthy = Receiver::start().await;
    hooks.create_endpoint(&healthy.url(), &[]).await;
    for _ in 0..10 {
        hooks.sign_up_tenant().await;
    }
    // Deliveries to silent receivers time out after 15 seconds.
    assert!(healthy.wait_for(10, Duration::from_secs(10)).await, "{} arrived", healthy.received().len());
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_and_silent_receivers_do_not_delay_others_or_operations() {
    let hooks = WebhookFixture::new().await;
    let (silent, slow, healthy) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    silent.set_reply(Reply::NoResponse);
    slow.set_reply(Reply::Delayed(Duration::from_secs(2)));
    // There are more silent receivers than concurrent deliveries.
    let mut dead = Vec::new();
    for _ in 0..25 {
        let receiver = Receiver::start().await;
        receiver.set_reply(Reply::NoResponse);
        hooks.create_endpoint(&receiver.url(), &[]).await;
        dead.push(receiver);
    }
    let all = "update webhook_endpoints set failing_since = created_at";
    sqlx::query(all).execute(&hooks.database().pool).await.unwrap();
    for receiver in [&silent, &slow] {
        hooks.create_endpoint(&receiver.url(), &[]).await;
    }
    hooks.create_endpoint(&healthy.url(), &[]).await;
    for _ in 0..EVENTS {
        hooks.sign_up_tenant().await;
    }
    let (worker, shutdown) = (Arc::new(hooks.worker()), CancellationToken::new());
    let start = Instant::now();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    assert!(
        healthy.wait_for(EVENTS, Duration::from_secs(10)).await,
        "{} of {EVENTS} arrived",
        healthy.received().len()
    );
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Operations continue.
    let started: i64 = sqlx::query_scalar("select count(*) from operations where started_at is not null")
        .fetch_one(&hooks.database().pool)
        .await
        .unwrap();
    assert!(started > 0, "no operation was started");
    assert!(
        silent.max_open_connections() <= 5 && slow.max_open_connections() <= 5 && healthy.max_open_connections() <= 5
    );
    assert!(silent.received().len() <= 5, "{} concurrent deliveries to a silent receiver", silent.received().len());
    running.abort();
    assert!(
        dead.iter().all(|receiver| receiver.max_open_connections() <= 1),
        "concurrent deliveries to a failing receiver"
    );
}
