//! Test that webhooks cause no additional database queries in an installation without endpoints.

use std::sync::Arc;
use std::time::Duration;

use freehold_tests::query_counter::QueryCounter;
use freehold_tests::webhook_fixture::WebhookFixture;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

/// Duration of the measurement.
const MEASURED_TIME: Duration = Duration::from_secs(21);

/// Maximum number of queries per second of an idle worker.
const MAX_QUERIES_PER_SECOND: f64 = 0.2;

#[tokio::test]
async fn a_worker_without_endpoints_makes_no_additional_queries() {
    let hooks = WebhookFixture::new().await;
    let counter = QueryCounter::start(&hooks.database().worker_url);
    let pool = PgPoolOptions::new().max_connections(10).connect_lazy(&counter.url()).unwrap();
    let worker = Arc::new(hooks.worker_with_pool(pool, &hooks.api.config));
    let running = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = counter.count();
    assert!(before > 0, "the worker made no queries");
    tokio::time::sleep(MEASURED_TIME).await;
    #[expect(clippy::cast_precision_loss, reason = "the number is small")]
    let per_second = (counter.count() - before) as f64 / MEASURED_TIME.as_secs_f64();
    running.abort();
    assert!(per_second > 0.0 && per_second < MAX_QUERIES_PER_SECOND, "{per_second} queries a second");
}
