//! Signing keys of the token issuer, read from a file or fetched over HTTP. The keys are cached, and refreshed when
//! they are old or when a token refers to an unknown key.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
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

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// Error while configuring or reading the issuer's keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// `api.issuer` is empty.
    #[error("api.issuer: must be the claim `iss` of the tokens to accept")]
    NoIssuer,
    /// `api.jwks` is empty.
    #[error("api.jwks: must be an https:// URL or the path of a JWKS file")]
    NoSource,
    /// `api.jwks` is an unencrypted `http://` URL of another machine.
    #[error("api.jwks: `{0}` must be an https:// URL, or an http:// URL on this machine")]
    InsecureUrl(String),
    #[error("the keys at {0} cannot be read: {1}")]
    ReadFailed(PathBuf, std::io::Error),
    #[error("the keys cannot be fetched: {0}")]
    FetchFailed(#[from] reqwest::Error),
    #[error("the keys are larger than {MAX_KEY_SET_BYTES} bytes")]
    TooLarge,
    #[error("the keys are not a JSON Web Key Set: {0}")]
    InvalidKeySet(#[from] serde_json::Error),
    /// The last attempt to read the keys failed, and it is too early for a retry.
    #[error("the last attempt to read the keys failed")]
    RetryTooEarly,
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
    current: ArcSwapOption<KeySetSnapshot>,
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
    /// machine. The keys are read on first use.
    pub(super) fn new(source: &str) -> Result<Self, KeysError> {
        let source = match reqwest::Url::parse(source) {
            _ if source.is_empty() => return Err(KeysError::NoSource),
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)) => {
                let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT);
                // A redirect could lead to a server that the operator does not trust.
                KeySource::Url(url, client.redirect(reqwest::redirect::Policy::none()).build()?)
            }
            Ok(url) if url.has_host() => return Err(KeysError::InsecureUrl(url.to_string())),
            _ => KeySource::File(PathBuf::from(source)),
        };
        Ok(Self(Arc::new(KeyCache { source, current: ArcSwapOption::empty(), refreshed_at: Mutex::new(None) })))
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
}

impl KeyCache {
    /// Reads the keys again, unless the last refresh is too recent. If reading fails, the cached keys are still used.
    async fn refresh(&self, mut refreshed_at: MutexGuard<'_, Option<Instant>>) -> Result<(), KeysError> {
        let is_first = self.current.load().is_none();
        let cooldown = if is_first { INITIAL_RETRY_INTERVAL } else { REFRESH_COOLDOWN };
        if refreshed_at.is_some_and(|at| at.elapsed() < cooldown) {
            return if is_first { Err(KeysError::RetryTooEarly) } else { Ok(()) };
        }
        *refreshed_at = Some(Instant::now());
        match self.source.read().await.and_then(|text| parse(&text)) {
            Ok(keys) => {
                self.current.store(Some(Arc::new(KeySetSnapshot { keys, keys_read_at: Instant::now() })));
                if is_first {
                    // A token with an unknown key may trigger the next refresh immediately.
                    *refreshed_at = None;
                }
                Ok(())
            }
            Err(error) if is_first => Err(error),
            Err(error) => {
                tracing::warn!(%error, "cannot refresh the issuer's keys; the cached ones are still used");
                Ok(())
            }
        }
    }
}

impl KeySource {
    async fn read(&self) -> Result<Vec<u8>, KeysError> {
        match self {
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| KeysError::ReadFailed(path.clone(), error)),
            Self::Url(url, client) => {
                let mut response = client.get(url.clone()).send().await?.error_for_status()?;
                let mut text = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    text.extend_from_slice(&chunk);
                    if text.len() > MAX_KEY_SET_BYTES {
                        return Err(KeysError::TooLarge);
                    }
                }
                Ok(text)
            }
        }
    }
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

/// Parses a key set. Keys that are not usable with an accepted signature algorithm are ignored.
fn parse(text: &[u8]) -> Result<Vec<PublicKey>, KeysError> {
    let set: KeySet = serde_json::from_slice(text)?;
    Ok(set.keys.into_iter().filter_map(|key| usable_key(serde_json::from_value(key).ok()?)).collect())
}

fn usable_key(jwk: Jwk) -> Option<PublicKey> {
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|only| *only == PublicKeyUse::Signature);
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
