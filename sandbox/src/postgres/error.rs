//! Why there is no private PostgreSQL, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private PostgreSQL could not be found, started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable PostgreSQL on this machine, and none could be downloaded.
    #[error(
        "no PostgreSQL server {minimum} or newer was found ({looked}), and downloading one failed: {download}. \
         Install it: `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora), \
         `brew install postgresql` (macOS); or set PG_BINDIR to the directory that has `initdb` and `postgres`"
    )]
    NotInstalled {
        /// The oldest major version that will do.
        minimum: u32,
        /// Where it was looked for, and what was there.
        looked: String,
        /// Why there is none from the network either.
        download: String,
    },
    /// The cluster was made by a version that is not here.
    #[error(
        "the data in {} was made by PostgreSQL {cluster}, which is not installed here (found: {found}); install \
         PostgreSQL {cluster}, or choose another data directory", .directory.display()
    )]
    WrongVersion {
        /// Where the cluster is.
        directory: PathBuf,
        /// The major version that made it.
        cluster: u32,
        /// The major versions that are installed.
        found: String,
    },
    /// PostgreSQL refuses to run as root, and nobody else is there.
    #[error("PostgreSQL does not run as root, and this machine has neither a user `postgres` nor a user `nobody`")]
    NoUnprivilegedUser,
    /// The user that PostgreSQL runs as cannot get to the directory.
    #[error(
        "PostgreSQL runs as `{user}` here, who cannot enter {}; choose a directory below one that everybody may enter",
        .directory.display()
    )]
    Unreachable {
        /// The user that the server runs as.
        user: String,
        /// The directory that it cannot enter.
        directory: PathBuf,
    },
    /// Another process runs a PostgreSQL on the same data.
    #[error("another process is using {}; stop it, or choose another data directory", .directory.display())]
    InUse {
        /// The directory that is in use.
        directory: PathBuf,
    },
    /// A server that an earlier run left behind does not end.
    #[error("the PostgreSQL that an earlier run left behind (process {pid}, in {}) does not stop", .directory.display())]
    Leftover {
        pid: i32,
        /// Where its data is.
        directory: PathBuf,
    },
    /// `initdb` or `postgres` ended when it should not have.
    #[error("{program} failed ({status}); it said: {output}")]
    Failed {
        program: &'static str,
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The server runs but does not become ready, or does not stop.
    #[error("PostgreSQL did not {what} within {seconds} s; its log is {}", .log.display())]
    TooSlow {
        /// `start` or `stop`.
        what: &'static str,
        /// How long was waited, in seconds.
        seconds: u64,
        /// Where to read why.
        log: PathBuf,
    },
    /// A file, a directory or a process could not be had.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        source: io::Error,
    },
    /// A database could not be made, migrated or removed.
    #[error("{doing}: {source}")]
    Database {
        /// What was being done.
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

    /// Whether the server did not start for a reason that passes: the port was taken in between, or processes of a
    /// killed server are still on their way out.
    pub(super) fn is_worth_another_try(&self) -> bool {
        const PASSING: [&str; 3] = ["could not bind", "Address already in use", "pre-existing shared memory block"];
        matches!(self, Self::Failed { output, .. } if PASSING.iter().any(|reason| output.contains(reason)))
    }
}

/// Says which path an operation of the file system was about.
pub(super) fn at(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let doing = format!("{doing} {}", path.display());
    move |source| PostgresError::Io { doing, source }
}
