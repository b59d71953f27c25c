//! The wire between one worker and PostgreSQL, which cuts the worker off at one particular write: as a death there would.
//!
//! It speaks as much of PostgreSQL's protocol as tells a write from a read and a commit from what leads up to it. A write
//! is what outlives the worker: a commit of a transaction that has written something, or a statement that writes by
//! itself. The worker's code knows nothing of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The name of the socket in the directory that a client is given.
const SOCKET: &str = ".s.PGSQL.5432";

/// A client's request for TLS, which is answered with one letter ("Frontend/Backend Protocol").
const SSL_REQUEST: [u8; 4] = 80_877_103_i32.to_be_bytes();

/// What happens at the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The worker dies before the write has any effect.
    CrashBeforeWrite,
    /// The worker dies when the write has had its effect, before it hears of that.
    CrashAfterWrite,
    /// The connection breaks before the write has any effect, and the worker lives on.
    DisconnectBeforeWrite,
}

#[derive(Debug)]
struct Plan {
    spared: usize,
    /// Only writes of this name count.
    only: Option<&'static str>,
    cut: ConnectionFault,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Option<Plan>>,
    /// The write at which the worker died.
    at: Mutex<Option<String>>,
    /// How many writes there have been until then.
    writes: AtomicUsize,
    dead: CancellationToken,
}

/// The wire of one worker.
pub struct DatabaseProxy {
    url: String,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
    _directory: TempDir,
}

impl DatabaseProxy {
    /// A wire to the database at `url`, on which the worker dies at the write that comes after so many `spared` ones.
    pub fn new(url: &str, spared: usize, cut: ConnectionFault) -> Self {
        Self::with(url, Plan { spared, only: None, cut })
    }

    /// Likewise, where only writes called `name` count.
    pub fn for_statement(url: &str, name: &'static str, spared: usize, cut: ConnectionFault) -> Self {
        Self::with(url, Plan { spared, only: Some(name), cut })
    }

    fn with(url: &str, plan: Plan) -> Self {
        let (base, server) = url.split_once("?host=").expect("a database behind a socket");
        let server = PathBuf::from(server.replace("%2F", "/")).join(SOCKET);
        let directory = tempfile::tempdir().expect("a directory for the socket");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket");
        let host = directory.path().to_str().expect("a path of text").replace('/', "%2F");
        let shared = Arc::new(Shared { plan: Mutex::new(Some(plan)), ..Shared::default() });
        let listening = tokio::spawn(listen(listener, server, Arc::clone(&shared)));
        Self { url: format!("{base}?host={host}"), shared, listening, _directory: directory }
    }

    /// Where the worker finds its database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns when the worker has died.
    pub async fn wait_until_crashed(&self) {
        self.shared.dead.cancelled().await;
    }

    /// How many writes the worker has made.
    pub fn writes(&self) -> usize {
        self.shared.writes.load(Ordering::Relaxed)
    }

    /// The write at which it happened, if it has: the statement's name, as it opens with.
    pub fn crashed_at(&self) -> Option<String> {
        self.shared.lock_at().clone()
    }
}

impl Drop for DatabaseProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Shared {
    fn lock_at(&self) -> MutexGuard<'_, Option<String>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the worker dies at the write that is now on its way, if it does.
    fn next(&self, name: &str) -> Option<ConnectionFault> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = plan.as_mut().filter(|planned| planned.only.is_none_or(|only| only == name))?;
        if planned.spared > 0 {
            planned.spared -= 1;
            return None;
        }
        *self.lock_at() = Some(name.to_owned());
        plan.take().map(|plan| plan.cut)
    }
}

async fn listen(listener: UnixListener, server: PathBuf, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, shared) = (server.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // A connection that breaks is one that ends.
            _ = carry(client, server, shared).await;
        });
    }
}

/// What both directions of a connection know.
#[derive(Default)]
struct Known {
    /// `I` where no transaction is open, as the server said last.
    status: AtomicU8,
    /// Whether the next answer is the last that the server gives.
    last_answer: AtomicBool,
}

