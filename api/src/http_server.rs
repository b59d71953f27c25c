//! HTTP server with limits: time limits for each connection, and ceilings for the number of connections.
//!
//! A connection above a ceiling is still accepted, as one of a small reserve. The overload router serves it, so that a
//! health check gets a response while all other connections are in use.

mod activity;
mod body;
mod ceiling;
mod connection;
mod io;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use freehold_tenancy::config::ApiLimits;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use ceiling::Ceiling;
use connection::Connections;

/// Number of connections above the ceilings. If more arrive, the oldest of them is closed.
const RESERVED_CONNECTIONS: usize = 64;

/// Maximum lifetime of a connection above a ceiling.
const RESERVED_CONNECTION_LIFETIME: Duration = Duration::from_secs(5);

/// Pause after an error of the operating system, such as a lack of file handles.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Minimum time between two messages about refused connections.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Number of response bytes that the operating system stores for a client that does not read, in addition to those in
/// transit. Its own default is several megabytes.
#[cfg(target_os = "linux")]
const MAX_UNSENT_BYTES: u32 = 128 * 1024;

/// Number of file handles that an API process needs in addition to its connections: the reserves, the connections of
/// the metrics, those to the database and to the issuers, files, and spare handles.
const OTHER_FILE_HANDLES: u64 = 512;

/// Returns the number of file handles that a process with these limits needs.
pub fn required_file_handles(limits: &ApiLimits) -> u64 {
    u64::from(limits.max_connections) + OTHER_FILE_HANDLES
}

/// Serves `router` on `listener` within `limits` until `shutdown` is cancelled, then waits until the open responses are
/// finished.
pub async fn serve_router(listener: TcpListener, router: Router, limits: &ApiLimits, shutdown: CancellationToken) {
    HttpServer::new(router.clone(), router, limits, None).run(listener, shutdown).await;
}

pub(crate) struct HttpServer {
    connections: Connections,
    overload_connections: Connections,
    ceiling: Ceiling,
    metrics: Option<Metrics>,
}

impl HttpServer {
    /// Creates a server. Connections above a ceiling are served by `overload_router`.
    pub(crate) fn new(router: Router, overload_router: Router, limits: &ApiLimits, metrics: Option<Metrics>) -> Self {
        Self {
            connections: Connections::new(router, limits, metrics.clone()),
            overload_connections: Connections::new(overload_router, limits, metrics.clone()),
            ceiling: Ceiling::new(limits, metrics.clone()),
            metrics,
        }
    }

    /// Accepts connections until `shutdown` is cancelled, then waits until the open responses are finished.
    pub(crate) async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let (open, mut reserve) = (TaskTracker::new(), VecDeque::new());
        let mut logged_at: Option<Instant> = None;
        while let Some((stream, peer)) = accept(&listener, &shutdown).await {
            set_options(&stream);
            let shutdown = shutdown.clone();
            match self.ceiling.admit(peer.ip()) {
                Ok(permit) => {
                    let connections = self.connections.clone();
                    open.spawn(async move {
                        connections.serve(stream, peer, shutdown).await;
                        drop(permit);
                    });
                }
                Err(limit) => {
                    if let Some(metrics) = &self.metrics {
                        metrics.count_refusal(limit);
                    }
                    if logged_at.is_none_or(|at| at.elapsed() >= REFUSAL_LOG_INTERVAL) {
                        tracing::warn!(limit, "the limit of connections is reached; further connections are refused");
                        logged_at = Some(Instant::now());
                    }
                    self.serve_overload(stream, peer, &open, &mut reserve, shutdown);
                }
            }
        }
        drop(listener);
        open.close();
        open.wait().await;
    }

    /// Serves a connection above a ceiling for a short time. `reserve` contains the tokens that close such connections.
    fn serve_overload(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        open: &TaskTracker,
        reserve: &mut VecDeque<CancellationToken>,
        shutdown: CancellationToken,
    ) {
        reserve.retain(|close| !close.is_cancelled());
        if reserve.len() >= RESERVED_CONNECTIONS
            && let Some(oldest) = reserve.pop_front()
        {
            oldest.cancel();
        }
        let (connections, close) = (self.overload_connections.clone(), CancellationToken::new());
        reserve.push_back(close.clone());
        open.spawn(async move {
            let serve = connections.serve(stream, peer, shutdown);
            _ = tokio::time::timeout(RESERVED_CONNECTION_LIFETIME, close.run_until_cancelled(serve)).await;
            close.cancel();
        });
    }
}

/// Sets the options of a connection. An error means that its client has closed it already.
fn set_options(stream: &TcpStream) {
    // A response is sent at once, also if it is small.
    _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
    }
}

/// Returns the next connection, or `None` after `shutdown`. Waits if the operating system has no file handle left.
async fn accept(listener: &TcpListener, shutdown: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = shutdown.run_until_cancelled(listener.accept()).await?;
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection; will retry");
                shutdown.run_until_cancelled(tokio::time::sleep(ACCEPT_RETRY_INTERVAL)).await?;
            }
        }
    }
}

/// Returns whether the error concerns only the connection, which its client has closed already.
fn is_of_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
