//! Relay in front of PostgreSQL that counts the queries of a process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Relay that counts queries until it is dropped.
pub struct QueryCounter {
    url: String,
    queries: Arc<AtomicU64>,
    relay: JoinHandle<()>,
    _directory: TempDir,
}

impl QueryCounter {
    /// Starts a relay to the test database at `url`.
    pub fn start(url: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (base, server) = url.split_once("?host=").expect("the URL of a socket");
        let server = PathBuf::from(server.replace("%2F", "/")).join(".s.PGSQL.5432");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("a socket");
        let queries = Arc::new(AtomicU64::new(0));
        let relay = tokio::spawn(relay(listener, server, Arc::clone(&queries)));
        let url = format!("{base}?host={}", directory.path().to_str().expect("a path").replace('/', "%2F"));
        Self { url, queries, relay, _directory: directory }
    }

    /// Returns the URL of the database behind the relay.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the number of queries so far.
    pub fn count(&self) -> u64 {
        self.queries.load(Ordering::SeqCst)
    }
}

impl Drop for QueryCounter {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn relay(listener: UnixListener, server: PathBuf, queries: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, queries) = (server.clone(), Arc::clone(&queries));
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = UnixStream::connect(server).await?.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let (mut buffer, mut pending, mut is_first) = (vec![0; 65_536], Vec::new(), true);
            loop {
                let read = from_client.read(&mut buffer).await?;
                if read == 0 {
                    return Ok::<_, std::io::Error>(());
                }
                pending.extend_from_slice(&buffer[..read]);
                while let Some((kind, rest)) = message(&pending, is_first) {
                    queries.fetch_add(u64::from(kind == b'E' || kind == b'Q'), Ordering::SeqCst);
                    pending = rest.to_vec();
                    // A TLS request precedes the first message.
                    is_first = is_first && kind == SSL_REQUEST;
                }
                to_server.write_all(&buffer[..read]).await?;
            }
        });
    }
}

/// Message kind that represents a TLS request, which has no kind in the protocol.
const SSL_REQUEST: u8 = 1;

/// Reads the first message in `bytes`; returns its kind and the bytes after it, or `None` if the message is incomplete.
/// The first message of a connection has no kind (PostgreSQL documentation, "Message Formats").
fn message(bytes: &[u8], is_first: bool) -> Option<(u8, &[u8])> {
    let (kind, bytes) = if is_first { (0, bytes) } else { bytes.split_first().map(|(kind, rest)| (*kind, rest))? };
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    let rest = bytes.get(usize::try_from(length).ok()?..)?;
    let is_tls_request = is_first && bytes.get(4..8) == Some(&80_877_103_i32.to_be_bytes());
    Some((if is_tls_request { SSL_REQUEST } else { kind }, rest))
}
