//! The issuer's keys: read from a file or fetched, kept, and looked for again when a token names one that is not known.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

/// Accepted signature algorithms. Only asymmetric ones: a party that can verify a token must not be able to create one.
pub(super) const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// How soon the keys may be looked for again: tokens with invented key ids must not become a flood at the issuer.
const REFRESH_COOLDOWN: Duration = Duration::from_secs(30);

/// How soon, as long as there are none at all.
const INITIAL_RETRY: Duration = Duration::from_secs(1);

/// How long keys are believed without looking whether the issuer has taken one back.
const MAX_AGE: Duration = Duration::from_mins(10);

/// How long the issuer may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How much a set of keys may weigh, in bytes.
const LARGEST: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// `api.issuer` is empty.
    #[error("api.issuer: name the `iss` of the tokens to believe")]
    NoIssuer,
    /// `api.jwks` is empty.
    #[error("api.jwks: name the issuer's keys, an https:// URL or the path of a JWKS file")]
    NoSource,
    /// `api.jwks` would let anybody on the way exchange the keys.
    #[error("api.jwks: `{0}` is neither an https:// URL nor, on this machine, an http:// one")]
    Insecure(String),
    /// The file.
    #[error("the keys at {0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The URL.
    #[error("the keys cannot be fetched: {0}")]
    Unfetchable(#[from] reqwest::Error),
    /// More than a set of keys weighs.
    #[error("the keys are larger than {LARGEST} bytes")]
    TooLarge,
    /// Not a JWKS.
    #[error("the keys are not a JSON Web Key Set: {0}")]
    NotAKeySet(#[from] serde_json::Error),
    /// It was tried a moment ago, and failed.
    #[error("the keys could not be had a moment ago")]
    FetchedRecently,
}

/// A key that was asked for.
#[derive(Clone)]
pub(super) struct SigningKey {
    /// What checks a signature.
    pub(super) decoding: DecodingKey,
    /// When the issuer's keys were read of which it is one.
    pub(super) since: Instant,
}

/// The issuer's keys; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Keys(Arc<Cache>);

#[derive(Debug)]
struct Cache {
    source: Source,
    known: ArcSwapOption<KeySetSnapshot>,
    /// When they were last looked for; held while that is being done.
    polled_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(reqwest::Url, reqwest::Client),
}

#[derive(Debug)]
struct KeySetSnapshot {
    keys: Vec<PublicKey>,
    since: Instant,
}

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    /// The algorithm that the key is for, where the issuer says so.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

impl Keys {
    /// Keys at `source`: a path, an `https://` URL, or an `http://` URL of this machine. They are read when first needed.
    pub(super) fn new(source: &str) -> Result<Self, KeysError> {
        let source = match reqwest::Url::parse(source) {
            _ if source.is_empty() => return Err(KeysError::NoSource),
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_here(&url)) => {
                let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT);
                // A redirection could lead to where anybody can exchange the keys.
                Source::Url(url, client.redirect(reqwest::redirect::Policy::none()).build()?)
            }
            Ok(url) if url.has_host() => return Err(KeysError::Insecure(url.to_string())),
            _ => Source::File(PathBuf::from(source)),
        };
        Ok(Self(Arc::new(Cache { source, known: ArcSwapOption::empty(), polled_at: Mutex::new(None) })))
    }

    /// The key with this id for this algorithm. A token that names no key is checked with the only one there is.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Option<SigningKey>, KeysError> {
        let Cache { known, polled_at, .. } = &*self.0;
        let find = || known.load().as_ref().and_then(|known| known.find(id, algorithm));
        if let Some(found) = find() {
            let stale = known.load().as_ref().is_some_and(|known| known.since.elapsed() > MAX_AGE);
            // Whoever comes first looks whether it is still the issuer's; nobody waits for that.
            return match polled_at.try_lock() {
                Ok(polled_at) if stale => {
                    self.0.look(polled_at).await?;
                    Ok(find())
                }
                _ => Ok(Some(found)),
            };
        }
        let polled_at = polled_at.lock().await;
        if let Some(found) = find() {
            return Ok(Some(found));
        }
        self.0.look(polled_at).await?;
        Ok(find())
    }
}

impl Cache {
    /// Looks for the keys, unless that was done a moment ago. Those that are known outlast a source that fails.
    async fn look(&self, mut polled_at: MutexGuard<'_, Option<Instant>>) -> Result<(), KeysError> {
        let are_the_first = self.known.load().is_none();
        let pause = if are_the_first { INITIAL_RETRY } else { REFRESH_COOLDOWN };
        if polled_at.is_some_and(|at| at.elapsed() < pause) {
            return if are_the_first { Err(KeysError::FetchedRecently) } else { Ok(()) };
        }
        *polled_at = Some(Instant::now());
        match self.source.read().await.and_then(|text| parse(&text)) {
            Ok(keys) => {
                self.known.store(Some(Arc::new(KeySetSnapshot { keys, since: Instant::now() })));
                if are_the_first {
                    // A token that names another key is worth a look, even right away.
                    *polled_at = None;
                }
                Ok(())
            }
            Err(error) if are_the_first => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the issuer's keys cannot be looked at again; those that are known are kept");
                Ok(())
            }
        }
    }
}

impl Source {
    async fn read(&self) -> Result<Vec<u8>, KeysError> {
        match self {
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| KeysError::Unreadable(path.clone(), error)),
            Self::Url(url, client) => {
                let mut response = client.get(url.clone()).send().await?.error_for_status()?;
                let mut text = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    text.extend_from_slice(&chunk);
                    if text.len() > LARGEST {
                        return Err(KeysError::TooLarge);
                    }
                }
                Ok(text)
            }
        }
    }
}

impl KeySetSnapshot {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<SigningKey> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .filter(|key| key.decoding.family().algorithms().contains(&algorithm))
            .filter(|key| key.algorithm.is_none_or(|only| only == algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(SigningKey { decoding: key.decoding.clone(), since: self.since }),
            _ => None,
        }
    }
}

fn is_here(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// The keys of a set that can check a signature that is believed; others are none of our business.
fn parse(text: &[u8]) -> Result<Vec<PublicKey>, KeysError> {
    let set: KeySet = serde_json::from_slice(text)?;
    Ok(set.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?)).collect())
}

fn usable(jwk: Jwk) -> Option<PublicKey> {
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|only| *only == PublicKeyUse::Signature);
    let fits = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => key.curve == EllipticCurve::P256,
        AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
        AlgorithmParameters::RSA(_) => true,
        _ => false,
    };
    let algorithm = match jwk.common.key_algorithm {
        Some(only) => Some(only.to_string().parse().ok().filter(|only| ALGORITHMS.contains(only))?),
        None => None,
    };
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    (for_signatures && fits).then_some(PublicKey { id: jwk.common.key_id, algorithm, decoding })
}
