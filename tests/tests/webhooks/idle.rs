//! What webhooks cost an installation that has none.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use freehold_tests::webhook_fixture::WebhookFixture;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// How long idleness is watched.
const WATCHED: Duration = Duration::from_secs(21);

/// Queries a second that an idle worker may make.
const MOST: f64 = 0.2;

#[tokio::test]
async fn a_worker_without_endpoints_asks_for_nothing_more_than_before() {
    let hooks = WebhookFixture::new().await;
    let directory = tempfile::tempdir().unwrap();
    let (base, server) = hooks.database().url.split_once("?host=").unwrap();
    let server = PathBuf::from(server.replace("%2F", "/")).join(".s.PGSQL.5432");
    let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let relaying = tokio::spawn(relay(listener, server, Arc::clone(&asked)));
    let url = format!("{base}?host={}", directory.path().to_str().unwrap().replace('/', "%2F"));
    let pool = PgPoolOptions::new().max_connections(10).connect_lazy(&url).unwrap();
    let worker = Arc::new(hooks.worker_on(pool, &hooks.api.config));
    let running = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = asked.load(Ordering::SeqCst);
    assert!(before > 0, "the worker does not come this way");
    tokio::time::sleep(WATCHED).await;
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let a_second = (asked.load(Ordering::SeqCst) - before) as f64 / WATCHED.as_secs_f64();
    running.abort();
    relaying.abort();
    assert!(a_second > 0.0 && a_second < MOST, "{a_second} queries a second");
}

async fn relay(listener: UnixListener, server: PathBuf, asked: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, asked) = (server.clone(), Arc::clone(&asked));
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
                    asked.fetch_add(u64::from(kind == b'E' || kind == b'Q'), Ordering::SeqCst);
                    pending = rest.to_vec();
                    // What asks for TLS comes before the first.
                    is_first = is_first && kind == SSL_REQUEST;
                }
                to_server.write_all(&buffer[..read]).await?;
            }
        });
    }
}

/// What stands for the kind of a request for TLS.
const SSL_REQUEST: u8 = 1;

/// The first message's kind and what comes after it; the first of a connection has no kind ("Message Formats").
fn message(bytes: &[u8], is_first: bool) -> Option<(u8, &[u8])> {
    let (kind, bytes) = if is_first { (0, bytes) } else { bytes.split_first().map(|(kind, rest)| (*kind, rest))? };
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    let rest = bytes.get(usize::try_from(length).ok()?..)?;
    let asks_for_tls = is_first && bytes.get(4..8) == Some(&80_877_103_i32.to_be_bytes());
    Some((if asks_for_tls { SSL_REQUEST } else { kind }, rest))
}
