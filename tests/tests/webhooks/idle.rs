//! Test that webhooks cause no additional database queries in an installation without endpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use freehold_tests::webhook_fixture::WebhookFixture;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Duration of the measurement.
const MEASURED_TIME: Duration = Duration::from_secs(21);

/// Maximum number of queries per second of an idle worker.
const MAX_QUERIES_PER_SECOND: f64 = 0.2;

#[tokio::test]
async fn a_worker_without_endpoints_makes_no_additional_queries() {
    let hooks = WebhookFixture::new().await;
    let directory = tempfile::tempdir().unwrap();
    let (base, server) = hooks.database().url.split_once("?host=").unwrap();
    let server = PathBuf::from(server.replace("%2F", "/")).join(".s.PGSQL.5432");
    let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
    let queries = Arc::new(AtomicU64::new(0));
    let relaying = tokio::spawn(relay(listener, server, Arc::clone(&queries)));
    let url = format!("{base}?host={}", directory.path().to_str().unwrap().replace('/', "%2F"));
    let pool = PgPoolOptions::new().max_connections(10).connect_lazy(&url).unwrap();
    let worker = Arc::new(hooks.worker_with_pool(pool, &hooks.api.config));
    let running = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = queries.load(Ordering::SeqCst);
    assert!(before > 0, "the relay saw no queries of the worker");
    tokio::time::sleep(MEASURED_TIME).await;
    #[expect(clippy::cast_precision_loss, reason = "the number is small")]
    let per_second = (queries.load(Ordering::SeqCst) - before) as f64 / MEASURED_TIME.as_secs_f64();
    running.abort();
    relaying.abort();
    assert!(per_second > 0.0 && per_second < MAX_QUERIES_PER_SECOND, "{per_second} queries a second");
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
