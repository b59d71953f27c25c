//! Signing keys of the token issuer, read from a file or fetched over HTTP. The keys are cached, and refreshed when
//! they are old or when a token refers to an unknown key.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use freehold_tenancy::excerpt::without_credentials;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

/// Accepted signature algorithms. All are asymmetric, so that a service that can verify tokens cannot create them.
pub(super) const ACCEPTED_ALGORITHMS: [Algorithm; 4] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// Minimum time between two refreshes, so that tokens with invented key ids cannot flood the issuer with requests.
const REFRESH_COOLDOWN: Duration = Duration::from_secs(30);

/// Minimum time between two attempts to read the keys while no keys are cached.
const INITIAL_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Age at which cached keys are refreshed, so that a revoked key is no longer accepted.
const MAX_KEY_AGE: Duration = Duration::from_mins(10);

/// Interval between attempts to read the keys while no keys are cached.
const READ_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Maximum time that a readiness check waits for the first attempt to read the keys.
const FIRST_READ_WAIT: Duration = Duration::from_secs(1);

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// Error while configuring or reading the issuer's keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// `api.issuer` is empty.
    #[error("api.issuer: must be the claim `iss` of the tokens to accept")]
    NoIssuer,
    /// The field `jwks` of an issuer is empty.
    #[error("{field}.jwks: must be an https:// URL or the path of a JWKS file")]
    NoSource { field: String },
    /// The field `jwks` of an issuer is an unencrypted `http://` URL of another machine.
    #[error("{field}.jwks: `{url}` must be an https:// URL, or an http:// URL on this machine")]
    InsecureUrl { field: String, url: String },
    /// The HTTP client cannot be created.
    #[error("{field}.jwks: the HTTP client cannot be created: {}", root_cause(.error))]
    NoClient { field: String, error: reqwest::Error },
    #[error("{0} cannot be read: {1}")]
    ReadFailed(String, std::io::Error),
    #[error("{0} cannot be fetched: {1}")]
    FetchFailed(String, String),
    #[error("{0} must have at most {MAX_KEY_SET_BYTES} bytes")]
    TooLarge(String),
    #[error("{0} must be a JSON Web Key Set, a JSON object with the list `keys`")]
    InvalidKeySet(String),
    #[error("{0} has no key that can verify signatures with RS256, PS256, ES256 or EdDSA")]
    NoUsableKey(String),
    /// The keys cannot be read. Contains the reason.
    #[error(transparent)]
    Unavailable(Arc<Self>),
    /// No attempt to read the keys has finished.
    #[error("the signing keys have not been read yet")]
    NotReadYet,
}

/// Public key that verifies token signatures.
#[derive(Clone)]
pub(super) struct VerificationKey {
    pub(super) decoding: DecodingKey,
    /// Time at which the key set was read.
    pub(super) keys_read_at: Instant,
}

/// Cache of the issuer's keys; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Keys(Arc<KeyCache>);

