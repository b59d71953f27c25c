//! How a worker is doing, for Prometheus and for whoever supervises it; only where that is asked for.
//!
//! The worker knows no routes, and the API's are not here: three of them, without tokens, at an address of their own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use freehold_tenancy::db::{self, PgPool};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often measurements are summed up; without it, a worker that nobody scrapes would keep every single one.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// Bounds in seconds of how long calls to AWS take; one is given up after 20.
const CALLS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// Bounds in seconds of how long operations take: from a minute to the seven days of cooling off.
const OPERATIONS: [f64; 10] = [60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0];

/// Where a worker will tell how it is doing, and of what.
pub(crate) struct MetricsServer {
    listener: TcpListener,
    measurements: PrometheusHandle,
}

/// Begins to measure, if somebody is to be told at `listen`.
pub(crate) async fn begin(listen: Option<SocketAddr>) -> anyhow::Result<Option<MetricsServer>> {
    let Some(listen) = listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("the worker cannot tell how it is doing on {listen}"))?;
    let measurements = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("freehold_aws_call_duration_seconds".to_owned()), &CALLS)?
        .set_buckets_for_metric(Matcher::Full("freehold_operation_duration_seconds".to_owned()), &OPERATIONS)?
        .install_recorder()?;
    metrics::describe_counter!("freehold_aws_calls_total", "Calls to AWS by their outcome.");
    metrics::describe_histogram!("freehold_aws_call_duration_seconds", "How long calls to AWS took.");
    metrics::describe_counter!("freehold_aws_throttled_total", "Calls that AWS throttled although there was leave.");
    metrics::describe_histogram!("freehold_operation_duration_seconds", "How long operations took that ended well.");
    metrics::describe_counter!("freehold_fleet_holds_total", "Holds that were placed, by the reason.");
    metrics::describe_counter!("freehold_findings_total", "Findings that were new, by severity.");
    metrics::describe_counter!(
        "freehold_webhook_deliveries_total",
        "Attempts to send a webhook, by what came of them."
    );
    metrics::describe_counter!("freehold_webhook_endpoints_disabled_total", "Webhook endpoints that were given up.");
    tracing::info!(address = %listener.local_addr()?, "telling how this worker is doing");
    Ok(Some(MetricsServer { listener, measurements }))
}

/// Answers until the process ends; from `shutdown` on that it is not ready.
pub(crate) fn serve(told: Option<MetricsServer>, pool: &PgPool, shutdown: &CancellationToken) {
    let Some(MetricsServer { listener, measurements }) = told else { return };
    let upkeep = measurements.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SUM_UP_EVERY).await;
            upkeep.run_upkeep();
        }
    });
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state((pool.clone(), shutdown.clone()))
        .route(
            "/metrics",
            get(async move || {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], measurements.render())
            }),
        );
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// Whether the worker can work: the database is there and up to date, and nobody has asked it to end.
async fn readyz(State((pool, shutdown)): State<(PgPool, CancellationToken)>) -> impl IntoResponse {
    match db::is_migrated(&pool).await {
        _ if shutdown.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
        Ok(true) => (StatusCode::OK, "ok\n"),
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, "the database is not up to date\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be reached\n"),
    }
}
