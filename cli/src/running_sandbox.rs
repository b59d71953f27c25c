//! Registration of running sandboxes, so that other commands can use them without arguments.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::bail;
use freehold_tenancy::Region;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::sandbox::data_dir::write_private_file;

/// Number of attempts to register a sandbox.
const MAX_REGISTRATION_ATTEMPTS: u32 = 5;

/// Addresses and file paths of a running sandbox. It contains the paths of files with secrets, but no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningSandbox {
    pub(crate) pid: u32,
    pub(crate) api_url: String,
    pub(crate) aws_url: String,
    /// Start URL of the simulated access portal.
    pub(crate) start_url: String,
    /// Region of the simulated Identity Center.
    pub(crate) sso_region: Region,
    /// File with the public keys that verify tokens.
    pub(crate) jwks: PathBuf,
    /// File with the private key that signs tokens.
    pub(crate) key: PathBuf,
    /// File with an access token that has all scopes.
    pub(crate) token: PathBuf,
}

/// Guard that removes the registration of its sandbox when dropped.
pub(super) struct RegistrationGuard {
    file: PathBuf,
}

impl RunningSandbox {
    /// Returns the running sandboxes of this user.
    pub(crate) fn all() -> Vec<Self> {
        let Some(directory) = own_directory() else { return Vec::new() };
        let entries = fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
        let files = entries.map(|entry| entry.path()).filter(|path| path.extension() == Some("json".as_ref()));
        let mut running: Vec<Self> = files.filter_map(|file| Self::read(&file)).collect();
        running.sort_by(|a, b| a.api_url.cmp(&b.api_url));
        // An error means that sandboxes are registered.
        _ = fs::remove_dir(directory);
        running
    }

    /// Returns the only running sandbox, or `None` if none is running. If several are running, returns an error that
    /// lists them; `option` is the option that selects one.
    pub(crate) fn only(option: &str) -> anyhow::Result<Option<Self>> {
        let mut running = Self::all();
        if running.len() > 1 {
            let list = running.iter().map(|sandbox| {
                let Self { pid, api_url, aws_url, .. } = sandbox;
                format!("\n  {api_url} (simulated AWS {aws_url}, process {pid})")
            });
            bail!("several sandboxes are running; set {option} to one of them:{}", list.collect::<String>());
        }
        Ok(running.pop())
    }

    /// Returns the running sandbox whose API has this URL.
    pub(crate) fn with_api(url: &Url) -> Option<Self> {
        Self::all().into_iter().find(|sandbox| sandbox.api_url.parse::<Url>().is_ok_and(|api| api == *url))
    }

    /// Returns the running sandbox whose simulated AWS has this URL.
    pub(crate) fn with_aws(url: &str) -> Option<Self> {
        Self::all().into_iter().find(|sandbox| sandbox.aws_url == url.trim_end_matches('/'))
    }

    /// Registers this sandbox, in a file of its own.
    pub(super) fn register(&self) -> anyhow::Result<RegistrationGuard> {
        let file = directory_path().join(format!("{}.json", self.pid));
        let content = serde_json::to_vec_pretty(self)?;
        let mut attempt = 1;
        loop {
            // An error means that the directory exists already; its owner is checked below.
            _ = DirBuilder::new().mode(0o700).create(directory_path());
            if own_directory().is_none() && directory_path().exists() {
                bail!("{} belongs to another user; set TMPDIR to a directory of your own", directory_path().display());
            }
            match write_private_file(&file, &content) {
                Ok(()) => return Ok(RegistrationGuard { file }),
                // A sandbox that stops at the same time can remove the empty directory.
                Err(_) if attempt < MAX_REGISTRATION_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a registration. Removes it if its sandbox was killed and could not remove it.
    fn read(file: &Path) -> Option<Self> {
        let running: Self = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        if running.is_alive() {
            return Some(running);
        }
        _ = fs::remove_file(file);
        None
    }

    fn is_alive(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().map(Pid::from_raw);
        pid.is_some_and(|pid| kill(pid, None).is_ok()) && self.key.exists()
    }
}

impl Drop for RegistrationGuard {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.file);
        // An error means that other sandboxes are registered.
        _ = fs::remove_dir(directory_path());
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
