//! Errors of the private PostgreSQL server, with advice for the user.

use std::io;
use std::path::{Path, PathBuf};

/// An error while finding, starting, using or stopping the private PostgreSQL server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable PostgreSQL is installed, and the download failed.
    #[error(
        "no PostgreSQL server {minimum} or newer was found ({searched}), and downloading one failed: {download}. \
         Install it: `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora), \
         `brew install postgresql` (macOS); or set PG_BINDIR to the directory that has `initdb` and `postgres`"
    )]
    NotInstalled {
        /// Oldest supported major version.
        minimum: u32,
        /// List of the searched directories and the PostgreSQL versions found there.
        searched: String,
        /// Error message of the failed download.
        download: String,
    },
    /// The cluster was created by a version that is not installed.
    #[error(
        "the data in {} was created by PostgreSQL {cluster}, which is not installed here (found: {found}); install \
         PostgreSQL {cluster}, or choose another data directory", .directory.display()
    )]
    WrongVersion {
        /// Directory of the cluster.
        directory: PathBuf,
        /// Major version that created the cluster.
        cluster: u32,
        /// Installed major versions.
        found: String,
    },
    /// This process runs as root. PostgreSQL refuses to run as root, and no unprivileged user was found.
    #[error("PostgreSQL does not run as root, and this machine has neither a user `postgres` nor a user `nobody`")]
    NoUnprivilegedUser,
    /// The server's user cannot access the directory.
    #[error(
        "PostgreSQL runs as user `{user}` here, which cannot enter {}; choose a directory that this user may enter",
        .directory.display()
    )]
    Unreachable { user: String, directory: PathBuf },
    /// Other users can write in the data directory, so they could replace its files.
    #[error(
        "{} must be writable for its owner only, because it holds keys and data; choose another data directory",
        .directory.display()
    )]
    SharedDirectory { directory: PathBuf },
    /// The data directory belongs to another user.
    #[error(
        "{} belongs to another user, who could read the keys and data in it; choose another data directory",
        .directory.display()
    )]
    ForeignDirectory { directory: PathBuf },
    /// Another process runs a PostgreSQL server with the same data directory.
    #[error("another process is using {}; stop it, or choose another data directory", .directory.display())]
    InUse { directory: PathBuf },
    /// A server from an earlier run does not stop.
    #[error(
        "the PostgreSQL server of an earlier run (process {pid}, in {}) does not stop; stop it, then try again",
        .directory.display()
    )]
    LeftoverServer {
        pid: i32,
        /// Directory of the server's data.
        directory: PathBuf,
    },
    /// `initdb` or `postgres` exited unexpectedly.
    #[error("{program} failed ({status}); its output was: {output}")]
    Failed {
        program: &'static str,
        status: String,
        /// Last lines of the program's output.
        output: String,
    },
    /// The server did not become ready or did not stop in time.
    #[error("PostgreSQL did not {action} within {seconds} s; its log is {}", .log.display())]
    Timeout {
        /// Action that took too long, either `start` or `stop`.
        action: &'static str,
        /// Timeout in seconds.
        seconds: u64,
        /// Path of the server's log.
        log: PathBuf,
    },
    /// A file, directory or process operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// Description of the failed action.
        doing: String,
        source: io::Error,
    },
    /// A test database could not be created, migrated or deleted.
    #[error("{doing}: {source}")]
    Database {
        /// Description of the failed action.
        doing: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl PostgresError {
    pub(super) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    pub(super) fn database(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Database { doing: doing.into(), source: source.into() }
    }

    /// Returns whether a start failed for a transient reason: another process took the port, or processes of a killed
    /// server have not exited yet.
    pub(super) fn is_transient(&self) -> bool {
        const TRANSIENT_MESSAGES: [&str; 3] =
            ["could not bind", "Address already in use", "pre-existing shared memory block"];
        matches!(self, Self::Failed { output, .. } if TRANSIENT_MESSAGES.iter().any(|reason| output.contains(reason)))
    }
}

/// Returns a function that adds the action and the path to an I/O error.
pub(super) fn io_error_at(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let doing = format!("{doing} {}", path.display());
    move |source| PostgresError::Io { doing, source }
}
