//! The files of a sandbox beside its database: the simulated world, the ports, the issuer's key.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

/// The directory of the files.
pub(super) struct Home {
    directory: PathBuf,
    /// Whether they are to be there next time.
    kept: bool,
    _temporary: Option<TempDir>,
}

/// The ports that were used last time: a Function URL begins with one of them.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) api: Option<u16>,
    pub(super) aws: Option<u16>,
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
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
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

    pub(super) fn ports(&self) -> Ports {
        let text = fs::read(self.directory.join("ports.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn keep_ports(&self, ports: Ports) -> anyhow::Result<()> {
        replace(&self.directory.join("ports.json"), &serde_json::to_vec(&ports)?)
    }
}

/// Puts a file that only its owner may read in the place of another, at once and as a whole.
pub(super) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = NamedTempFile::new_in(directory)
        .and_then(|mut file| file.write_all(content).map(|()| file))
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(())
}
