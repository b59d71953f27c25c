//! The world behind a loopback socket.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use winterbaume_core::{MockRequest, MockResponse};

use super::page;
use crate::world::World;

/// A world that is being served, until this is dropped.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// Where: for `aws --endpoint-url` and `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves the world, and tells it where, so that its Function URLs begin there.
pub fn serve(world: &World, listener: TcpListener) -> std::io::Result<Served> {
    let address = listener.local_addr()?;
    world.set_base_url(format!("http://{address}"));
    let router = Router::new().fallback(answer).with_state(world.clone());
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the simulated AWS stopped");
        }
    });
    Ok(Served { address, task })
}

async fn answer(State(world): State<World>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let answer = match page::page(&world, &method, uri.path(), &headers) {
        Some(page) => page,
        None => world.handle(&MockRequest { method: method.to_string(), uri: absolute(&uri, &headers), headers, body }),
    };
    response(answer)
}

/// The URI as a client outside saw it: services may be told apart by their host.
fn absolute(uri: &Uri, headers: &HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    if uri.scheme().is_some() { uri.to_string() } else { format!("http://{host}{uri}") }
}

fn response(answer: MockResponse) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = axum::http::StatusCode::from_u16(answer.status).unwrap_or_default();
    *response.headers_mut() = answer.headers;
    response
}
