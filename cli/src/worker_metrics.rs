//! Metrics and health checks of a worker, served only if an address is configured.
//!
//! The routes `/metrics`, `/livez` and `/readyz` need no token. They have their own address, separate from the API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use freehold_api::serve_router;
use freehold_tenancy::config::ApiLimits;
use freehold_tenancy::db::{self, DbError, PgPool};
use freehold_worker::AwsAccessStatus;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Interval at which histogram samples are aggregated. Without aggregation, a worker that is never scraped would keep
/// all samples.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Histogram buckets for AWS calls, in seconds. A call times out after 20 seconds.
const AWS_CALL_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// Histogram buckets for operations, in seconds: from one minute to the cooling-off period of seven days.
const OPERATION_BUCKETS: [f64; 10] =
    [60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0];

/// Maximum number of connections.
const MAX_CONNECTIONS: u32 = 100;

pub(crate) struct MetricsServer {
    listener: TcpListener,
    recorder: PrometheusHandle,
}

/// Starts recording metrics. Returns `None` if no address is given.
pub(crate) async fn start_recording(listen: Option<SocketAddr>) -> anyhow::Result<Option<MetricsServer>> {
    let Some(listen) = listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("the worker cannot serve metrics on {listen}"))?;
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("freehold_aws_call_duration_seconds".to_owned()), &AWS_CALL_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("freehold_operation_duration_seconds".to_owned()), &OPERATION_BUCKETS)?
        .install_recorder()?;
    metrics::describe_counter!("freehold_aws_calls_total", "AWS calls by outcome.");
    metrics::describe_histogram!("freehold_aws_call_duration_seconds", "Duration of AWS calls.");
    metrics::describe_counter!(
        "freehold_aws_throttled_total",
        "AWS calls that were throttled although they were within the configured rate limits."
    );
    metrics::describe_histogram!("freehold_operation_duration_seconds", "Duration of operations that succeeded.");
    metrics::describe_counter!("freehold_fleet_holds_total", "New fleet holds by kind.");
    metrics::describe_counter!("freehold_findings_total", "New findings by severity.");
    metrics::describe_counter!("freehold_webhook_deliveries_total", "Attempts to deliver a webhook by result.");
    metrics::describe_counter!(
        "freehold_webhook_endpoints_disabled_total",
        "Webhook endpoints that were disabled after repeated failures."
    );
    metrics::describe_gauge!(
        "freehold_worker_aws_access",
        "Whether the worker can call AWS with its credentials (1) or not (0)."
    );
    Ok(Some(MetricsServer { listener, recorder }))
}

/// State that `/readyz` reports.
#[derive(Clone)]
struct Health {
    pool: PgPool,
    aws_access: AwsAccessStatus,
    shutdown: CancellationToken,
}

/// Serves metrics and health checks until the process exits. After `shutdown`, `/readyz` returns 503.
pub(crate) fn serve(
    server: Option<MetricsServer>,
    pool: &PgPool,
    aws_access: AwsAccessStatus,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(MetricsServer { listener, recorder }) = server else { return Ok(()) };
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    let health = Health { pool: pool.clone(), aws_access, shutdown: shutdown.clone() };
    let router =
        Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(readyz)).with_state(health).route(
            "/metrics",
            get(async move || {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
            }),
        );
    tracing::info!(address = %listener.local_addr()?, "serving the metrics of this worker");
    let limits = ApiLimits { max_connections: MAX_CONNECTIONS, ..ApiLimits::default() };
    // The checks are served until the process exits.
    tokio::spawn(async move { serve_router(listener, router, &limits, CancellationToken::new()).await });
    Ok(())
}

/// Reports the worker as ready if the database is available and up to date, the worker can call AWS, and no shutdown
/// has started. Otherwise the body contains the reason.
async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    let reason = match db::is_ready(&health.pool).await {
        _ if health.shutdown.is_cancelled() => Some("shutting down".to_owned()),
        Ok(true) => health.aws_access.problem(),
        Ok(false) => Some("the database is not up to date; run `freehold migrate`".to_owned()),
        Err(DbError::ReadOnly) => Some("the database accepts no writes".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "the database is unavailable");
            Some(format!("the database is unavailable: {error}"))
        }
    };
    reason
        .map_or((StatusCode::OK, "ok\n".to_owned()), |reason| (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")))
}
