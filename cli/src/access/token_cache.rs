//! Token cache of the aws CLI: one JSON file per start URL, which the aws CLI and other AWS tools read and write, too.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use aws_lc_rs::digest;
use chrono::{DateTime, SecondsFormat, Utc};
use freehold_tenancy::Region;
use freehold_worker::access_portal::RegisteredClient;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Cache file of one start URL.
pub(super) struct TokenCache {
    file: PathBuf,
    start_url: String,
    region: Region,
}

/// Content of a cache file. The aws CLI determines the names.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CachedToken {
    start_url: String,
    region: String,
    access_token: String,
    expires_at: String,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    registration_expires_at: Option<String>,
}

impl TokenCache {
    pub(super) fn new(home: &Path, start_url: &str, region: Region) -> Self {
        // The aws CLI names the files with SHA-1; nothing depends on the security of the hash.
        let name = hex::encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, start_url.as_bytes()));
        let file = home.join(".aws/sso/cache").join(format!("{name}.json"));
        Self { file, start_url: start_url.to_owned(), region }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the access token if it is valid until after `time`.
    pub(super) fn token(&self, time: DateTime<Utc>) -> Option<SecretString> {
        let cached = self.read()?;
        (parse_time(&cached.expires_at)? > time).then(|| cached.access_token.into())
    }

    /// Returns the registered client if it is valid until after `time`.
    pub(super) fn client(&self, time: DateTime<Utc>) -> Option<RegisteredClient> {
        let cached = self.read()?;
        let expires_at = parse_time(&cached.registration_expires_at?)?;
        let (id, secret) = (cached.client_id?, cached.client_secret?.into());
        (expires_at > time).then_some(RegisteredClient { id, secret, expires_at })
    }

    /// Replaces the cache file atomically. Only its owner can read it.
    pub(super) fn store(
        &self,
        client: &RegisteredClient,
        token: &SecretString,
        expires_at: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let content = serde_json::to_vec(&CachedToken {
            start_url: self.start_url.clone(),
            region: self.region.to_string(),
            access_token: token.expose_secret().to_owned(),
            expires_at: format_time(expires_at),
            client_id: Some(client.id.clone()),
            client_secret: Some(client.secret.expose_secret().to_owned()),
            registration_expires_at: Some(format_time(client.expires_at)),
        })?;
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        created.with_context(|| format!("cannot create {}", directory.display()))?;
        let temporary = self.file.with_extension(format!("{}.tmp", std::process::id()));
        let written = write_new(&temporary, &content).and_then(|()| fs::rename(&temporary, &self.file));
        if written.is_err() {
            _ = fs::remove_file(&temporary);
        }
        written.with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Reads the cache file. A file that is missing, or that another program has written in another format, is the same
    /// as no sign-in.
    fn read(&self) -> Option<CachedToken> {
        let cached: CachedToken = serde_json::from_slice(&fs::read(&self.file).ok()?).ok()?;
        (cached.region == self.region.as_str() && !cached.access_token.is_empty()).then_some(cached)
    }
}

fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    // A file of a process that was killed can have the same name.
    _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Parses a time of the aws CLI, such as `2026-11-23T17:00:00Z`. Old versions write `UTC` instead of `Z`.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |time| format!("{time}Z"));
    DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const START_URL: &str = "https://d-1234567890.awsapps.com/start";

    fn client() -> RegisteredClient {
        let expires_at = parse_time("2027-02-21T09:00:00Z").unwrap();
        RegisteredClient { id: "client".to_owned(), secret: "secret".into(), expires_at }
    }

    #[test]
    fn a_token_is_stored_in_the_format_of_the_aws_cli() {
        let home = tempfile::tempdir().unwrap();
        let cache = TokenCache::new(home.path(), START_URL, "eu-central-1".parse().unwrap());
        let expires_at = parse_time("2026-11-23T17:00:00Z").unwrap();
        assert!(cache.token(expires_at).is_none());
        cache.store(&client(), &"token".into(), expires_at).unwrap();
        cache.store(&client(), &"token".into(), expires_at).unwrap();
        // printf https://d-1234567890.awsapps.com/start | sha1sum
        assert_eq!(cache.file(), home.path().join(".aws/sso/cache/7487b5b67d5fa1132cf33fa93ae51ef38cc37752.json"));
        let content: serde_json::Value = serde_json::from_slice(&fs::read(cache.file()).unwrap()).unwrap();
        let expected = serde_json::json!({
            "startUrl": START_URL,
            "region": "eu-central-1",
            "accessToken": "token",
            "expiresAt": "2026-11-23T17:00:00Z",
            "clientId": "client",
            "clientSecret": "secret",
            "registrationExpiresAt": "2027-02-21T09:00:00Z",
        });
        assert_eq!(content, expected);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(cache.file()), mode(cache.file().parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(cache.file().parent().unwrap()).unwrap().count(), 1, "a temporary file remains");
    }

    #[test]
    fn expired_and_foreign_cache_files_mean_no_sign_in() {
        let home = tempfile::tempdir().unwrap();
        let cache = TokenCache::new(home.path(), START_URL, "eu-central-1".parse().unwrap());
        let expires_at = parse_time("2026-11-23T17:00:00UTC").unwrap();
        cache.store(&client(), &"token".into(), expires_at).unwrap();
        let before = expires_at - chrono::TimeDelta::seconds(1);
        assert!(cache.token(before).is_some() && cache.token(expires_at).is_none());
        assert!(cache.client(expires_at).is_some() && cache.client(client().expires_at).is_none());
        let elsewhere = TokenCache::new(home.path(), START_URL, "eu-west-1".parse().unwrap());
        assert!(elsewhere.token(before).is_none() && elsewhere.client(before).is_none());
        for content in ["", "{}", "[]", r#"{"startUrl": 1}"#, "\0"] {
            fs::write(cache.file(), content).unwrap();
            assert!(cache.token(before).is_none() && cache.client(before).is_none(), "{content:?}");
        }
    }
}
