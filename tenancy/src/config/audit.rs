//! Configuration of the audit trail.

use std::path::PathBuf;

use chrono::TimeDelta;
use secrecy::SecretString;
use serde::Deserialize;

use crate::InstallationId;

/// Section `[audit]`: retention and anchors of the audit trail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Id of the installation, as `freehold migrate` prints it. The database must belong to it.
    pub installation_id: Option<InstallationId>,
    /// Ed25519 key that signs anchors: base64 of 32 random bytes. `None` disables anchors. Only workers use it.
    pub signing_key: Option<SecretString>,
    /// Public keys of current signing keys, in base64, for `freehold audit verify` without the signing key.
    pub public_keys: Vec<String>,
    /// Public keys of previous signing keys, in base64.
    pub old_public_keys: Vec<String>,
    /// File to which anchors are appended. Anchors are also logged.
    pub anchor_file: Option<PathBuf>,
    /// Minimum time between two anchors. An unchanged head is not anchored again.
    pub anchor_interval_seconds: u64,
    pub retention_days: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            installation_id: None,
            signing_key: None,
            public_keys: Vec::new(),
            old_public_keys: Vec::new(),
            anchor_file: None,
            anchor_interval_seconds: 60,
            retention_days: 7 * 366,
        }
    }
}

impl Audit {
    pub fn retention(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.retention_days))
    }
}
