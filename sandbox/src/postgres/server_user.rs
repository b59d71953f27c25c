//! Who PostgreSQL runs as: us, unless we are root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::PostgresError;
use super::error::at;

/// The user that the server runs as.
#[derive(Clone, Debug)]
pub(super) struct ServerUser(Option<User>);

impl ServerUser {
    /// Ourselves; under root `postgres` (who comes with every packaged PostgreSQL) or else `nobody`.
    pub(super) fn choose() -> Result<Self, PostgresError> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten().filter(|user| !user.uid.is_root()))
            .map(|user| Self(Some(user)))
            .ok_or(PostgresError::NoUnprivilegedUser)
    }

    /// Whether we are root and the server is not.
    pub(super) fn is_somebody_else(&self) -> bool {
        self.0.is_some()
    }

    /// The name, for messages.
    pub(super) fn name(&self) -> &str {
        self.0.as_ref().map_or("the current user", |user| &user.name)
    }

    /// A command that will run as this user, in `directory`, with nothing of ours but the path and the locale: what
    /// PGDATA, PGOPTIONS and the like say is meant for another server.
    pub(super) fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(user) = &self.0 {
            // Setting the user also drops root's supplementary groups.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            command.env("HOME", directory).env("USER", &user.name).env("LOGNAME", &user.name).env_remove("TMPDIR");
        }
        command
    }

    /// Gives a file or directory to this user.
    pub(super) fn give(&self, path: &Path) -> Result<(), PostgresError> {
        match &self.0 {
            Some(user) => {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(at("changing the owner of", path))
            }
            None => Ok(()),
        }
    }

    /// Whether this user may enter `directory`; asked of the kernel, because access lists and mounts count too.
    pub(super) fn can_enter(&self, directory: &Path) -> bool {
        self.can("cd \"$1\"", directory)
    }

    /// Whether this user may also make and remove things in `directory`.
    pub(super) fn can_write_in(&self, directory: &Path) -> bool {
        self.can("cd \"$1\" && [ -w . ]", directory)
    }

    fn can(&self, test: &str, directory: &Path) -> bool {
        let mut shell = self.command(Path::new("/bin/sh"), Path::new("/"));
        shell.args(["-c", test, "sh"]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    }
}
