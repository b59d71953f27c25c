//! Validation of keys. Messages never contain a key.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Problems;
use crate::audit::Signer;
use crate::config::{Config, Proof};
use crate::residency_proof::PublicKey;

/// Length of an Ed25519 public key in bytes.
const PUBLIC_KEY_BYTES: usize = 32;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    if let Some(Err(error)) = config.audit.signing_key.as_ref().map(Signer::new) {
        problems.0.push(error.to_string());
    }
    let is_public_key = |key: &String| BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == PUBLIC_KEY_BYTES);
    let audit = &config.audit;
    for (field, keys) in [("public_keys", &audit.public_keys), ("old_public_keys", &audit.old_public_keys)] {
        if !keys.iter().all(is_public_key) {
            problems.add(
                format_args!("audit.{field}"),
                "must contain public keys in base64, as `freehold audit public-key` prints them",
            );
        }
    }
    check_proof(&config.proof, problems);
    if config.secrets.key.is_none() && !config.secrets.old_keys.is_empty() {
        problems.add("secrets.key", "must be set if old_keys are set");
    }
}

fn check_proof(proof: &Proof, problems: &mut Problems) {
    for (field, keys) in [("public_keys", &proof.public_keys), ("old_public_keys", &proof.old_public_keys)] {
        if !keys.iter().all(|key| PublicKey::parse(key).is_ok()) {
            problems.add(
                format_args!("proof.{field}"),
                "must contain public keys in base64, as `freehold proof public-key` prints them",
            );
        }
    }
    match proof.signer() {
        Ok(Some(signer)) => {
            let is_own = |key: &String| PublicKey::parse(key).is_ok_and(|key| key == signer.public_key());
            if !proof.public_keys.is_empty() && !proof.public_keys.iter().any(is_own) {
                problems.add("proof.public_keys", "must contain the public key of proof.signing_key");
            }
        }
        Ok(None) => {}
        Err(error) => problems.0.push(error.to_string()),
    }
}
