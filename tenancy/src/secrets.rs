//! Secrets at rest: AES-256-GCM under a key from the configuration, which the database never sees.
//!
//! A sealed secret is a version (1), the id of its key (8 bytes), a random nonce (12), then the ciphertext with its tag. What
//! it belongs to is bound to it, so that a row's secret cannot be moved to another row.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::config::Secrets;

const VERSION: u8 = 1;
const KEY: usize = 32;
const ID: usize = 8;
const NONCE: usize = 12;

/// A key that secrets are sealed with.
#[derive(Clone)]
pub struct SealingKey(SecretSlice<u8>);

/// Names a key without giving it away.
pub type KeyId = [u8; ID];

/// The keys of an installation: one that seals, and those that could before.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Arc<Vec<SealingKey>>);

/// Why a secret can be neither sealed nor opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// `secrets.key` is not configured.
    #[error("no key is configured that secrets are encrypted with (secrets.key)")]
    NoKey,
    /// It was sealed with a key that is not configured any more.
    #[error("the secret was encrypted with a key that is not configured; put that back into secrets.old_keys")]
    UnknownKey,
    /// It is not what was sealed for this.
    #[error("the secret in the database is not what was encrypted for this endpoint")]
    Tampered,
}

impl SealingKey {
    /// A key from base64 of 32 bytes.
    pub fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let bytes = STANDARD.decode(text.expose_secret().trim()).unwrap_or_default();
        if bytes.len() == KEY {
            Ok(Self(bytes.into()))
        } else {
            Err("wants base64 of 32 bytes (openssl rand -base64 32)")
        }
    }

    /// A key that everybody who knows `name` can make: for what is no secret.
    pub fn derive_for_tests(name: &str) -> Self {
        Self(Sha256::digest(name).to_vec().into())
    }

    fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update("freehold key id").chain_update(self.0.expose_secret()).finalize();
        std::array::from_fn(|index| digest[index])
    }

    fn cipher(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.expose_secret()).ok()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey([REDACTED])")
    }
}

impl<'de> Deserialize<'de> for SealingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&SecretString::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Keyring {
    /// The keys of a configuration.
    pub fn new(secrets: &Secrets) -> Self {
        // Without a key nothing is sealed; what an old one has sealed is not read either, which is noticed at once.
        let keys = secrets.key.iter().flat_map(|key| std::iter::once(key).chain(&secrets.old_keys));
        Self(Arc::new(keys.cloned().collect()))
    }

    /// The id of the key that seals, if there is one.
    pub fn current(&self) -> Option<KeyId> {
        self.0.first().map(SealingKey::id)
    }

    /// Seals `secret` for what `belongs_to` names.
    pub fn seal(&self, secret: &[u8], belongs_to: &str) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::NoKey)?;
        let cipher = key.cipher().ok_or(SealError::NoKey)?;
        let mut text = secret.to_vec();
        let nonce = cipher.seal_in_place_append_tag(Aad::from(belongs_to), &mut text).map_err(|_| SealError::NoKey)?;
        Ok([&[VERSION][..], &key.id(), nonce.as_ref(), &text].concat())
    }

    /// Opens what was sealed for what `belongs_to` names.
    pub fn open(&self, sealed: &[u8], belongs_to: &str) -> Result<SecretSlice<u8>, SealError> {
        let take = || {
            let (version, rest) = sealed.split_first()?;
            let (id, rest) = rest.split_first_chunk::<ID>()?;
            let (nonce, text) = rest.split_first_chunk::<NONCE>()?;
            (*version == VERSION).then_some((id, nonce, text))
        };
        let (id, nonce, text) = take().ok_or(SealError::Tampered)?;
        if self.0.is_empty() {
            return Err(SealError::NoKey);
        }
        let key = self.0.iter().find(|key| key.id() == *id).ok_or(SealError::UnknownKey)?;
        let cipher = key.cipher().ok_or(SealError::NoKey)?;
        let mut text = text.to_vec();
        let opened = cipher.open_in_place(Nonce::from(nonce), Aad::from(belongs_to), &mut text);
        Ok(opened.map_err(|_| SealError::Tampered)?.to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(names: &[&str]) -> Keyring {
        let mut keys = names.iter().map(|name| SealingKey::derive_for_tests(name));
        Keyring::new(&Secrets { key: keys.next(), old_keys: keys.collect() })
    }

    #[test]
    fn a_secret_is_opened_for_what_it_was_sealed_for_and_under_any_key_that_is_still_known() {
        let sealed = ring(&["old"]).seal(b"secret", "whe_1").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        let rotated = ring(&["new", "old"]);
        assert_eq!(rotated.open(&sealed, "whe_1").unwrap().expose_secret(), b"secret");
        assert_ne!(&sealed[1..9], &rotated.current().unwrap());
        assert_eq!(rotated.open(&sealed, "whe_2").unwrap_err(), SealError::Tampered);
        assert_eq!(ring(&["new"]).open(&sealed, "whe_1").unwrap_err(), SealError::UnknownKey);
        assert_eq!(ring(&[]).open(&sealed, "whe_1").unwrap_err(), SealError::NoKey);
        assert_eq!(ring(&[]).seal(b"secret", "whe_1").unwrap_err(), SealError::NoKey);
        assert_ne!(sealed, ring(&["old"]).seal(b"secret", "whe_1").unwrap(), "the same nonce again");
    }

    #[test]
    fn not_a_bit_of_what_is_sealed_can_be_changed() {
        let ring = ring(&["key"]);
        let sealed = ring.seal(b"secret", "whe_1").unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(ring.open(&changed, "whe_1").is_err(), "byte {place}");
            assert!(ring.open(&sealed[..place], "whe_1").is_err(), "cut at {place}");
        }
    }

    #[test]
    fn a_key_never_shows() {
        let key = SealingKey::parse(&"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=".into()).unwrap();
        assert_eq!(format!("{key:?}"), "SealingKey([REDACTED])");
        for text in ["", "c2VjcmV0", "no base64 at all", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTIz"] {
            let why = SealingKey::parse(&text.into()).unwrap_err();
            assert!(text.is_empty() || !why.contains(text));
        }
    }
}
