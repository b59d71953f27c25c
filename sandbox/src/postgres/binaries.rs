//! Where PostgreSQL's programs are: on this machine, or else downloaded once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PostgresError;
use super::server_user::ServerUser;

/// The oldest major version that the tests have run on (Debian 12's).
const MINIMUM: u32 = 15;

/// A directory with `initdb` and `postgres` that the server's user can run.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    directory: PathBuf,
    version: u32,
}

impl Binaries {
    /// The installation to use: of the version that made the cluster if there is one, else the first of `PG_BINDIR`,
    /// `pg_config --bindir`, the newest of Debian's and Red Hat's, Homebrew's; else a download.
    pub(super) async fn find(user: &ServerUser, cluster: Option<(PathBuf, u32)>) -> Result<Self, PostgresError> {
        let mut seen = Vec::new();
        for directory in candidates() {
            let found = Self::probe(&directory, user);
            match (&found, &cluster) {
                (Some(binaries), Some((_, version))) if binaries.version == *version => return Ok(binaries.clone()),
                (Some(binaries), None) if binaries.version >= MINIMUM => return Ok(binaries.clone()),
                _ => seen.push((directory, found)),
            }
        }
        let versions = seen.iter().filter_map(|(_, found)| found.as_ref()).map(|found| found.version.to_string());
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
                let looked = seen.iter().map(|(directory, found)| match found {
                    Some(found) => format!("{} has {}", directory.display(), found.version),
                    None => format!("{} has none", directory.display()),
                });
                let looked = looked.collect::<Vec<_>>().join(", ");
                let looked = if looked.is_empty() { "nothing in the usual places".to_owned() } else { looked };
                Err(PostgresError::NotInstalled { minimum: MINIMUM, looked, download })
            }
        }
    }

    /// The path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What is in `directory`, if the server's user can run it. (libpq's development package also names a directory in
    /// which there is no server.)
    fn probe(directory: &Path, user: &ServerUser) -> Option<Self> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        let output = user.command(&directory.join("postgres"), Path::new("/")).arg("--version").output().ok()?;
        let version = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory: directory.to_owned(), version })
    }
}

/// Every directory in which PostgreSQL's programs usually are, best first.
fn candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    candidates.extend(std::env::var_os("PG_BINDIR").map(PathBuf::from));
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        candidates.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    candidates.extend(versioned(Path::new("/usr/lib/postgresql"), ""));
    candidates.extend(versioned(Path::new("/usr"), "pgsql-"));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        candidates.extend(versioned(Path::new(prefix), "postgresql@"));
        candidates.push(Path::new(prefix).join("postgresql/bin"));
    }
    candidates.push(PathBuf::from("/usr/bin"));
    candidates.retain(|candidate| candidate.is_dir());
    candidates
}

/// The `bin` directories of `parent/{prefix}{number}`, highest number first.
fn versioned(parent: &Path, prefix: &str) -> Vec<PathBuf> {
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

/// `15` of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| word.split(['.', 'd', 'b', 'r']).next()?.parse().ok())
}

/// Downloads the newest PostgreSQL, once; later starts find it where it was put.
async fn download(user: &ServerUser) -> Result<Binaries, String> {
    let cache = if user.is_somebody_else() {
        // Root's own cache is behind a door that the server's user cannot open.
        PathBuf::from("/var/cache")
    } else {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".cache")))
            .ok_or("there is no home directory to put it in")?
    };
    // `setup` would also run initdb, in its own way; it leaves a directory alone that has a configuration in it.
    let initialised = tempfile::tempdir().map_err(|error| error.to_string())?;
    fs::write(initialised.path().join("postgresql.conf"), "").map_err(|error| error.to_string())?;
    let settings = postgresql_embedded::Settings {
        installation_dir: cache.join("freehold/postgresql"),
        data_dir: initialised.path().to_owned(),
        password_file: initialised.path().join("password"),
        ..postgresql_embedded::Settings::default()
    };
    tracing::info!("no PostgreSQL on this machine; downloading one");
    let mut postgresql = postgresql_embedded::PostgreSQL::new(settings);
    postgresql.setup().await.map_err(|error| error.to_string())?;
    let directory = postgresql.settings().binary_dir();
    Binaries::probe(&directory, user).ok_or_else(|| format!("what is in {} does not run", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn versions_are_read_from_what_postgres_says_of_itself() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("bash: postgres: command not found"), None);
    }
}
