//! Registration of the running sandbox, so that other commands can use it without arguments.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use anyhow::bail;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid};
use serde::{Deserialize, Serialize};

use crate::sandbox::data_dir::write_private_file;

/// Addresses and file paths of a running sandbox. It contains the paths of files with secrets, but no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningSandbox {
    pub(crate) pid: u32,
    pub(crate) api_url: String,
    pub(crate) aws_url: String,
    /// File with the public keys that verify tokens.
    pub(crate) jwks: PathBuf,
    /// File with the private key that signs tokens.
    pub(crate) key: PathBuf,
    /// File with an access token that has all scopes.
    pub(crate) token: PathBuf,
}

/// Guard that removes the sandbox registration when dropped.
pub(super) struct RegistrationGuard(RunningSandbox);

impl RunningSandbox {
    /// Returns the most recently started sandbox of this user, or `None` if it is no longer running.
    pub(crate) fn find() -> Option<Self> {
        let file = own_directory()?.join("current.json");
        let running: Self = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        if running.is_alive() {
            return Some(running);
        }
        // The sandbox was killed and could not remove its registration.
        _ = fs::remove_file(&file);
        _ = fs::remove_dir(file.parent()?);
        None
    }

    /// Registers this sandbox. An existing registration is replaced, even if that sandbox is still running.
    pub(super) fn register(self) -> anyhow::Result<RegistrationGuard> {
        // An error means that the directory exists already; its owner is checked below.
        _ = DirBuilder::new().mode(0o700).create(directory_path());
        let Some(directory) = own_directory() else {
            bail!("{} belongs to another user; set TMPDIR to a directory of your own", directory_path().display());
        };
        write_private_file(&directory.join("current.json"), &serde_json::to_vec_pretty(&self)?)?;
        Ok(RegistrationGuard(self))
    }

    fn is_alive(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().map(Pid::from_raw);
        pid.is_some_and(|pid| kill(pid, None).is_ok()) && self.key.exists()
    }
}

impl Drop for RegistrationGuard {
    fn drop(&mut self) {
        if let Some(directory) = own_directory()
            && RunningSandbox::find().is_some_and(|running| running == self.0)
        {
            _ = fs::remove_file(directory.join("current.json"));
            // An error means that another sandbox has been registered since then.
            _ = fs::remove_dir(directory);
        }
    }
}

fn directory_path() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let parent = runtime.unwrap_or_else(std::env::temp_dir);
    parent.join(format!("freehold-sandbox-{}", Uid::current()))
}

/// Returns the registration directory if it exists and only this user can access it.
fn own_directory() -> Option<PathBuf> {
    let path = directory_path();
    let metadata = fs::symlink_metadata(&path).ok()?;
    let is_private = metadata.uid() == Uid::current().as_raw() && metadata.mode().trailing_zeros() >= 6;
    (metadata.is_dir() && is_private).then_some(path)
}