#[derive(Debug)]
struct KeyCache {
    source: KeySource,
    /// Field and source of the keys, for messages.
    location: String,
    current: ArcSwapOption<KeySetSnapshot>,
    /// Reason why the last attempt failed; only used while no keys are cached.
    last_error: ArcSwapOption<KeysError>,
    /// Time of the last refresh; locked during a refresh.
    refreshed_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
enum KeySource {
    File(PathBuf),
    Url(reqwest::Url, reqwest::Client),
}

#[derive(Debug)]
struct KeySetSnapshot {
    keys: Vec<PublicKey>,
    keys_read_at: Instant,
}

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    /// Algorithm that the issuer prescribes for the key; `None` if the issuer does not restrict it.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

impl Keys {
    /// Creates a cache for the keys at `source`, which is a file path, an `https://` URL, or an `http://` URL of this
    /// machine. The keys are read on first use. `field` is the prefix of the issuer's fields in messages.
    pub(super) fn new(field: &str, source: &str) -> Result<Self, KeysError> {
        let field = field.to_owned();
        let source = match reqwest::Url::parse(source) {
            _ if source.is_empty() => return Err(KeysError::NoSource { field }),
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)) => {
                let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT);
                // A redirect could lead to a server that the operator does not trust.
                let client = client.redirect(reqwest::redirect::Policy::none()).build();
                KeySource::Url(url, client.map_err(|error| KeysError::NoClient { field: field.clone(), error })?)
            }
            Ok(url) if url.has_host() => return Err(KeysError::InsecureUrl { field, url: without_credentials(&url) }),
            _ => KeySource::File(PathBuf::from(source)),
        };
        let location = format!("{field}.jwks: {source}");
        let (current, last_error, refreshed_at) = (ArcSwapOption::empty(), ArcSwapOption::empty(), Mutex::new(None));
        Ok(Self(Arc::new(KeyCache { source, location, current, last_error, refreshed_at })))
    }

    /// Returns the key with this id and algorithm. Without an id, returns the key for the algorithm if there is exactly
    /// one.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<VerificationKey>, KeysError> {
        let KeyCache { current, refreshed_at, .. } = &*self.0;
        let find = || current.load().as_ref().and_then(|keys| keys.find(id, algorithm));
        if let Some(found) = find() {
            let is_stale = current.load().as_ref().is_some_and(|keys| keys.keys_read_at.elapsed() > MAX_KEY_AGE);
            // The first caller refreshes a stale key set; concurrent callers use the stale one without waiting.
            return match refreshed_at.try_lock() {
                Ok(refreshed_at) if is_stale => {
                    self.0.refresh(refreshed_at).await?;
                    Ok(find())
                }
                _ => Ok(Some(found)),
            };
        }
        let refreshed_at = refreshed_at.lock().await;
        if let Some(found) = find() {
            return Ok(Some(found));
        }
        self.0.refresh(refreshed_at).await?;
        Ok(find())
    }

    /// Reads the keys again and again until they are available, and logs each new reason why they are not.
    pub(super) async fn read_until_available(&self) {
        let mut logged = String::new();
        while let Err(error) = self.read_if_missing().await {
            let reason = error.to_string();
            if reason != logged {
                tracing::error!(
                    error = reason,
                    "cannot read the signing keys, so no token of their issuer can be verified; will retry"
                );
                logged = reason;
            }
            tokio::time::sleep(READ_RETRY_INTERVAL).await;
        }
        if !logged.is_empty() {
            tracing::info!("the signing keys are available");
        }
    }

    async fn read_if_missing(&self) -> Result<(), KeysError> {
        if self.check_available().is_err() {
            // The result is stored, and an attempt of a request may have been made shortly before.
            _ = self.0.refresh(self.0.refreshed_at.lock().await).await;
        }
        self.check_available()
    }

    /// Like [`Self::check_available`], but waits for a short time if the first attempt to read the keys has not
    /// finished.
    pub(super) async fn check_first_read(&self) -> Result<(), KeysError> {
        match self.check_available() {
            Err(error @ KeysError::NotReadYet) => {
                tokio::time::timeout(FIRST_READ_WAIT, self.read_if_missing()).await.unwrap_or(Err(error))
            }
            checked => checked,
        }
    }

    /// Returns the reason why no token of the issuer can be verified. Keys that were read once stay usable.
    fn check_available(&self) -> Result<(), KeysError> {
        match &*self.0.current.load() {
            Some(keys) if keys.keys.is_empty() => Err(KeysError::NoUsableKey(self.0.location.clone())),
            Some(_) => Ok(()),
            None => Err(self.0.unavailable()),
        }
    }
}

