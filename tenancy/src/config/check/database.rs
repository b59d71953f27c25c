//! Validation of the section `[database]`. Messages never contain a password.

use std::ops::RangeInclusive;

use secrecy::{ExposeSecret, SecretString};

use super::Problems;
use crate::config::{Config, parse_url};

/// Permitted lengths of a password.
const PASSWORD_LENGTH: RangeInclusive<usize> = 16..=128;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let database = &config.database;
    if let Some(url) = &database.url
        && let Err(problem) = parse_url(url.expose_secret(), database.allow_plaintext)
    {
        problems.add("database.url", problem);
    }
    let (owner, api, worker) = (&database.owner_role, &database.api_role, &database.worker_role);
    if api == owner {
        problems.add("database.api_role", "must be another role than owner_role");
    }
    if worker == owner || worker == api {
        problems.add("database.worker_role", "must be another role than owner_role and api_role");
    }
    let passwords = [("api_password", &database.api_password), ("worker_password", &database.worker_password)];
    for (field, password) in passwords {
        if password.as_ref().is_some_and(|password| !is_valid_password(password)) {
            problems.add(
                format_args!("database.{field}"),
                format_args!(
                    "must be {} to {} printable ASCII characters (openssl rand -hex 32)",
                    PASSWORD_LENGTH.start(),
                    PASSWORD_LENGTH.end()
                ),
            );
        }
    }
    if let (Some(api), Some(worker)) = (&database.api_password, &database.worker_password)
        && api.expose_secret() == worker.expose_secret()
    {
        problems.add("database.worker_password", "must be another password than api_password");
    }
}

/// PostgreSQL normalises other characters (SASLprep), so that a password with them could be refused later.
fn is_valid_password(password: &SecretString) -> bool {
    let password = password.expose_secret();
    PASSWORD_LENGTH.contains(&password.len()) && password.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
