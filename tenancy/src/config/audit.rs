//! The audit trail.

use std::path::PathBuf;

use chrono::TimeDelta;
use secrecy::SecretString;
use serde::Deserialize;

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The Ed25519 key that signs the trail's head: the base64 of 32 random bytes. Without it nothing is anchored.
    pub signing_key: Option<SecretString>,
    /// The public keys that have signed before, in base64.
    pub old_public_keys: Vec<String>,
    /// The file that signed heads are appended to; they are in the log as well.
    pub anchor_file: Option<PathBuf>,
    /// How often the head is anchored where it has moved.
    pub anchor_interval_seconds: u64,
    /// How long records are kept.
    pub retention_days: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            signing_key: None,
            old_public_keys: Vec::new(),
            anchor_file: None,
            anchor_interval_seconds: 60,
            retention_days: 7 * 366,
        }
    }
}

impl Audit {
    /// How long records are kept.
    pub fn kept_for(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.retention_days))
    }
}
