//! Configuration of residency proofs.

use secrecy::SecretString;
use serde::Deserialize;

use crate::residency_proof::{ProofKeyError, ProofSigner, PublicKey};

/// Section `[proof]`: keys of residency proofs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proof {
    /// Ed25519 key that signs residency proofs: base64 of 32 random bytes. Only workers use it.
    pub signing_key: Option<SecretString>,
    /// Public keys of current signing keys, in base64. The API serves them; without a key it offers no proofs.
    pub public_keys: Vec<String>,
    /// Public keys of previous signing keys, in base64, with which older proofs are verified.
    pub old_public_keys: Vec<String>,
}

impl Proof {
    /// Returns the signer of proofs, or `None` if this process has no signing key.
    pub fn signer(&self) -> Result<Option<ProofSigner>, ProofKeyError> {
        self.signing_key.as_ref().map(ProofSigner::new).transpose()
    }

    /// Returns all public keys: the current ones first.
    pub fn all_public_keys(&self) -> Result<Vec<PublicKey>, ProofKeyError> {
        self.public_keys.iter().chain(&self.old_public_keys).map(|key| PublicKey::parse(key)).collect()
    }

    /// Returns whether the API offers residency proofs.
    pub fn is_configured(&self) -> bool {
        !self.public_keys.is_empty()
    }
}
