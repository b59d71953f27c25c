//! Saving the simulated AWS to a file, and loading it from a file.

use std::io::Write;
use std::path::Path;

use freehold_tenancy::Clock;
use serde::{Deserialize, Serialize};

use super::{State, World};
use crate::iam::create_freehold_roles;
use crate::settings::Settings;

#[derive(Serialize)]
struct SavedFile<'a> {
    settings: &'a Settings,
    state: &'a State,
}

#[derive(Deserialize)]
struct LoadedFile {
    settings: Settings,
    state: State,
}

/// An error while saving or loading the simulated AWS.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file cannot be read or written.
    #[error("the simulated world's file {0}: {1}")]
    File(String, std::io::Error),
    /// The file has a format that this version cannot read.
    #[error("the simulated world's file {0} has a format that this version cannot read: {1}")]
    Format(String, serde_json::Error),
}

impl World {
    /// Writes the settings and the state to a file. The write is atomic: it writes a temporary file in the same
    /// directory and then renames this file.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        let path_text = path.display().to_string();
        let text = {
            let state = self.state();
            serde_json::to_vec(&SavedFile { settings: self.settings(), state: &state })
                .map_err(|error| SaveError::Format(path_text.clone(), error))?
        };
        let write = || {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| SaveError::File(path_text, error))
    }

    /// Loads the settings and the state from a file that [`World::save`] wrote.
    pub fn load(path: &Path, clock: Clock) -> Result<Self, SaveError> {
        let loaded = read_file(path)?;
        Ok(Self::with_state(loaded.settings, clock, loaded.state))
    }

    /// Loads the state from a file and combines it with `settings`. If the file does not exist, creates a new
    /// organisation.
    pub fn open(path: &Path, settings: Settings, clock: Clock) -> Result<Self, SaveError> {
        if !path.exists() {
            return Ok(Self::new(settings, clock));
        }
        let mut state = read_file(path)?.state;
        // An earlier version may have saved the file, without the roles that it did not know.
        create_freehold_roles(&mut state, &settings, clock.now());
        Ok(Self::with_state(settings, clock, state))
    }
}

fn read_file(path: &Path) -> Result<LoadedFile, SaveError> {
    let path_text = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| SaveError::File(path_text.clone(), error))?;
    serde_json::from_slice(&text).map_err(|error| SaveError::Format(path_text, error))
}
