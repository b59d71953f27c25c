//! A PostgreSQL of our own: started for one process, reachable only from this machine, gone when that process is gone.
//!
//! PostgreSQL refuses to run as root, so under root it runs as somebody else ([`ServerUser`]). A guard ([`guard`]) stops
//! it when we end, however we end; what a crash of the whole machine leaves behind, the next start clears
//! ([`cleanup`]). Other users of the machine can neither read it nor pose as it: it listens on a free loopback port and
//! asks for a random password, or it listens on a socket in a directory that is its own ([`Listen`]).

mod binaries;
mod cleanup;
mod cluster;
mod error;
mod guard;
mod home;
mod server_user;
mod templates;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::PostgresError;
pub use templates::{TestDatabase, TestDatabases};

use binaries::Binaries;
use cluster::Settings;
use guard::Guarded;
use home::Home;
use server_user::ServerUser;

/// The superuser that [`Postgres::url`] names.
const SUPERUSER: &str = "freehold";

/// How often a start is tried that fails for a reason that passes, such as the free port being taken meanwhile.
const ATTEMPTS: usize = 8;

/// How long PostgreSQL may take to accept connections, recovery after a crash included.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// The number in the name of a socket; it tells apart servers that share a directory, and ours has its own.
const SOCKET_NUMBER: u16 = 5432;

/// Where clients find the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a free loopback port, with a password. Every client knows how.
    Loopback,
    /// On a Unix socket that only this user (and root) can reach, without a password, which makes connecting fast: what
    /// SCRAM computes takes tens of milliseconds in an unoptimised build.
    Socket,
}

/// How to run the private PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where the data is kept. `None` is a temporary directory that is removed at the end.
    pub data_dir: Option<PathBuf>,
    /// Whether what was committed survives a crash of the machine. Tests do without, which is several times faster.
    pub durable: bool,
    /// Where clients find it.
    pub listen: Listen,
    /// How many clients may be connected at once.
    pub max_connections: u16,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { data_dir: None, durable: true, listen: Listen::Loopback, max_connections: 200 }
    }
}

impl PostgresOptions {
    /// A throw-away server for tests: no data directory to keep, no waiting for the disk, no password.
    pub fn for_tests() -> Self {
        // Many tests at a time, each with some workers, each with connections of its own.
        Self { durable: false, listen: Listen::Socket, max_connections: 600, ..Self::default() }
    }
}

/// A running PostgreSQL. It stops when this is dropped, and when the process ends in any way; [`Postgres::stop`] also
/// waits until it has stopped.
#[derive(Debug)]
pub struct Postgres {
    guard: Guarded,
    home: Home,
    listen: Listen,
    port: u16,
    password: String,
    pid: i32,
}

impl Postgres {
    /// Finds PostgreSQL (or downloads it), makes a cluster unless `data_dir` has one, starts it and waits until it
    /// accepts connections.
    pub async fn start(options: PostgresOptions) -> Result<Self, PostgresError> {
        let user = ServerUser::choose()?;
        let home = Home::open(options.data_dir.as_deref(), &user)?;
        let binaries = Binaries::find(&user, home.cluster_version()?).await?;
        cleanup::clear(&home).await?;
        let password = cluster::ensure(&home, &binaries, &user, options.durable).await?;
        let PostgresOptions { durable, listen, max_connections, .. } = options;
        let mut attempt = 1;
        loop {
            let port = match listen {
                Listen::Loopback => free_port()?,
                Listen::Socket => SOCKET_NUMBER,
            };
            let settings = Settings { durable, listen, port, max_connections };
            match cluster::launch(&home, &binaries, &user, &settings).await {
                Ok((guard, pid)) => {
                    tracing::info!(pid, directory = %home.path().display(), "the private PostgreSQL is ready");
                    return Ok(Self { guard, home, listen, port, password, pid });
                }
                Err(error) if error.is_worth_another_try() && attempt < ATTEMPTS => {
                    tracing::debug!(port, %error, "PostgreSQL did not start; trying again");
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL of the database `postgres`, as superuser, password included.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// The URL of the database `name` (which need not exist yet), as superuser, password included.
    pub fn database_url(&self, name: &str) -> String {
        let name = percent_encoded(name);
        match self.listen {
            Listen::Loopback => {
                let (host, port, password) = (Ipv4Addr::LOCALHOST, self.port, &self.password);
                // No TLS on loopback: asking would cost every new connection a round trip and a refusal.
                format!("postgres://{SUPERUSER}:{password}@{host}:{port}/{name}?sslmode=disable")
            }
            Listen::Socket => {
                let directory = percent_encoded(&self.home.path().to_string_lossy());
                format!("postgres://{SUPERUSER}@localhost/{name}?host={directory}")
            }
        }
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The directory with the cluster, its password and its log.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// Stops the server, waits until it is gone, and removes a temporary directory.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        self.guard.release().await
    }
}

/// A port that nobody listens on now. Somebody may take it before PostgreSQL does, so the caller must be ready to ask
/// for another.
fn free_port() -> Result<u16, PostgresError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| PostgresError::io("looking for a free loopback port", source))
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