impl KeyCache {
    /// Reads the keys again, unless the last refresh is too recent. If reading fails, the cached keys are still used.
    async fn refresh(&self, mut refreshed_at: MutexGuard<'_, Option<Instant>>) -> Result<(), KeysError> {
        let is_first = self.current.load().is_none();
        let cooldown = if is_first { INITIAL_RETRY_INTERVAL } else { REFRESH_COOLDOWN };
        if refreshed_at.is_some_and(|at| at.elapsed() < cooldown) {
            return if is_first { Err(self.unavailable()) } else { Ok(()) };
        }
        *refreshed_at = Some(Instant::now());
        let parse = |text: Vec<u8>| parse(&text).ok_or_else(|| KeysError::InvalidKeySet(self.location.clone()));
        match self.source.read(&self.location).await.and_then(parse) {
            Ok(keys) => {
                self.current.store(Some(Arc::new(KeySetSnapshot { keys, keys_read_at: Instant::now() })));
                if is_first {
                    // A token with an unknown key may trigger the next refresh immediately.
                    *refreshed_at = None;
                }
                Ok(())
            }
            Err(error) if is_first => {
                self.last_error.store(Some(Arc::new(error)));
                Err(self.unavailable())
            }
            Err(error) => {
                tracing::warn!(%error, "cannot refresh the issuer's keys; the cached ones are still used");
                Ok(())
            }
        }
    }
}

impl KeyCache {
    /// Returns the reason why the keys have never been read.
    fn unavailable(&self) -> KeysError {
        self.last_error.load_full().map_or(KeysError::NotReadYet, KeysError::Unavailable)
    }
}

impl KeySource {
    /// Reads the text of the key set. `location` names the source in messages.
    async fn read(&self, location: &str) -> Result<Vec<u8>, KeysError> {
        match self {
            Self::File(path) => {
                tokio::fs::read(path).await.map_err(|error| KeysError::ReadFailed(location.to_owned(), error))
            }
            Self::Url(url, client) => {
                let failed = |error| KeysError::FetchFailed(location.to_owned(), root_cause(&error));
                let response = client.get(url.clone()).send().await.map_err(failed)?;
                if !response.status().is_success() {
                    return Err(KeysError::FetchFailed(location.to_owned(), format!("HTTP {}", response.status())));
                }
                let (mut response, mut text) = (response, Vec::new());
                while let Some(chunk) = response.chunk().await.map_err(failed)? {
                    text.extend_from_slice(&chunk);
                    if text.len() > MAX_KEY_SET_BYTES {
                        return Err(KeysError::TooLarge(location.to_owned()));
                    }
                }
                Ok(text)
            }
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Url(url, _) => f.write_str(&without_credentials(url)),
        }
    }
}

/// Returns the message of the last cause of an error, such as `Connection refused (os error 111)`.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", FETCH_TIMEOUT.as_secs());
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

impl KeySetSnapshot {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<VerificationKey> {
        let mut candidates = self
            .keys
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .filter(|key| key.decoding.family().algorithms().contains(&algorithm))
            .filter(|key| key.algorithm.is_none_or(|only| only == algorithm));
        match (candidates.next(), candidates.next()) {
            (Some(key), None) => {
                Some(VerificationKey { decoding: key.decoding.clone(), keys_read_at: self.keys_read_at })
            }
            _ => None,
        }
    }
}

fn is_local(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// Parses a key set; `None` if the text is not a key set. Keys that are not usable with an accepted signature algorithm
/// are ignored.
fn parse(text: &[u8]) -> Option<Vec<PublicKey>> {
    let set: KeySet = serde_json::from_slice(text).ok()?;
    Some(set.keys.into_iter().filter_map(|key| usable_key(serde_json::from_value(key).ok()?)).collect())
}

fn usable_key(jwk: Jwk) -> Option<PublicKey> {
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|only| *only == PublicKeyUse::Signature)
        && jwk.common.key_operations.as_ref().is_none_or(|allowed| allowed.contains(&KeyOperations::Verify));
    let is_supported = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => key.curve == EllipticCurve::P256,
        AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
        AlgorithmParameters::RSA(_) => true,
        _ => false,
    };
    let algorithm = match jwk.common.key_algorithm {
        Some(only) => Some(only.to_string().parse().ok().filter(|only| ACCEPTED_ALGORITHMS.contains(only))?),
        None => None,
    };
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    (for_signatures && is_supported).then_some(PublicKey { id: jwk.common.key_id, algorithm, decoding })
}
