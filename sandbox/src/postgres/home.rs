//! The directory that the private PostgreSQL lives in: its cluster, its password, its log, and a lock.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::PostgresError;
use super::error::at;
use super::server_user::ServerUser;

/// Where a cluster goes that belongs to a data directory which the server's user cannot enter.
const ELSEWHERE: &str = "/var/lib/freehold";

/// The directory of one private PostgreSQL, locked for this process.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    temporary: bool,
    /// Held, not read: the kernel gives the lock back when we end, however we end.
    _lock: File,
}

impl Home {
    /// Makes or reopens the directory: `data_dir/postgres`, or a temporary one.
    pub(super) fn open(data_dir: Option<&Path>, user: &ServerUser) -> Result<Self, PostgresError> {
        let path = match data_dir {
            Some(data_dir) => kept(data_dir, user)?,
            None => temporary(user)?,
        };
        let lock_file = path.join("lock");
        let lock = File::create(&lock_file).map_err(at("making", &lock_file))?;
        if lock.try_lock().is_err() {
            return Err(PostgresError::InUse { directory: path });
        }
        Ok(Self { path, temporary: data_dir.is_none(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.path.join("password")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Whether the directory goes when the server goes.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// The cluster and the major version that made it, if there is one.
    pub(super) fn cluster_version(&self) -> Result<Option<(PathBuf, u32)>, PostgresError> {
        let file = self.cluster().join("PG_VERSION");
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).map_err(at("reading", &file))?;
        Ok(text.trim().parse().ok().map(|version| (self.cluster(), version)))
    }
}

impl Drop for Home {
    /// Removes a temporary directory. Usually the guard does so, after the server has stopped; this is for a start that
    /// failed before there was one, and where the server ended by itself.
    fn drop(&mut self) {
        if self.temporary {
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// `data_dir/postgres`, made if it is not there. Under root, where the server's user cannot enter `data_dir` (below
/// `/root`, say), that name is a symbolic link to a directory that it can.
fn kept(data_dir: &Path, user: &ServerUser) -> Result<PathBuf, PostgresError> {
    fs::create_dir_all(data_dir).map_err(at("making", data_dir))?;
    let data_dir = data_dir.canonicalize().map_err(at("opening", data_dir))?;
    let home = data_dir.join("postgres");
    if !home.exists() {
        if user.can_enter(&data_dir) {
            make_private(&home, user)?;
        } else {
            let elsewhere = elsewhere(user)?;
            _ = fs::remove_file(&home);
            symlink(&elsewhere, &home).map_err(at("linking", &home))?;
            tracing::info!(data = %elsewhere.display(), "PostgreSQL cannot enter the data directory; keeping its files elsewhere");
        }
    }
    let home = home.canonicalize().map_err(at("opening", &home))?;
    if user.can_enter(&home) {
        Ok(home)
    } else {
        Err(PostgresError::Unreachable { user: user.name().to_owned(), directory: home })
    }
}

/// A new directory that the server's user owns, below one that everybody may enter.
fn elsewhere(user: &ServerUser) -> Result<PathBuf, PostgresError> {
    let parent = Path::new(ELSEWHERE);
    if !parent.exists() {
        fs::create_dir_all(parent).map_err(at("making", parent))?;
        fs::set_permissions(parent, Permissions::from_mode(0o755)).map_err(at("opening up", parent))?;
    }
    let directory =
        tempfile::Builder::new().prefix("postgres-").tempdir_in(parent).map_err(at("writing in", parent))?;
    user.give(directory.path())?;
    Ok(directory.keep())
}

fn temporary(user: &ServerUser) -> Result<PathBuf, PostgresError> {
    let candidates = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let parent = candidates
        .iter()
        .find(|parent| user.can_write_in(parent))
        .ok_or_else(|| PostgresError::Unreachable { user: user.name().to_owned(), directory: candidates[0].clone() })?;
    let directory = tempfile::Builder::new()
        .prefix("freehold-postgres-")
        .tempdir_in(parent)
        .map_err(at("making a temporary directory in", parent))?;
    user.give(directory.path())?;
    Ok(directory.keep())
}

fn make_private(directory: &Path, user: &ServerUser) -> Result<(), PostgresError> {
    DirBuilder::new().mode(0o700).create(directory).map_err(at("making", directory))?;
    user.give(directory)
}
