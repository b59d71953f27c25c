//! The files of a sandbox beside its database: the simulated world, where its clock stood, the issuer's key.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

/// The directory of the files.
#[derive(Clone)]
pub(super) struct Home {
    directory: PathBuf,
    /// Whether they are to be there next time.
    kept: bool,
    _temporary: Option<Arc<TempDir>>,
}

/// What a sandbox that starts again goes on with.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct SavedSession {
    /// The port of the API.
    pub(super) api_port: Option<u16>,
    /// The port of the simulated AWS, with which the Function URLs begin.
    pub(super) aws_port: Option<u16>,
    /// What the clock showed when the world was last saved.
    pub(super) clock: Option<DateTime<Utc>>,
}

impl Home {
    /// The directory `data`, or else one below `guarded`, which goes when the private PostgreSQL goes, or else a
    /// temporary one.
    pub(super) fn open(data: Option<&Path>, guarded: Option<&Path>) -> anyhow::Result<Self> {
        let (directory, temporary) = match (data, guarded) {
            (Some(data), _) => (data.to_owned(), None),
            (None, Some(guarded)) => (guarded.join("sandbox"), None),
            (None, None) => {
                let temporary = TempDir::with_prefix("freehold-sandbox-")?;
                (temporary.path().to_owned(), Some(Arc::new(temporary)))
            }
        };
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        if let (None, Some(guarded)) = (data, guarded) {
            // PostgreSQL's guard removes it when we cannot; under root, that is somebody else.
            let owner = fs::metadata(guarded)?;
            chown(&directory, Some(owner.uid()), Some(owner.gid()))?;
        }
        let directory = directory.canonicalize()?;
        Ok(Self { directory, kept: data.is_some(), _temporary: temporary })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the simulated world is kept; nowhere in a sandbox that is thrown away.
    pub(super) fn world(&self) -> Option<PathBuf> {
        self.kept.then(|| self.directory.join("world.json"))
    }

    /// Whether a simulated world was kept here before.
    pub(super) fn has_world(&self) -> bool {
        self.world().is_some_and(|file| file.exists())
    }

    pub(super) fn last_time(&self) -> SavedSession {
        let text = fs::read(self.directory.join("last-time.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Changes what the next start goes on with.
    pub(super) fn for_next_time(&self, change: impl FnOnce(&mut SavedSession)) -> anyhow::Result<()> {
        let mut next_time = self.last_time();
        change(&mut next_time);
        replace(&self.directory.join("last-time.json"), &serde_json::to_vec(&next_time)?)
    }
}

/// Puts a file that only its owner may read in the place of another, at once and as a whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = NamedTempFile::new_in(directory)
        .and_then(|mut file| file.write_all(content).map(|()| file))
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(())
}
