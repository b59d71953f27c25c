//! Webhook receiver for tests: an HTTP server on loopback that records requests and sends a configurable reply.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Reply of the receiver to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Response with a status and headers.
    Status(u16, String),
    /// Response with status 204 after a delay.
    Delayed(Duration),
    /// No response; the connection stays open.
    NoResponse,
    /// The connection is closed without a response.
    CloseConnection,
}

#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// HTTP request line, such as `POST / HTTP/1.1`.
    pub line: String,
    /// Request headers by name; the names are in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub at: Instant,
}

#[derive(Debug, Default)]
struct State {
    received: Mutex<Vec<ReceivedRequest>>,
    reply: Mutex<Option<Reply>>,
    connections: AtomicU64,
    open: AtomicU64,
    max_open: AtomicU64,
}

#[derive(Debug)]
pub struct Receiver {
    pub port: u16,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    /// Starts a receiver that listens on a free port and replies with status 204.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts a receiver that listens on `address`.
    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State::default());
        let server = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    state.connections.fetch_add(1, Ordering::SeqCst);
                    let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                    state.max_open.fetch_max(open, Ordering::SeqCst);
                    let state = Arc::clone(&state);
                    tokio::spawn(async move {
                        _ = serve(stream, &state).await;
                        state.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        Self { port, state, server }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?of=billing", self.port)
    }

    /// Sets the reply to all further requests.
    pub fn set_reply(&self, reply: Reply) {
        *self.state.reply.lock().expect("the reply") = Some(reply);
    }

    /// Returns all requests that have arrived.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.state.received.lock().expect("the requests").clone()
    }

    /// Returns the number of connections that the receiver has accepted.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Returns the maximum number of connections that were open at the same time.
    pub fn max_open_connections(&self) -> u64 {
        self.state.max_open.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have arrived; returns `false` after the timeout.
    pub async fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while self.received().len() < count {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

impl ReceivedRequest {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Returns the header `webhook-id`.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn signatures(&self) -> Vec<&str> {
        self.headers["webhook-signature"].split(' ').collect()
    }

    /// Returns the signature that the Standard Webhooks specification defines for this secret.
    pub fn expected_signature(&self, secret: &str) -> String {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let content = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), content.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, length) = loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        text.extend_from_slice(&buffer[..read]);
        let Some(end) = text.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&text[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")
                .map(|length| length.parse::<usize>().expect("a number"))
        });
        if text.len() >= end + 4 + length.unwrap_or(0) {
            break (head, end + 4);
        }
    };
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let body = String::from_utf8_lossy(&text[length..]).into_owned();
    let received = ReceivedRequest { line, headers: headers.collect(), body, at: Instant::now() };
    state.received.lock().expect("the requests").push(received);
    let reply = state.reply.lock().expect("the reply").clone();
    match reply.unwrap_or(Reply::Status(204, String::new())) {
        Reply::Status(status, headers) => write_response(&mut stream, status, &headers).await,
        Reply::Delayed(wait) => {
            tokio::time::sleep(wait).await;
            write_response(&mut stream, 204, "").await
        }
        Reply::NoResponse => {
            // Wait until the sender closes the connection.
            while stream.read(&mut buffer).await? > 0 {}
            Ok(())
        }
        Reply::CloseConnection => Ok(()),
    }
}

async fn write_response(stream: &mut TcpStream, status: u16, headers: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status} Test\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
