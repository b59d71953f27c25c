//! The HTTP server of the simulated AWS.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use winterbaume_core::{MockRequest, MockResponse};

use super::{STOPPED_REGION, device, faults, page};
use crate::world::World;

/// A running HTTP server. The server stops when this value is dropped.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Returns the endpoint URL of the server, as used in `aws --endpoint-url` and `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts an HTTP server for the simulated AWS and sets the base URL, so that Function URLs point to this server.
pub fn serve(world: &World, listener: TcpListener) -> std::io::Result<RunningServer> {
    let address = listener.local_addr()?;
    world.set_base_url(format!("http://{address}"));
    let router = Router::new().fallback(handle).with_state(world.clone());
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the server of the simulated AWS stopped");
        }
    });
    Ok(RunningServer { address, task })
}

async fn handle(State(world): State<World>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(response) = faults::handle(&world, &method, uri.path(), &headers, &body) {
        return into_axum(response);
    }
    if let Some(response) = device::handle(&world, &method, &uri, &headers, &body) {
        return into_axum(response);
    }
    if let Some(page) = page::page(&world, &method, uri.path(), &headers) {
        return into_axum(page);
    }
    let uri = absolute_uri(&uri, &headers);
    let request = MockRequest { method: method.to_string(), uri, headers, body };
    if let Some(viewed) = world.view(&request) {
        world.clock().sleep(viewed.waited).await;
        return into_axum(viewed.response);
    }
    match world.missing_response(&request) {
        None => into_axum(world.handle(&request)),
        Some(form) => {
            world.wait_for_end_of_outage(&request, form).await;
            closed_connection()
        }
    }
}

/// Returns a response that makes the server close the connection before it sends anything.
fn closed_connection() -> Response {
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, STOPPED_REGION);
    Response::new(Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(error) })))
}

/// Returns the absolute URI of a request. The host is included, because it can identify the called service.
fn absolute_uri(uri: &Uri, headers: &HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    if uri.scheme().is_some() { uri.to_string() } else { format!("http://{host}{uri}") }
}

fn into_axum(mock: MockResponse) -> Response {
    let mut response = Response::new(Body::from(mock.body));
    *response.status_mut() = axum::http::StatusCode::from_u16(mock.status).unwrap_or_default();
    *response.headers_mut() = mock.headers;
    response
}
