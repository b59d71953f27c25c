//! Files and directories that no other user of the machine can access.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::Uid;

use super::PostgresError;
use super::error::io_error_at;
use super::server_user::ServerUser;

/// Names of files and directories in the data directory of a sandbox.
const OWN_ENTRIES: [&str; 3] = ["postgres", "world.json", "last-time.json"];

/// Creates a data directory that only this user can access, or restricts an existing one.
///
/// The mode of a directory with other files is not changed; it is refused if other users can write in it. A directory
/// of another user is refused.
pub fn create_private_directory(directory: &Path) -> Result<(), PostgresError> {
    create_or_restrict(directory, None)
}

/// Like [`create_private_directory`], but the user of the server can also traverse the directory.
pub(super) fn create_data_directory(directory: &Path, user: &ServerUser) -> Result<(), PostgresError> {
    create_or_restrict(directory, user.group())
}

fn create_or_restrict(directory: &Path, traversed_by: Option<u32>) -> Result<(), PostgresError> {
    let is_new = !directory.exists();
    if is_new {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        created.map_err(io_error_at("creating", directory))?;
    }
    let metadata = fs::metadata(directory).map_err(io_error_at("opening", directory))?;
    if metadata.uid() != Uid::effective().as_raw() {
        return Err(PostgresError::ForeignDirectory { directory: directory.to_owned() });
    }
    // Only the group of the server's user may traverse the directory of a process of root.
    let is_of_server = traversed_by.is_none_or(|group| metadata.mode() & 0o010 == 0 || metadata.gid() == group);
    let is_private = metadata.mode() & 0o067 == 0 && is_of_server;
    if is_private && !is_new {
        return Ok(());
    }
    let is_empty = || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    let has_own_entries = || OWN_ENTRIES.iter().any(|name| directory.join(name).exists());
    if is_empty() || has_own_entries() {
        let mode = match traversed_by {
            Some(group) => {
                chown(directory, None, Some(group)).map_err(io_error_at("changing the group of", directory))?;
                0o710
            }
            None => 0o700,
        };
        return set_mode(directory, mode);
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(PostgresError::SharedDirectory { directory: directory.to_owned() });
    }
    Ok(())
}

/// Sets the mode of an existing file or directory.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), PostgresError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io_error_at("setting the permissions of", path))
}
