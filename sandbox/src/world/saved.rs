//! A world in a file.

use std::io::Write;
use std::path::Path;

use freehold_tenancy::Clock;
use serde::{Deserialize, Serialize};

use super::{State, World};
use crate::settings::Settings;

#[derive(Serialize)]
struct Saved<'a> {
    settings: &'a Settings,
    state: &'a State,
}

#[derive(Deserialize)]
struct Restored {
    settings: Settings,
    state: State,
}

/// A world could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file cannot be read or written.
    #[error("the simulated world's file {0}: {1}")]
    File(String, std::io::Error),
    /// The file was not written by this version.
    #[error("the simulated world's file {0} cannot be read by this version: {1}")]
    Format(String, serde_json::Error),
}

impl World {
    /// Writes everything to a file: into a new one beside it, which then takes its place.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        let shown = path.display().to_string();
        let text = {
            let state = self.state();
            serde_json::to_vec(&Saved { settings: self.settings(), state: &state })
                .map_err(|error| SaveError::Format(shown.clone(), error))?
        };
        let write = || {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| SaveError::File(shown, error))
    }

    /// Reads what [`World::save`] wrote.
    pub fn load(path: &Path, clock: Clock) -> Result<Self, SaveError> {
        let restored = restore(path)?;
        Ok(Self::with_state(restored.settings, clock, restored.state))
    }

    /// Reads the file if there is one (the accounts are its own, everything else follows `settings`), else makes a new
    /// world.
    pub fn open(path: &Path, settings: Settings, clock: Clock) -> Result<Self, SaveError> {
        if !path.exists() {
            return Ok(Self::new(settings, clock));
        }
        Ok(Self::with_state(settings, clock, restore(path)?.state))
    }
}

fn restore(path: &Path) -> Result<Restored, SaveError> {
    let shown = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| SaveError::File(shown.clone(), error))?;
    serde_json::from_slice(&text).map_err(|error| SaveError::Format(shown, error))
}
