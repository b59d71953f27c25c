//! Files of a sandbox: the state of the simulated AWS, the saved session and the signing key of tokens.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use freehold_sandbox::postgres::create_private_directory;
use serde::{Deserialize, Serialize};
use tempfile::{Builder, NamedTempFile, TempDir};

#[derive(Clone)]
pub(super) struct DataDir {
    directory: PathBuf,
    /// True if `--data` is set. The files are then kept for the next start.
    is_persistent: bool,
    _temporary: Option<Arc<TempDir>>,
}

/// Values of the previous run that the next run reuses.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct SavedSession {
    pub(super) api_port: Option<u16>,
    /// Port of the simulated AWS, which is part of the stored URLs of Lambda functions.
    pub(super) aws_port: Option<u16>,
    /// Time of the simulated clock when the simulated AWS was last saved.
    pub(super) clock: Option<DateTime<Utc>>,
}

impl DataDir {
    /// Opens the directory `data`. If `data` is `None`, creates a directory inside `postgres_directory`, which is
    /// deleted together with the private PostgreSQL. If both are `None`, creates a temporary directory.
    pub(super) fn open(data: Option<&Path>, postgres_directory: Option<&Path>) -> anyhow::Result<Self> {
        let (directory, temporary) = match (data, postgres_directory) {
            (Some(data), _) => (data.to_owned(), None),
            (None, Some(parent)) => (parent.join("sandbox"), None),
            (None, None) => {
                let mode = Permissions::from_mode(0o700);
                let temporary = Builder::new().prefix("freehold-sandbox-").permissions(mode).tempdir()?;
                (temporary.path().to_owned(), Some(Arc::new(temporary)))
            }
        };
        // The parent is private if the directory is inside the directory of PostgreSQL.
        create_private_directory(&directory)?;
        if let (None, Some(parent)) = (data, postgres_directory) {
            // If the sandbox is killed, the guard process of PostgreSQL deletes the directory. If the sandbox runs as
            // root, the guard process runs as another user.
            let owner = fs::metadata(parent)?;
            chown(&directory, Some(owner.uid()), Some(owner.gid()))?;
        }
        let directory = directory.canonicalize()?;
        Ok(Self { directory, is_persistent: data.is_some(), _temporary: temporary })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of the file that stores the simulated AWS, or `None` without `--data`.
    pub(super) fn world_file(&self) -> Option<PathBuf> {
        self.is_persistent.then(|| self.directory.join("world.json"))
    }

    pub(super) fn has_saved_world(&self) -> bool {
        self.world_file().is_some_and(|file| file.exists())
    }

    pub(super) fn saved_session(&self) -> SavedSession {
        let text = fs::read(self.directory.join("last-time.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn update_session(&self, change: impl FnOnce(&mut SavedSession)) -> anyhow::Result<()> {
        let mut session = self.saved_session();
        change(&mut session);
        write_private_file(&self.directory.join("last-time.json"), &serde_json::to_vec(&session)?)
    }
}

/// Writes a file atomically, readable only by its owner.
pub(crate) fn write_private_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = NamedTempFile::new_in(directory)
        .and_then(|mut file| file.write_all(content).map(|()| file))
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
