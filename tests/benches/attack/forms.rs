//! Forms of attacking clients. Each connection that the API closes is opened again after a second.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use h2::client::SendRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause between two bytes of a client that drips, and before a connection is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// Pause of a client whose stream was refused, as `Retry-After` says.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Number of unfinished requests on each HTTP/2 connection.
const HTTP2_STREAMS: usize = 4;

/// Number of requests whose responses, about 250 kB each, are not read.
const UNREAD_RESPONSES: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Half a header, then nothing
    HalfHeader,
    /// A header of one byte per second
    DrippedHeader,
    /// One request, then nothing
    IdleConnection,
    /// A body of one byte per second
    DrippedBody,
    /// Requests for large responses, which are not read
    UnreadResponse,
    /// HTTP/2 with several requests whose bodies never arrive
    Http2,
    /// An event stream of an operation
    EventStream,
}

/// API under attack.
pub(crate) struct Target {
    address: String,
    operation: String,
    tokens: Vec<String>,
    refused: AtomicUsize,
}

impl Target {
    pub(crate) fn new(address: &str, operation: &str, tokens: Vec<String>) -> Self {
        let (address, operation) = (address.to_owned(), operation.to_owned());
        Self { address, operation, tokens, refused: AtomicUsize::new(0) }
    }

    /// Returns the number of streams that were refused since the last call.
    pub(crate) fn take_refused(&self) -> usize {
        self.refused.swap(0, Ordering::Relaxed)
    }

    fn head(&self, method: &str, path: &str, number: usize) -> String {
        let token = &self.tokens[number % self.tokens.len()];
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n", self.address)
    }
}

/// Starts `count` clients, which attack until `stop` is cancelled.
pub(crate) fn start(form: Form, target: &Arc<Target>, count: usize, stop: &CancellationToken) -> TaskTracker {
    let tasks = TaskTracker::new();
    for number in 0..count {
        let (target, stop) = (Arc::clone(target), stop.clone());
        tasks.spawn(async move {
            let attack = async {
                // The connections are opened within a second.
                tokio::time::sleep(PAUSE.mul_f64(number as f64 / count as f64)).await;
                loop {
                    // An error means that the API has closed the connection.
                    _ = use_connection(form, &target, number).await;
                    tokio::time::sleep(PAUSE).await;
                }
            };
            stop.run_until_cancelled(attack).await;
        });
    }
    tasks.close();
    tasks
}

/// Opens a connection and uses it until the API closes it.
async fn use_connection(form: Form, target: &Target, number: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(&target.address).await?;
    match form {
        Form::HalfHeader => {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").await?;
            read_to_end(&mut stream).await
        }
        Form::DrippedHeader => {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ").await?;
            drip(stream).await
        }
        Form::IdleConnection => {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await?;
            read_to_end(&mut stream).await
        }
        Form::DrippedBody => {
            let head = target.head("POST", "/v1/tenants", number);
            let more = format!("Idempotency-Key: {number}\r\nContent-Type: application/json\r\n");
            stream.write_all(format!("{head}{more}Content-Length: 60000\r\n\r\n").as_bytes()).await?;
            drip(stream).await
        }
        Form::UnreadResponse => {
            let request = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
            stream.write_all(request.repeat(UNREAD_RESPONSES).as_bytes()).await?;
            loop {
                tokio::time::sleep(PAUSE).await;
                stream.write_all(b"G").await?;
            }
        }
        Form::Http2 => use_http2(stream, target, number).await.map_err(io::Error::other),
        Form::EventStream => {
            let head = target.head("GET", &format!("/v1/operations/{}/events", target.operation), number);
            stream.write_all(format!("{head}\r\n").as_bytes()).await?;
            let mut status = [0; 12];
            stream.read_exact(&mut status).await?;
            if status.ends_with(b"200") {
                return read_to_end(&mut stream).await;
            }
            target.refused.fetch_add(1, Ordering::Relaxed);
            drop(stream);
            tokio::time::sleep(RETRY_AFTER).await;
            Ok(())
        }
    }
}

async fn read_to_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Sends a byte per second until the API responds or closes the connection.
async fn drip(stream: TcpStream) -> io::Result<()> {
    let (mut read, write) = stream.into_split();
    let mut byte = [0];
    tokio::select! {
        failed = drip_bytes(write) => failed.map(|never| match never {}),
        received = read.read(&mut byte) => received.map(drop),
    }
}

async fn drip_bytes(mut stream: OwnedWriteHalf) -> io::Result<Infallible> {
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn use_http2(stream: TcpStream, target: &Target, number: usize) -> Result<(), h2::Error> {
    let (client, connection) = h2::client::handshake(stream).await?;
    tokio::select! {
        failed = open_requests(client, target, number) => failed.map(|never| match never {}),
        closed = connection => closed,
    }
}

/// Opens requests whose bodies never arrive, and opens new ones after the API has answered them.
async fn open_requests(
    mut client: SendRequest<Bytes>,
    target: &Target,
    number: usize,
) -> Result<Infallible, h2::Error> {
    loop {
        let mut open = Vec::new();
        for stream in 0..HTTP2_STREAMS {
            let request = http::Request::post(format!("http://{}/v1/tenants", target.address))
                .header("authorization", format!("Bearer {}", target.tokens[number % target.tokens.len()]))
                .header("content-type", "application/json")
                .header("idempotency-key", format!("{number}-{stream}"))
                .body(())
                .expect("a request");
            client = client.ready().await?;
            open.push(client.send_request(request, false)?);
        }
        for (response, _unfinished) in open {
            response.await?;
        }
    }
}
