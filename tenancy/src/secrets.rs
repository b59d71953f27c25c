//! Encryption of secrets in the database: AES-256-GCM with a key from the configuration.
//!
//! A sealed (encrypted) secret consists of a version (1 byte), the key id (8), a random nonce (12) and the ciphertext
//! with its tag. The id of the owner is authenticated as additional data, so that a secret cannot be moved to another
//! row.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::config::Secrets;

const FORMAT_VERSION: u8 = 1;
const KEY_LENGTH: usize = 32;
const KEY_ID_LENGTH: usize = 8;
const NONCE_LENGTH: usize = 12;

/// Key that encrypts secrets.
#[derive(Clone)]
pub struct SealingKey(SecretSlice<u8>);

/// Identifier of a key, which does not reveal the key.
pub type KeyId = [u8; KEY_ID_LENGTH];

/// Encryption keys of an installation. The first key encrypts new secrets; all keys can decrypt secrets.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Arc<Vec<SealingKey>>);

/// Error while encrypting or decrypting a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("secrets.key is not configured, so secrets cannot be encrypted")]
    NoKey,
    /// The secret was encrypted with a key that is not configured.
    #[error("the secret was encrypted with a key that is not configured; add that key to secrets.old_keys")]
    UnknownKey,
    /// The secret was changed or belongs to another owner.
    #[error("the secret in the database was changed or belongs to another endpoint")]
    Tampered,
}

impl SealingKey {
    /// Parses a key from the base64 or hexadecimal text of 32 bytes.
    pub fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let bytes = decode_key(text)
            .ok_or("must be base64 of 32 random bytes (openssl rand -base64 32), or 64 hexadecimal digits")?;
        Ok(Self(bytes.into()))
    }

    /// Derives a predictable key from `name`, for tests only.
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

/// Decodes a key of 32 bytes from base64, or from hexadecimal digits, which AWS Secrets Manager can generate. The
/// length of the text distinguishes them.
pub(crate) fn decode_key(text: &SecretString) -> Option<Vec<u8>> {
    let text = text.expose_secret().trim();
    let bytes = if text.len() == 2 * KEY_LENGTH { hex::decode(text).ok() } else { STANDARD.decode(text).ok() };
    bytes.filter(|bytes| bytes.len() == KEY_LENGTH)
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
    pub fn new(secrets: &Secrets) -> Self {
        // Old keys are ignored if there is no current key, so that the mistake is noticed immediately.
        let keys = secrets.key.iter().flat_map(|key| std::iter::once(key).chain(&secrets.old_keys));
        Self(Arc::new(keys.cloned().collect()))
    }

    /// Returns the id of the key that encrypts new secrets; `None` if no key is configured.
    pub fn current(&self) -> Option<KeyId> {
        self.0.first().map(SealingKey::id)
    }

    /// Encrypts `secret` for the owner with the id `owner`.
    pub fn seal(&self, secret: &[u8], owner: &str) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::NoKey)?;
        let cipher = key.cipher().ok_or(SealError::NoKey)?;
        let mut text = secret.to_vec();
        let nonce = cipher.seal_in_place_append_tag(Aad::from(owner), &mut text).map_err(|_| SealError::NoKey)?;
        Ok([&[FORMAT_VERSION][..], &key.id(), nonce.as_ref(), &text].concat())
    }

    /// Decrypts a secret of the owner with the id `owner`.
    pub fn open(&self, sealed: &[u8], owner: &str) -> Result<SecretSlice<u8>, SealError> {
        let split = || {
            let (version, rest) = sealed.split_first()?;
            let (id, rest) = rest.split_first_chunk::<KEY_ID_LENGTH>()?;
            let (nonce, text) = rest.split_first_chunk::<NONCE_LENGTH>()?;
            (*version == FORMAT_VERSION).then_some((id, nonce, text))
        };
        let (id, nonce, text) = split().ok_or(SealError::Tampered)?;
        if self.0.is_empty() {
            return Err(SealError::NoKey);
        }
        let key = self.0.iter().find(|key| key.id() == *id).ok_or(SealError::UnknownKey)?;
        let cipher = key.cipher().ok_or(SealError::NoKey)?;
        let mut text = text.to_vec();
        let opened = cipher.open_in_place(Nonce::from(nonce), Aad::from(owner), &mut text);
        Ok(opened.map_err(|_| SealError::Tampered)?.to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(names: &[&str]) -> Keyring {
        let mut keys = names.iter().map(|name| SealingKey::derive_for_tests(name));
        Keyring::new(&Secrets { key: keys.next(), old_keys: keys.collect() })
    }

    #[test]
    fn a_secret_opens_only_for_its_owner_and_with_a_configured_key() {
        let sealed = keyring(&["old"]).seal(b"secret", "whe_1").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        let rotated = keyring(&["new", "old"]);
        assert_eq!(rotated.open(&sealed, "whe_1").unwrap().expose_secret(), b"secret");
        assert_ne!(&sealed[1..9], &rotated.current().unwrap());
        assert_eq!(rotated.open(&sealed, "whe_2").unwrap_err(), SealError::Tampered);
        assert_eq!(keyring(&["new"]).open(&sealed, "whe_1").unwrap_err(), SealError::UnknownKey);
        assert_eq!(keyring(&[]).open(&sealed, "whe_1").unwrap_err(), SealError::NoKey);
        assert_eq!(keyring(&[]).seal(b"secret", "whe_1").unwrap_err(), SealError::NoKey);
        assert_ne!(sealed, keyring(&["old"]).seal(b"secret", "whe_1").unwrap(), "the nonce was reused");
    }

    #[test]
    fn a_changed_or_truncated_secret_is_rejected() {
        let keyring = keyring(&["key"]);
        let sealed = keyring.seal(b"secret", "whe_1").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keyring.open(&changed, "whe_1").is_err(), "byte {index}");
            assert!(keyring.open(&sealed[..index], "whe_1").is_err(), "truncated at {index}");
        }
    }

    #[test]
    fn a_key_can_be_written_in_hexadecimal_digits() {
        let digits = "0f".repeat(KEY_LENGTH);
        let base64 = STANDARD.encode([0x0f; KEY_LENGTH]);
        let id = |text: &str| SealingKey::parse(&text.into()).map(|key| key.id());
        assert_eq!(id(&digits), id(&base64));
        for wrong in ["0f".repeat(KEY_LENGTH - 1), "0g".repeat(KEY_LENGTH), STANDARD.encode([0x0f; 48])] {
            assert!(id(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_never_appears_in_debug_output_or_errors() {
        let key = SealingKey::parse(&"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=".into()).unwrap();
        assert_eq!(format!("{key:?}"), "SealingKey([REDACTED])");
        for text in ["", "c2VjcmV0", "no base64 at all", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTIz"] {
            let error = SealingKey::parse(&text.into()).unwrap_err();
            assert!(text.is_empty() || !error.contains(text));
        }
    }
}
