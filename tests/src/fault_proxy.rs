//! Proxy between a worker and PostgreSQL that simulates a crash of the worker, or closes the connection, at a chosen
//! write.
//!
//! The proxy parses enough of PostgreSQL's protocol to find the writes: commits of transactions that have changed data,
//! and statements outside a transaction that change data. These are the writes that survive a crash. The worker is not
//! modified.

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

/// File name of the PostgreSQL socket; a client gets the directory of this file as the host name.
const SOCKET_FILE_NAME: &str = ".s.PGSQL.5432";

/// TLS request of a client. The server responds with a single byte (PostgreSQL manual, "Frontend/Backend Protocol").
const SSL_REQUEST: [u8; 4] = 80_877_103_i32.to_be_bytes();

/// Fault that the proxy injects at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The worker crashes before the write has any effect.
    CrashBeforeWrite,
    /// The worker crashes after the write, before it gets the response.
    CrashAfterWrite,
    /// The connection is closed before the write has any effect; the worker keeps running.
    DisconnectBeforeWrite,
}

#[derive(Debug)]
struct Plan {
    skip: usize,
    /// If set, only writes by the statement with this name are counted.
    only: Option<&'static str>,
    fault: ConnectionFault,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Option<Plan>>,
    /// Statement name of the write at which the fault was injected.
    crashed_statement: Mutex<Option<String>>,
    writes: AtomicUsize,
    crashed: CancellationToken,
}

/// Proxy for the database connections of one worker.
pub struct DatabaseProxy {
    url: String,
    shared: Arc<Shared>,
    listener_task: JoinHandle<()>,
    _directory: TempDir,
}

impl DatabaseProxy {
    /// Starts a proxy for the database at `url` that injects the fault after `skip` writes.
    pub fn new(url: &str, skip: usize, fault: ConnectionFault) -> Self {
        Self::with(url, Plan { skip, only: None, fault })
    }

    /// Starts a proxy that injects the fault after `skip` writes by the statement with this name.
    pub fn for_statement(url: &str, name: &'static str, skip: usize, fault: ConnectionFault) -> Self {
        Self::with(url, Plan { skip, only: Some(name), fault })
    }

    fn with(url: &str, plan: Plan) -> Self {
        let (base, server) = url.split_once("?host=").expect("a database behind a socket");
        let server = PathBuf::from(server.replace("%2F", "/")).join(SOCKET_FILE_NAME);
        let directory = tempfile::tempdir().expect("a directory for the socket");
        let listener = UnixListener::bind(directory.path().join(SOCKET_FILE_NAME)).expect("a socket");
        let host = directory.path().to_str().expect("a path of text").replace('/', "%2F");
        let shared = Arc::new(Shared { plan: Mutex::new(Some(plan)), ..Shared::default() });
        let listener_task = tokio::spawn(listen(listener, server, Arc::clone(&shared)));
        Self { url: format!("{base}?host={host}"), shared, listener_task, _directory: directory }
    }

    /// Returns the database URL for the worker.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the proxy has simulated the crash.
    pub async fn wait_until_crashed(&self) {
        self.shared.crashed.cancelled().await;
    }

    /// Returns the number of writes that have reached the proxy.
    pub fn writes(&self) -> usize {
        self.shared.writes.load(Ordering::Relaxed)
    }

    /// Returns the statement name of the write at which the fault was injected, or `None` if no fault was injected yet.
    pub fn crashed_at(&self) -> Option<String> {
        self.shared.lock_crashed_statement().clone()
    }
}

impl Drop for DatabaseProxy {
    fn drop(&mut self) {
        self.listener_task.abort();
    }
}

impl Shared {
    fn lock_crashed_statement(&self) -> MutexGuard<'_, Option<String>> {
        self.crashed_statement.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write by the statement with this name. Returns the fault to inject at this write, or `None`.
    fn next(&self, name: &str) -> Option<ConnectionFault> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = plan.as_mut().filter(|planned| planned.only.is_none_or(|only| only == name))?;
        if planned.skip > 0 {
            planned.skip -= 1;
            return None;
        }
        *self.lock_crashed_statement() = Some(name.to_owned());
        plan.take().map(|plan| plan.fault)
    }
}

async fn listen(listener: UnixListener, server: PathBuf, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, shared) = (server.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // A broken connection is treated like a closed one.
            _ = forward(client, server, shared).await;
        });
    }
}

