//! Validation of keys. Messages never contain a key.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Problems;
use crate::audit::Signer;
use crate::config::Config;

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
    if config.secrets.key.is_none() && !config.secrets.old_keys.is_empty() {
        problems.add("secrets.key", "must be set if old_keys are set");
    }
}
