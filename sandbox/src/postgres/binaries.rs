//! Search for the PostgreSQL programs on this machine. If none are found, PostgreSQL is downloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PostgresError;
use super::server_user::ServerUser;

/// Oldest supported major version of PostgreSQL; Debian 12 contains this version.
const MIN_MAJOR_VERSION: u32 = 15;

/// A PostgreSQL installation with programs that the server's user can run.
#[derive(Clone, Debug)]
pub(super) struct PostgresInstallation {
    directory: PathBuf,
    version: u32,
}

impl PostgresInstallation {
    /// Finds a PostgreSQL installation. If there is already a cluster, the installation must have the version that
    /// created the cluster. Searches `PG_BINDIR`, `pg_config --bindir` and the usual directories of Debian, Red Hat and
    /// Homebrew. If no installation is found, downloads PostgreSQL.
    pub(super) async fn find(user: &ServerUser, cluster: Option<(PathBuf, u32)>) -> Result<Self, PostgresError> {
        let mut searched = Vec::new();
        for directory in candidate_directories() {
            let found = Self::probe(&directory, user);
            match (&found, &cluster) {
                (Some(binaries), Some((_, version))) if binaries.version == *version => return Ok(binaries.clone()),
                (Some(binaries), None) if binaries.version >= MIN_MAJOR_VERSION => return Ok(binaries.clone()),
                _ => searched.push((directory, found)),
            }
        }
        let versions = searched.iter().filter_map(|(_, found)| found.as_ref()).map(|found| found.version.to_string());
        let versions = versions.collect::<Vec<_>>().join(", ");
        let downloaded = download(user).await;
        match (downloaded, cluster) {
            (Ok(binaries), None) => Ok(binaries),
            (Ok(binaries), Some((_, version))) if binaries.version == version => Ok(binaries),
            (_, Some((directory, cluster))) => {
                let found = if versions.is_empty() { "none".to_owned() } else { versions };
                Err(PostgresError::WrongVersion { directory, cluster, found })
            }
            (Err(download), None) => {
                let descriptions = searched.iter().map(|(directory, found)| match found {
                    Some(found) => format!("{} has {}", directory.display(), found.version),
                    None => format!("{} has none", directory.display()),
                });
                let descriptions = descriptions.collect::<Vec<_>>().join(", ");
                let searched = if descriptions.is_empty() {
                    "none of the usual directories exists".to_owned()
                } else {
                    descriptions
                };
                Err(PostgresError::NotInstalled { minimum: MIN_MAJOR_VERSION, searched, download })
            }
        }
    }

    /// Returns the path of a program of the installation, such as `initdb`.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the installation in `directory`, or `None` if the server's user cannot run it. (The `pg_config` of
    /// libpq's development package can name a directory without a server.)
    fn probe(directory: &Path, user: &ServerUser) -> Option<Self> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        let output = user.command(&directory.join("postgres"), Path::new("/")).arg("--version").output().ok()?;
        let version = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory: directory.to_owned(), version })
    }
}

/// Returns the directories that usually contain the PostgreSQL programs, in order of preference.
fn candidate_directories() -> Vec<PathBuf> {
    let mut candidate_directories = Vec::new();
    candidate_directories.extend(std::env::var_os("PG_BINDIR").map(PathBuf::from));
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        candidate_directories.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    candidate_directories.extend(versioned_bin_directories(Path::new("/usr/lib/postgresql"), ""));
    candidate_directories.extend(versioned_bin_directories(Path::new("/usr"), "pgsql-"));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        candidate_directories.extend(versioned_bin_directories(Path::new(prefix), "postgresql@"));
        candidate_directories.push(Path::new(prefix).join("postgresql/bin"));
    }
    candidate_directories.push(PathBuf::from("/usr/bin"));
    candidate_directories.retain(|candidate| candidate.is_dir());
    candidate_directories
}

/// Returns the `bin` directories of `parent/{prefix}{number}`, highest number first.
fn versioned_bin_directories(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, directory)| directory).collect()
}

/// Parses the major version, such as 15 from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| word.split(['.', 'd', 'b', 'r']).next()?.parse().ok())
}

/// Downloads the newest PostgreSQL version into a cache directory, unless an earlier run has downloaded it.
async fn download(user: &ServerUser) -> Result<PostgresInstallation, String> {
    let cache = if user.is_other_user() {
        // The server's user cannot access the cache directory of root.
        PathBuf::from("/var/cache")
    } else {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".cache")))
            .ok_or("there is no home directory for the download")?
    };
    // `setup` also runs initdb unless the data directory has a configuration file; a dummy file prevents that.
    let dummy_data_dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    fs::write(dummy_data_dir.path().join("postgresql.conf"), "").map_err(|error| error.to_string())?;
    let settings = postgresql_embedded::Settings {
        installation_dir: cache.join("freehold/postgresql"),
        data_dir: dummy_data_dir.path().to_owned(),
        password_file: dummy_data_dir.path().join("password"),
        ..postgresql_embedded::Settings::default()
    };
    tracing::info!("no PostgreSQL found on this machine; downloading it");
    let mut postgresql = postgresql_embedded::PostgreSQL::new(settings);
    postgresql.setup().await.map_err(|error| error.to_string())?;
    let directory = postgresql.settings().binary_dir();
    PostgresInstallation::probe(&directory, user)
        .ok_or_else(|| format!("the programs in {} do not run", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn the_major_version_is_parsed_from_the_output_of_postgres() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("bash: postgres: command not found"), None);
    }
}