/// State shared by both directions of a connection.
#[derive(Default)]
struct ConnectionState {
    /// Transaction status from the last ReadyForQuery message; `I` means that no transaction is open.
    status: AtomicU8,
    /// True if the server's next response is discarded and the crash is then simulated.
    crash_after_response: AtomicBool,
}

async fn forward(client: UnixStream, server: PathBuf, shared: Arc<Shared>) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = UnixStream::connect(server).await?.into_split();
    forward_startup(&mut from_client, &mut to_client, &mut from_server, &mut to_server).await?;
    let state = ConnectionState::default();
    tokio::select! {
        biased;
        () = shared.crashed.cancelled() => {}
        result = forward_requests(&mut from_client, &mut to_server, &state, &shared) => result?,
        result = forward_responses(&mut from_server, &mut to_client, &state, &shared) => result?,
    }
    if !shared.crashed.is_cancelled() {
        return Ok(());
    }
    // The server sees a closed connection and rolls back the open transaction; the worker gets no response.
    drop((from_server, to_server));
    while from_client.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Forwards the startup messages, which have no type byte.
async fn forward_startup(
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
        let response = from_server.read_u8().await?;
        to_client.write_all(&[response]).await?;
    }
}

/// Reads one message and returns its type and all of its bytes.
async fn read_message(from: &mut OwnedReadHalf) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]).unsigned_abs() as usize;
    let mut message = head.to_vec();
    message.resize(1 + length.max(4), 0);
    from.read_exact(&mut message[5..]).await?;
    Ok((head[0], message))
}

/// Forwards the worker's messages to the server until the write at which the fault is injected.
async fn forward_requests(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    state: &ConnectionState,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut statements = HashMap::new();
    // Name of the last write of the open transaction.
    let mut pending_write = None;
    loop {
        let (kind, message) = read_message(from).await?;
        let mut strings = message[5..].split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || strings.next().unwrap_or_default();
        let write = match kind {
            // Parse: statement name and text. Bind: portal and statement name.
            b'P' => {
                let (name, text) = (text(), text());
                statements.insert(name, text);
                None
            }
            b'B' => {
                let (_, name) = (text(), text());
                let name = statements.get(&name).and_then(|text| name_of_write(text));
                if state.status.load(Ordering::SeqCst) == b'I' {
                    name
                } else {
                    pending_write = name.or(pending_write);
                    None
                }
            }
            b'Q' => match text().as_str() {
                "COMMIT" => pending_write.take(),
                "ROLLBACK" => {
                    pending_write = None;
                    None
                }
                _ => None,
            },
            _ => None,
        };
        match write.and_then(|name| shared.next(&name)) {
            Some(ConnectionFault::CrashBeforeWrite) => {
                shared.crashed.cancel();
                return Ok(());
            }
            Some(ConnectionFault::DisconnectBeforeWrite) => return Ok(()),
            Some(ConnectionFault::CrashAfterWrite) => state.crash_after_response.store(true, Ordering::SeqCst),
            None => {}
        }
        to.write_all(&message).await?;
    }
}

/// Forwards the server's responses. To simulate a crash after a write, the responses from this write on are discarded.
async fn forward_responses(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    state: &ConnectionState,
    shared: &Shared,
) -> std::io::Result<()> {
    loop {
        let (kind, message) = read_message(from).await?;
        let last = state.crash_after_response.load(Ordering::SeqCst);
        if kind == b'Z' {
            state.status.store(message[5], Ordering::SeqCst);
            if last {
                shared.crashed.cancel();
                return Ok(());
            }
        }
        if !last {
            to.write_all(&message).await?;
        }
    }
}

/// Returns the name of a statement that changes data, or `None` for other statements. Updates of rate-limit tokens and
/// of the leases of shared polls are ignored: a crash at one of these updates is equivalent to a crash before the AWS
/// call, or before the write that completes the shared poll.
fn name_of_write(text: &str) -> Option<String> {
    if text.contains("insert into aws_call_rates ") || text.contains("update shared_polls set lease_until = $2") {
        return None;
    }
    let sql = text.replace("for no key update", "").replace("for update", "");
    let writes = ["insert into ", "update ", "delete from "].iter().any(|keyword| sql.contains(keyword));
    let name = text.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */")).map_or(text, |(name, _)| name);
    writes.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lock_is_not_a_write() {
        assert_eq!(
            name_of_write("/* db::fence::begin_fenced */ select 1 from operations where id = $1 for no key update"),
            None
        );
        assert_eq!(name_of_write("/* db::begin */ update operation_steps set x = 1").as_deref(), Some("db::begin"));
    }
}
