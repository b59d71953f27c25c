//! The operating-system user of the PostgreSQL server: the current user, or an unprivileged user if the current user is
//! root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::PostgresError;
use super::error::io_error_at;

/// The operating-system user that runs the server; `None` means the current user.
#[derive(Clone, Debug)]
pub(super) struct ServerUser(Option<User>);

impl ServerUser {
    /// Selects the current user. If this process runs as root, selects `postgres` (which packages of PostgreSQL create)
    /// or else `nobody`.
    pub(super) fn select() -> Result<Self, PostgresError> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten().filter(|user| !user.uid.is_root()))
            .map(|user| Self(Some(user)))
            .ok_or(PostgresError::NoUnprivilegedUser)
    }

    /// Returns whether the server runs as a different user than this process.
    pub(super) fn is_other_user(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the group of the server's user, or `None` if the server runs as the current user.
    pub(super) fn group(&self) -> Option<u32> {
        self.0.as_ref().map(|user| user.gid.as_raw())
    }

    /// Returns whether a file of this owner can only have been created by this process's user or the server's user.
    pub(super) fn trusts_owner(&self, owner: u32) -> bool {
        owner == Uid::effective().as_raw() || self.0.as_ref().is_some_and(|user| user.uid.as_raw() == owner)
    }

    /// Returns the user name for error messages.
    pub(super) fn name(&self) -> &str {
        self.0.as_ref().map_or("the current user", |user| &user.name)
    }

    /// Creates a command that runs as this user in `directory`. Environment variables such as PGDATA and PGOPTIONS are
    /// removed, because they are intended for another server.
    pub(super) fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(user) = &self.0 {
            // Setting the user also removes root's supplementary groups.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            command.env("HOME", directory).env("USER", &user.name).env("LOGNAME", &user.name).env_remove("TMPDIR");
        }
        command
    }

    /// Makes this user the owner of a file or directory.
    pub(super) fn set_owner(&self, path: &Path) -> Result<(), PostgresError> {
        match &self.0 {
            Some(user) => chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .map_err(io_error_at("changing the owner of", path)),
            None => Ok(()),
        }
    }

    /// Returns whether this user can access `directory`. The check runs a shell as this user, because access control
    /// lists and mount options also affect access.
    pub(super) fn can_access(&self, directory: &Path) -> bool {
        self.shell_test("cd \"$1\"", directory)
    }

    /// Returns whether this user can access `directory` and create files in it.
    pub(super) fn can_write_in(&self, directory: &Path) -> bool {
        self.shell_test("cd \"$1\" && [ -w . ]", directory)
    }

    fn shell_test(&self, test: &str, directory: &Path) -> bool {
        let mut shell = self.command(Path::new("/bin/sh"), Path::new("/"));
        shell.args(["-c", test, "sh"]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    }
}
