//! Serving the API.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError};
use crate::router::router;

/// How long answers that have begun may take to end after a shutdown was asked for: a little less than the 30 seconds that
/// supervisors give a process before they kill it (Kubernetes, Amazon ECS).
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(25);

/// How often measurements are summed up.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// Serves `app` on `listener` until `shutdown`, then lets the answers that have begun come to their end, for at most
/// 25 seconds.
pub async fn serve(mut app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<(), AppError> {
    app.shutdown = shutdown.clone();
    let (metrics, tasks) = (app.metrics.clone(), app.tasks.clone());
    let routes = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let upkeep = async {
        loop {
            tokio::time::sleep(SUM_UP_EVERY).await;
            metrics.run_upkeep();
        }
    };
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE_PERIOD).await;
    };
    let last = async {
        server.into_future().await?;
        tasks.close();
        tasks.wait().await;
        Ok(())
    };
    tokio::select! {
        ended = last => return ended,
        () = too_late => tracing::warn!("some answers did not come to their end in time"),
        () = upkeep => {}
    }
    Ok(())
}
