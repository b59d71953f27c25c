//! Somebody who is sent webhooks: an HTTP server on loopback that notes what comes, and answers as it is told to.

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

/// How it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status and these headers.
    Status(u16, String),
    /// After so long.
    Delayed(Duration),
    /// Never.
    NoResponse,
    /// Not at all: it hangs up.
    CloseConnection,
}

/// One request.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// Its first line.
    pub line: String,
    /// Its headers, in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
    /// When it came.
    pub at: Instant,
}

/// What a receiver has noted.
#[derive(Debug, Default)]
struct Notes {
    received: Mutex<Vec<ReceivedRequest>>,
    answer: Mutex<Option<Reply>>,
    connections: AtomicU64,
    open: AtomicU64,
    most: AtomicU64,
}

/// A receiver.
#[derive(Debug)]
pub struct Receiver {
    /// Its port.
    pub port: u16,
    notes: Arc<Notes>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    /// A receiver that takes everything.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// A receiver at this address.
    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let notes = Arc::new(Notes::default());
        let server = tokio::spawn({
            let notes = Arc::clone(&notes);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    notes.connections.fetch_add(1, Ordering::SeqCst);
                    let open = notes.open.fetch_add(1, Ordering::SeqCst) + 1;
                    notes.most.fetch_max(open, Ordering::SeqCst);
                    let notes = Arc::clone(&notes);
                    tokio::spawn(async move {
                        _ = serve(stream, &notes).await;
                        notes.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        Self { port, notes, server }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?of=billing", self.port)
    }

    /// Answers like this from now on.
    pub fn set_reply(&self, answer: Reply) {
        *self.notes.answer.lock().expect("the answer") = Some(answer);
    }

    /// Everything that has come.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.notes.received.lock().expect("the notes").clone()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> u64 {
        self.notes.connections.load(Ordering::SeqCst)
    }

    /// How many were open at one time, at most.
    pub fn max_open_connections(&self) -> u64 {
        self.notes.most.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have come, for at most `patience`.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> bool {
        let until = Instant::now() + patience;
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
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The `webhook-id`.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Its signatures.
    pub fn signatures(&self) -> Vec<&str> {
        self.headers["webhook-signature"].split(' ').collect()
    }

    /// The signature that somebody with this secret expects, as the specification has it.
    pub fn expected_signature(&self, secret: &str) -> String {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let content = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), content.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

async fn serve(mut stream: TcpStream, notes: &Notes) -> std::io::Result<()> {
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
    notes.received.lock().expect("the notes").push(received);
    let answer = notes.answer.lock().expect("the answer").clone();
    match answer.unwrap_or(Reply::Status(204, String::new())) {
        Reply::Status(status, headers) => answered(&mut stream, status, &headers).await,
        Reply::Delayed(wait) => {
            tokio::time::sleep(wait).await;
            answered(&mut stream, 204, "").await
        }
        Reply::NoResponse => {
            // Until the other side gives up.
            while stream.read(&mut buffer).await? > 0 {}
            Ok(())
        }
        Reply::CloseConnection => Ok(()),
    }
}

async fn answered(stream: &mut TcpStream, status: u16, headers: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status} As Told\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
