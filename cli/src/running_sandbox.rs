//! The sandbox that runs now, so that other commands find it without being told where it is.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use anyhow::bail;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid};
use serde::{Deserialize, Serialize};

use crate::sandbox::data_dir::replace;

/// Where a running sandbox is. It holds no secret, only the paths of files that do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The sandbox's process.
    pub(crate) pid: u32,
    /// The REST API.
    pub(crate) api_url: String,
    /// The simulated AWS.
    pub(crate) aws_url: String,
    /// The file with the keys that its tokens are checked with.
    pub(crate) jwks: PathBuf,
    /// The file with the key that its tokens are signed with.
    pub(crate) key: PathBuf,
    /// The file with a token.
    pub(crate) token: PathBuf,
}

/// A sandbox that others can find, until this is dropped.
pub(super) struct RunningGuard(Running);

impl Running {
    /// The sandbox of this user that was started last, if it still runs.
    pub(crate) fn find() -> Option<Self> {
        let file = directory()?.join("current.json");
        let running: Self = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        if running.is_alive() {
            return Some(running);
        }
        // It was killed, and could not take its notice down.
        _ = fs::remove_file(&file);
        _ = fs::remove_dir(file.parent()?);
        None
    }

    /// Lets others find this sandbox. Where several run, they find the latest.
    pub(super) fn announce(self) -> anyhow::Result<RunningGuard> {
        // It fails where the directory is there already, which is as good.
        _ = DirBuilder::new().mode(0o700).create(place());
        let Some(directory) = directory() else {
            bail!("{} belongs to somebody else; set TMPDIR to a directory of your own", place().display());
        };
        replace(&directory.join("current.json"), &serde_json::to_vec_pretty(&self)?)?;
        Ok(RunningGuard(self))
    }

    fn is_alive(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().map(Pid::from_raw);
        pid.is_some_and(|pid| kill(pid, None).is_ok()) && self.key.exists()
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        if let Some(directory) = directory()
            && Running::find().is_some_and(|running| running == self.0)
        {
            _ = fs::remove_file(directory.join("current.json"));
            // It stays where another sandbox's notice is in it.
            _ = fs::remove_dir(directory);
        }
    }
}

fn place() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let parent = runtime.unwrap_or_else(std::env::temp_dir);
    parent.join(format!("freehold-sandbox-{}", Uid::current()))
}

/// The directory of this user's notices, if it is there, and nobody else's.
fn directory() -> Option<PathBuf> {
    let place = place();
    let found = fs::symlink_metadata(&place).ok()?;
    (found.is_dir() && found.uid() == Uid::current().as_raw() && found.mode().trailing_zeros() >= 6).then_some(place)
}