async fn carry(client: UnixStream, server: PathBuf, shared: Arc<Shared>) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = UnixStream::connect(server).await?.into_split();
    greet(&mut from_client, &mut to_client, &mut from_server, &mut to_server).await?;
    let known = Known::default();
    tokio::select! {
        biased;
        () = shared.dead.cancelled() => {}
        ended = ask(&mut from_client, &mut to_server, &known, &shared) => ended?,
        ended = answer(&mut from_server, &mut to_client, &known, &shared) => ended?,
    }
    if !shared.dead.is_cancelled() {
        return Ok(());
    }
    // The server sees the worker gone and rolls back what was open; the worker hears nothing any more.
    drop((from_server, to_server));
    while from_client.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Carries the first messages, which have no letter.
async fn greet(
    from_client: &mut OwnedReadHalf,
    to_client: &mut OwnedWriteHalf,
    from_server: &mut OwnedReadHalf,
    to_server: &mut OwnedWriteHalf,
) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        from_client.read_exact(&mut length).await?;
        let mut body = vec![0; (i32::from_be_bytes(length).unsigned_abs() as usize).saturating_sub(4)];
        from_client.read_exact(&mut body).await?;
        to_server.write_all(&[&length, body.as_slice()].concat()).await?;
        if body != SSL_REQUEST {
            return Ok(());
        }
        let refusal = from_server.read_u8().await?;
        to_client.write_all(&[refusal]).await?;
    }
}

/// Reads one message: its letter, and all of it.
async fn message(from: &mut OwnedReadHalf) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]).unsigned_abs() as usize;
    let mut whole = head.to_vec();
    whole.resize(1 + length.max(4), 0);
    from.read_exact(&mut whole[5..]).await?;
    Ok((head[0], whole))
}

/// Carries what the worker asks, up to the write at which it dies.
async fn ask(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, known: &Known, shared: &Shared) -> std::io::Result<()> {
    let mut statements = HashMap::new();
    // What the open transaction has written last.
    let mut written = None;
    loop {
        let (letter, whole) = message(from).await?;
        let mut texts = whole[5..].split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        let write = match letter {
            // Parse: a name and the text. Bind: a portal and the name.
            b'P' => {
                let (name, text) = (text(), text());
                statements.insert(name, text);
                None
            }
            b'B' => {
                let (_, name) = (text(), text());
                let name = statements.get(&name).and_then(|text| write(text));
                if known.status.load(Ordering::SeqCst) == b'I' {
                    name
                } else {
                    written = name.or(written);
                    None
                }
            }
            b'Q' => match text().as_str() {
                "COMMIT" => written.take(),
                "ROLLBACK" => {
                    written = None;
                    None
                }
                _ => None,
            },
            _ => None,
        };
        match write.and_then(|name| shared.next(&name)) {
            Some(ConnectionFault::CrashBeforeWrite) => {
                shared.dead.cancel();
                return Ok(());
            }
            Some(ConnectionFault::DisconnectBeforeWrite) => return Ok(()),
            Some(ConnectionFault::CrashAfterWrite) => known.last_answer.store(true, Ordering::SeqCst),
            None => {}
        }
        to.write_all(&whole).await?;
    }
}

/// Carries what the server answers, up to the answer that the worker does not hear any more.
async fn answer(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    known: &Known,
    shared: &Shared,
) -> std::io::Result<()> {
    loop {
        let (letter, whole) = message(from).await?;
        let last = known.last_answer.load(Ordering::SeqCst);
        if letter == b'Z' {
            known.status.store(whole[5], Ordering::SeqCst);
            if last {
                shared.dead.cancel();
                return Ok(());
            }
        }
        if !last {
            to.write_all(&whole).await?;
        }
    }
}

/// The name of a statement that writes. Taking leave to make a call is none of them, nor is taking on a look, of which
/// there is one for every claim: dying there is dying before the call, or before the write that ends the look.
fn write(text: &str) -> Option<String> {
    if text.contains("insert into aws_call_rates ") || text.contains("db::shared_polls::claim_due") {
        return None;
    }
    let words = text.replace("for no key update", "").replace("for update", "");
    let writes = ["insert into ", "update ", "delete from "].iter().any(|word| words.contains(word));
    let name = text.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */")).map_or(text, |(name, _)| name);
    writes.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_no_write() {
        assert_eq!(
            write("/* db::fence::begin_fenced */ select 1 from operations where id = $1 for no key update"),
            None
        );
        assert_eq!(write("/* db::begin */ update operation_steps set x = 1").as_deref(), Some("db::begin"));
    }
}
