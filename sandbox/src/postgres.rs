//! A private PostgreSQL server for one process. It is reachable only from this machine and stops when the process ends.
//!
//! PostgreSQL refuses to run as root. If this process runs as root, the server runs as another user ([`ServerUser`]). A
//! guard process ([`guard`]) stops the server when this process ends, even after a crash. After a crash of the machine,
//! the next start deletes stale files ([`cleanup`]). Other users of the machine cannot connect: the server listens on a
//! free loopback port with a random password, or on a private socket in a private directory ([`ListenMode`]).

mod binaries;
mod cleanup;
mod cluster;
mod directory;
mod error;
mod guard;
mod private;
mod server_user;
mod templates;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::PostgresError;
pub use private::create_private_directory;
pub use templates::{TestDatabase, TestDatabases};

use binaries::PostgresInstallation;
use cluster::Settings;
use directory::ServerDirectory;
use guard::GuardedProcess;
use server_user::ServerUser;

/// Name of the database superuser, as used in [`Postgres::url`].
const SUPERUSER: &str = "freehold";

/// Maximum number of start attempts after transient failures, for example if another process takes the free port.
const MAX_START_ATTEMPTS: usize = 8;

/// Maximum time until a started PostgreSQL server accepts connections, including crash recovery.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// Port number in the file name of the socket. The number can be fixed, because each server has its own socket
/// directory.
const SOCKET_PORT_NUMBER: u16 = 5432;

/// Type of the address on which the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenMode {
    /// A free loopback port with password authentication. All clients support it.
    Loopback,
    /// A Unix socket that only this user and root can access. PostgreSQL asks the kernel which user connects, which is
    /// faster than a password: SCRAM authentication takes tens of milliseconds in an unoptimised build.
    Socket,
}

/// Options of the private PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Data directory. `None` means a temporary directory, which is deleted when the server stops.
    pub data_dir: Option<PathBuf>,
    /// True if commits survive a crash of the machine. Tests use `false`, which is several times faster.
    pub durable: bool,
    pub listen: ListenMode,
    pub max_connections: u16,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { data_dir: None, durable: true, listen: ListenMode::Loopback, max_connections: 200 }
    }
}

impl PostgresOptions {
    /// Returns options for a temporary server for tests: no permanent data, no fsync, no password.
    pub fn for_tests() -> Self {
        // Many tests run at the same time, and each test starts several workers with their own connections.
        Self { durable: false, listen: ListenMode::Socket, max_connections: 600, ..Self::default() }
    }
}

/// A running PostgreSQL server. It stops when this value is dropped or the process ends; [`Postgres::stop`] also waits
/// until the server has stopped.
#[derive(Debug)]
pub struct Postgres {
    guard: GuardedProcess,
    directory: ServerDirectory,
    listen: ListenMode,
    port: u16,
    password: String,
    pid: i32,
}

impl Postgres {
    /// Finds or downloads PostgreSQL, creates a cluster unless `data_dir` contains one, starts the server and waits
    /// until it accepts connections.
    pub async fn start(options: PostgresOptions) -> Result<Self, PostgresError> {
        let user = ServerUser::select()?;
        let directory = ServerDirectory::open(options.data_dir.as_deref(), &user)?;
        let binaries = PostgresInstallation::find(&user, directory.cluster_version()?).await?;
        cleanup::stop_leftover_server(&directory).await?;
        let password = cluster::ensure_initialized(&directory, &binaries, &user, options.durable).await?;
        let PostgresOptions { durable, listen, max_connections, .. } = options;
        let mut attempt = 1;
        loop {
            let port = match listen {
                ListenMode::Loopback => free_port()?,
                ListenMode::Socket => SOCKET_PORT_NUMBER,
            };
            let settings = Settings { durable, listen, port, max_connections };
            match cluster::start_server(&directory, &binaries, &user, &settings).await {
                Ok((guard, pid)) => {
                    tracing::info!(pid, directory = %directory.path().display(), "the private PostgreSQL is ready");
                    return Ok(Self { guard, directory, listen, port, password, pid });
                }
                Err(error) if error.is_transient() && attempt < MAX_START_ATTEMPTS => {
                    tracing::debug!(port, %error, "PostgreSQL did not start; retrying");
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the connection URL for the superuser and the database `postgres`. The URL contains the password, if one
    /// is required.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Returns the connection URL for the superuser and the database `name`, which does not have to exist. The URL
    /// contains the password, if one is required.
    pub fn database_url(&self, name: &str) -> String {
        let name = percent_encoded(name);
        match self.listen {
            ListenMode::Loopback => {
                let (host, port, password) = (Ipv4Addr::LOCALHOST, self.port, &self.password);
                // TLS is disabled, because the server does not offer it and requesting it costs each new connection a
                // round trip.
                format!("postgres://{SUPERUSER}:{password}@{host}:{port}/{name}?sslmode=disable")
            }
            ListenMode::Socket => {
                let directory = percent_encoded(&self.directory.path().to_string_lossy());
                // A user without a name is identified by the password.
                let password = if cluster::current_user().is_some() { "" } else { &format!(":{}", self.password) };
                format!("postgres://{SUPERUSER}{password}@localhost/{name}?host={directory}")
            }
        }
    }

    /// Returns the process id of the server.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns the directory with the cluster, its password and its log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops the server and waits until it has exited. A temporary directory is deleted.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        self.guard.stop().await
    }
}

/// Returns a free loopback port. Another process can take the port before PostgreSQL does, so callers must retry.
fn free_port() -> Result<u16, PostgresError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| PostgresError::io("finding a free loopback port", source))
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => encoded.push(char::from(byte)),
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
        encoded
    })
}
