//! Serves one connection until it is closed by its client or exceeds a time limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use freehold_tenancy::config::ApiLimits;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, CloseReason, TimeLimits};
use super::body::TrackedBody;
use super::io::TrackedStream;
use crate::metrics::Metrics;

/// Interval of the pings on an HTTP/2 connection, and time to answer one.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Number of requests that an HTTP/2 client may cancel before the server has seen them.
const MAX_CANCELED_STREAMS: usize = 20;

/// Number of invalid HTTP/2 streams after which a connection is closed.
const MAX_INVALID_STREAMS: usize = 100;

/// Number of bytes that an HTTP/2 client may send before the server has read them, per request and per connection. A
/// body has at most 64 KiB.
const HTTP2_WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);

/// Number of response bytes that are stored for each HTTP/2 stream.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Server of all connections with the same routes.
#[derive(Clone)]
pub(super) struct Connections {
    builder: Builder<TokioExecutor>,
    router: TowerToHyperService<Router>,
    limits: TimeLimits,
    metrics: Option<Metrics>,
}

impl Connections {
    pub(super) fn new(router: Router, limits: &ApiLimits, metrics: Option<Metrics>) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        let max_header_bytes = limits.max_header_bytes;
        // The activity of the connection has the time limits. The HTTP library cannot distinguish between a header and
        // an idle connection.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(usize::try_from(max_header_bytes).unwrap_or(usize::MAX));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.max_http2_streams)
            .max_header_list_size(max_header_bytes)
            .max_pending_accept_reset_streams(MAX_CANCELED_STREAMS)
            .max_local_error_reset_streams(MAX_INVALID_STREAMS)
            .initial_stream_window_size(HTTP2_WINDOWS.0)
            .initial_connection_window_size(HTTP2_WINDOWS.1)
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL);
        Self { builder, router: TowerToHyperService::new(router), limits: TimeLimits::new(limits), metrics }
    }

    /// Serves a connection. After `shutdown` is cancelled, the open responses are finished and no request is accepted.
    pub(super) async fn serve(self, stream: TcpStream, peer: SocketAddr, shutdown: CancellationToken) {
        let activity = Activity::new();
        let stream = TokioIo::new(TrackedStream::new(stream, activity.clone()));
        let service = ConnectionService { router: self.router, peer, activity: activity.clone() };
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let mut closing_since = None;
        loop {
            tokio::select! {
                // An error means that the client has closed the connection or has violated the protocol.
                _ = connection.as_mut() => return,
                () = shutdown.cancelled(), if closing_since.is_none() => {}
                reason = activity.wait_until_overdue(self.limits, closing_since) => {
                    // The close of an idle connection is announced to an HTTP/2 client.
                    let is_orderly = reason == CloseReason::IdleTimeout && closing_since.is_none();
                    if let Some(metrics) = self.metrics.as_ref().filter(|_| closing_since.is_none()) {
                        metrics.count_closed_connection(reason.as_str());
                    }
                    if !is_orderly {
                        return;
                    }
                }
            }
            closing_since = Some(Instant::now());
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Service of one connection.
struct ConnectionService {
    router: TowerToHyperService<Router>,
    peer: SocketAddr,
    activity: Activity,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let open_request = self.activity.start_request(request.version());
        let response = self.router.call(request);
        Box::pin(async move { Ok(response.await?.map(|body| TrackedBody::new(body, open_request))) })
    }
}
