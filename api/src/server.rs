//! Server of the API with its background work, and its graceful shutdown.

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::config::ApiLimits;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError};
use crate::http_server::{HttpServer, serve_router};
use crate::router::{metrics_router, overload_router, router};

/// Maximum time to finish open responses after a shutdown request. It is less than the 30 seconds after which
/// supervisors such as Kubernetes and Amazon ECS kill a process.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(25);

/// Maximum number of connections to the listener of the metrics.
const MAX_METRICS_CONNECTIONS: u32 = 100;

/// Interval at which recent metric samples are aggregated.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Serves only the metrics of `app` on `listener`, until `shutdown` is cancelled. The listener must not be reachable
/// from outside, because the metrics need no token.
pub async fn serve_metrics(app: App, listener: TcpListener, shutdown: CancellationToken) {
    let limits = ApiLimits {
        max_connections: MAX_METRICS_CONNECTIONS,
        // All scrapes may come from one address.
        max_connections_per_address: 0,
        ..app.config.api.limits.clone()
    };
    tokio::select! {
        () = serve_router(listener, metrics_router(app), &limits, shutdown.clone()) => {}
        // A scrape that is still open must not delay the shutdown.
        () = shutdown.cancelled() => {}
    }
}

/// Serves `app` on `listener` until `shutdown` is cancelled, then waits at most 25 seconds for open responses to
/// finish.
pub async fn serve(mut app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<(), AppError> {
    app.shutdown = shutdown.clone();
    let (metrics, tasks, token_verifier) = (app.metrics.clone(), app.tasks.clone(), Arc::clone(&app.token_verifier));
    let (limits, watcher, overload) =
        (app.config.api.limits.clone(), app.watcher.clone(), overload_router(app.clone()));
    let server = HttpServer::new(router(app), overload, &limits, Some(metrics.clone()));
    let upkeep = async {
        loop {
            tokio::time::sleep(METRICS_UPKEEP_INTERVAL).await;
            metrics.run_upkeep();
        }
    };
    let read_keys = async {
        token_verifier.read_keys().await;
        std::future::pending::<()>().await;
    };
    let grace_period_expired = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE_PERIOD).await;
    };
    let serve = async {
        server.run(listener, shutdown.clone()).await;
        tasks.close();
        tasks.wait().await;
    };
    tokio::select! {
        () = serve => {}
        () = grace_period_expired => tracing::warn!("shutdown grace period expired; open requests were dropped"),
        () = upkeep => {}
        () = read_keys => {}
        () = watcher.run() => {}
    }
    Ok(())
}
