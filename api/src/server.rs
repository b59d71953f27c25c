//! HTTP server of the API, with graceful shutdown.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError};
use crate::router::{metrics_router, router};

/// Maximum time to finish open responses after a shutdown request. It is less than the 30 seconds after which
/// supervisors such as Kubernetes and Amazon ECS kill a process.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(25);

/// Interval at which recent metric samples are aggregated.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Serves only the metrics of `app` on `listener`, until `shutdown` is cancelled. The listener must not be reachable
/// from outside, because the metrics need no token.
pub async fn serve_metrics(app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<(), AppError> {
    let server = axum::serve(listener, metrics_router(app)).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        result = server.into_future() => result?,
        // A scrape that is still open must not delay the shutdown.
        () = shutdown.cancelled() => {}
    }
    Ok(())
}

/// Serves `app` on `listener` until `shutdown` is cancelled, then waits at most 25 seconds for open responses to
/// finish.
pub async fn serve(mut app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<(), AppError> {
    app.shutdown = shutdown.clone();
    let (metrics, tasks, token_verifier) = (app.metrics.clone(), app.tasks.clone(), Arc::clone(&app.token_verifier));
    let routes = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
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
        server.into_future().await?;
        tasks.close();
        tasks.wait().await;
        Ok(())
    };
    tokio::select! {
        result = serve => return result,
        () = grace_period_expired => tracing::warn!("shutdown grace period expired; open requests were dropped"),
        () = upkeep => {}
        () = read_keys => {}
    }
    Ok(())
}
