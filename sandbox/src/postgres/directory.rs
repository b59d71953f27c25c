//! The directory of the private PostgreSQL server: cluster, password, log and lock file.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::PostgresError;
use super::error::io_error_at;
use super::private::{create_data_directory, set_mode};
use super::server_user::ServerUser;

/// Parent directory of the cluster if the server's user cannot access the configured data directory.
const FALLBACK_PARENT: &str = "/var/lib/freehold";

/// The directory of one private PostgreSQL server. This process has locked the directory.
#[derive(Debug)]
pub(super) struct ServerDirectory {
    path: PathBuf,
    temporary: bool,
    /// Open lock file. The kernel unlocks the file when this process ends.
    _lock: File,
}

impl ServerDirectory {
    /// Opens or creates `data_dir/postgres`, or creates a temporary directory. Returns an error if another process has
    /// locked the directory.
    pub(super) fn open(data_dir: Option<&Path>, user: &ServerUser) -> Result<Self, PostgresError> {
        let path = match data_dir {
            Some(data_dir) => open_data_directory(data_dir, user)?,
            None => create_temporary_directory(user)?,
        };
        let lock_file = path.join("lock");
        let lock = open_private_file(&lock_file)?;
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

    /// Returns the path of the file with the access rules of the server (`pg_hba.conf`).
    pub(super) fn access_rules_file(&self) -> PathBuf {
        self.path.join("access.conf")
    }

    /// Returns the path of the file that maps users of the operating system to roles (`pg_ident.conf`).
    pub(super) fn user_map_file(&self) -> PathBuf {
        self.path.join("users.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Returns whether the directory is deleted when the server stops.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Returns the cluster's path and the major version that created it, or `None` if there is no cluster.
    pub(super) fn cluster_version(&self) -> Result<Option<(PathBuf, u32)>, PostgresError> {
        let file = self.cluster().join("PG_VERSION");
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).map_err(io_error_at("reading", &file))?;
        Ok(text.trim().parse().ok().map(|version| (self.cluster(), version)))
    }
}

impl Drop for ServerDirectory {
    /// Deletes a temporary directory that still exists. Usually the guard deletes it after the server has stopped, but
    /// not if the start failed or the server exited by itself.
    fn drop(&mut self) {
        if self.temporary {
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Returns `data_dir/postgres` and creates it if needed. If this process runs as root and the server's user cannot
/// access `data_dir` (for example because it is below `/root`), the path is created as a symbolic link to a directory
/// that the user can access.
fn open_data_directory(data_dir: &Path, user: &ServerUser) -> Result<PathBuf, PostgresError> {
    create_data_directory(data_dir, user)?;
    let data_dir = data_dir.canonicalize().map_err(io_error_at("opening", data_dir))?;
    let directory = data_dir.join("postgres");
    if !directory.exists() {
        if user.can_access(&data_dir) {
            create_private_directory(&directory, user)?;
        } else {
            let fallback = create_fallback_directory(user)?;
            _ = fs::remove_file(&directory);
            symlink(&fallback, &directory).map_err(io_error_at("creating the symbolic link", &directory))?;
            tracing::info!(
                data = %fallback.display(),
                "PostgreSQL cannot enter the data directory; using another directory for its files"
            );
        }
    }
    let directory = directory.canonicalize().map_err(io_error_at("opening", &directory))?;
    let owner = fs::metadata(&directory).map_err(io_error_at("opening", &directory))?.uid();
    if user.can_access(&directory) && user.trusts_owner(owner) {
        // An earlier version or another program may have created the directory.
        set_mode(&directory, 0o700)?;
        let cluster = directory.join("cluster");
        if cluster.exists() {
            set_mode(&cluster, 0o700)?;
        }
        Ok(directory)
    } else {
        Err(PostgresError::Unreachable { user: user.name().to_owned(), directory })
    }
}

/// Creates a directory for the server's user in a parent directory that all users can access.
fn create_fallback_directory(user: &ServerUser) -> Result<PathBuf, PostgresError> {
    let parent = Path::new(FALLBACK_PARENT);
    if !parent.exists() {
        fs::create_dir_all(parent).map_err(io_error_at("creating", parent))?;
        fs::set_permissions(parent, Permissions::from_mode(0o755))
            .map_err(io_error_at("setting the permissions of", parent))?;
    }
    let directory = create_random_directory("postgres-", parent)?;
    user.set_owner(directory.path())?;
    Ok(directory.keep())
}

/// Creates a directory with a random name that only this user can access. It is deleted when the value is dropped.
fn create_random_directory(prefix: &str, parent: &Path) -> Result<TempDir, PostgresError> {
    let mut builder = tempfile::Builder::new();
    // Without an explicit mode, other users could enter the directory.
    builder.prefix(prefix).permissions(Permissions::from_mode(0o700));
    builder.tempdir_in(parent).map_err(io_error_at("creating a directory in", parent))
}

fn create_temporary_directory(user: &ServerUser) -> Result<PathBuf, PostgresError> {
    let candidates = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let parent = candidates
        .iter()
        .find(|parent| user.can_write_in(parent))
        .ok_or_else(|| PostgresError::Unreachable { user: user.name().to_owned(), directory: candidates[0].clone() })?;
    let directory = create_random_directory("freehold-postgres-", parent)?;
    user.set_owner(directory.path())?;
    Ok(directory.keep())
}

/// Opens a file for writing, which only its owner can access. An existing file keeps its content.
pub(super) fn open_private_file(path: &Path) -> Result<File, PostgresError> {
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(io_error_at("opening", path))?;
    set_mode(path, 0o600)?;
    Ok(file)
}

/// Writes a file that only its owner, the user of the server, can access.
pub(super) fn write_private_file(path: &Path, content: &str, user: &ServerUser) -> Result<(), PostgresError> {
    let mut file = open_private_file(path)?;
    file.set_len(0).and_then(|()| file.write_all(content.as_bytes())).map_err(io_error_at("writing", path))?;
    user.set_owner(path)
}

fn create_private_directory(directory: &Path, user: &ServerUser) -> Result<(), PostgresError> {
    DirBuilder::new().mode(0o700).create(directory).map_err(io_error_at("creating", directory))?;
    user.set_owner(directory)
}
