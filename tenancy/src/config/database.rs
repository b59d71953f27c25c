//! Configuration of the database: the connection, its encryption, and the roles of the processes.

use std::fmt;
use std::net::IpAddr;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Rule for the password of the database.
pub const RDS_IAM_TOKEN_REFUSAL: &str = "must contain a password that stays valid, not an IAM token of Amazon RDS: the \
    token expires after 15 minutes, and later connections would fail";

/// Maximum length of an identifier of PostgreSQL.
const MAX_NAME_LENGTH: usize = 63;

/// Section `[database]`: the connection to PostgreSQL and the roles of the processes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Connection URL `postgres://user:password@host/name`; a secret, because it contains the password.
    pub url: Option<SecretString>,
    /// Role that owns all tables. It cannot log in; `freehold migrate` and `freehold recover` act as this role.
    pub owner_role: RoleName,
    /// Role that an API process logs in as.
    pub api_role: RoleName,
    /// Role that a worker logs in as.
    pub worker_role: RoleName,
    /// Password that `freehold migrate` gives to `api_role`. `None` leaves the role as it is.
    pub api_password: Option<SecretString>,
    /// Password that `freehold migrate` gives to `worker_role`. `None` leaves the role as it is.
    pub worker_password: Option<SecretString>,
    /// Lets API and worker log in as a superuser or as a member of `owner_role`.
    pub allow_owner: bool,
    /// Lets a connection to another machine be unencrypted.
    pub allow_plaintext: bool,
}

impl Default for Database {
    fn default() -> Self {
        let DatabaseRoles { owner, api, worker } = DatabaseRoles::default();
        Self {
            url: None,
            owner_role: owner,
            api_role: api,
            worker_role: worker,
            api_password: None,
            worker_password: None,
            allow_owner: false,
            allow_plaintext: false,
        }
    }
}

impl Database {
    pub fn roles(&self) -> DatabaseRoles {
        let (owner, api, worker) = (&self.owner_role, &self.api_role, &self.worker_role);
        DatabaseRoles { owner: owner.clone(), api: api.clone(), worker: worker.clone() }
    }
}

/// Names of the three database roles of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRoles {
    pub owner: RoleName,
    pub api: RoleName,
    pub worker: RoleName,
}

impl Default for DatabaseRoles {
    fn default() -> Self {
        let name = |role: &str| RoleName(format!("freehold_{role}"));
        Self { owner: name("owner"), api: name("api"), worker: name("worker") }
    }
}

/// Name of a database role, which is valid as an identifier without quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleName(String);

impl RoleName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let mut characters = name.chars();
        let has_valid_characters = characters.next().is_some_and(|first| first.is_ascii_lowercase())
            && characters.all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_');
        // PostgreSQL reserves these names.
        let is_reserved = name.starts_with("pg_") || ["public", "none"].contains(&name.as_str());
        if has_valid_characters && !is_reserved && name.len() <= MAX_NAME_LENGTH {
            return Ok(Self(name));
        }
        Err(serde::de::Error::custom(
            "must be a name of lower-case letters, digits and underscores such as freehold_api, which starts with a \
             letter but not with pg_",
        ))
    }
}

/// Returns whether a password, or a URL with a password, contains an IAM token of Amazon RDS, which is a signed URL.
pub fn is_rds_iam_token(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    // The names of the parameters are unchanged if the token is escaped as part of a URL.
    text.contains("x-amz-signature") || text.contains("x-amz-security-token")
}

/// Parses the URL of the database. The error completes a sentence that begins with the name of the field.
///
/// Fails for a server on another machine if the connection could be unencrypted, unless `allow_plaintext` is true.
pub(crate) fn parse_url(url: &str, allow_plaintext: bool) -> Result<PgConnectOptions, String> {
    if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql")) {
        return Err("must be a URL such as postgres://user:password@host/name".to_owned());
    }
    if is_rds_iam_token(url) {
        return Err(RDS_IAM_TOKEN_REFUSAL.to_owned());
    }
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| format!("is invalid: {error}"))?;
    let is_encrypted =
        matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    if is_encrypted || allow_plaintext || !is_remote(&options) {
        return Ok(options);
    }
    Err(format!(
        "must contain sslmode=verify-full, or at least verify-ca or require, because the server {} is on another \
         machine and would accept an unencrypted connection; set database.allow_plaintext = true if the network is \
         encrypted",
        options.get_host()
    ))
}

/// Returns whether the server is reached over a network, not over a Unix socket or the loopback interface.
fn is_remote(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_socket = options.get_socket().is_some() || host.starts_with('/');
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !is_socket && !is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_another_machine_must_be_encrypted() {
        let remote =
            ["db.example.com", "192.0.2.7:5433", "[2001:db8::7]", "localhost.example.com", "127.0.0.1.example"];
        let local = ["localhost", "127.0.0.1:5433", "[::1]", "localhost:5432"];
        for (hosts, is_local) in [(&remote[..], false), (&local[..], true)] {
            for host in hosts {
                for (query, is_encrypted) in [
                    ("", false),
                    ("?sslmode=disable", false),
                    ("?sslmode=allow", false),
                    ("?sslmode=prefer", false),
                    ("?sslmode=require", true),
                    ("?sslmode=verify-ca", true),
                    ("?sslmode=verify-full", true),
                    ("?sslmode=verify-full&ssl-mode=disable", false),
                ] {
                    let url = format!("postgres://freehold@{host}/freehold{query}");
                    assert_eq!(parse_url(&url, false).is_ok(), is_local || is_encrypted, "{url}");
                    assert!(parse_url(&url, true).is_ok(), "{url}");
                }
            }
        }
        let socket = "postgres://freehold@localhost/freehold?host=%2Frun%2Fpostgresql";
        assert!(parse_url(socket, false).is_ok());
        for remote_parameter in ["host=db.example.com", "hostaddr=192.0.2.7"] {
            let url = format!("postgres://freehold@localhost/freehold?{remote_parameter}");
            assert!(parse_url(&url, false).unwrap_err().contains("sslmode=verify-full"), "{url}");
        }
    }

    #[test]
    fn a_role_name_is_a_plain_identifier() {
        let parse = |name: &str| serde_json::from_value::<RoleName>(serde_json::json!(name)).map_err(|e| e.to_string());
        for name in ["freehold_api", "a", "role2", &"a".repeat(63)] {
            assert_eq!(parse(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "Api",
            "1api",
            "_api",
            "api-role",
            "api role",
            "a\"b",
            "a;b",
            "pg_api",
            "public",
            "none",
            &"a".repeat(64),
        ] {
            assert!(parse(name).unwrap_err().contains("must be a name"), "{name}");
        }
    }
}
