//! Webhooks, and what secrets are encrypted with.

use serde::Deserialize;

use crate::secrets::SealingKey;

/// `[webhooks]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Ports besides 443 that the URL of an endpoint may name.
    pub allowed_ports: Vec<u16>,
}

/// `[secrets]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// The key that secrets are encrypted with: base64 of 32 random bytes.
    pub key: Option<SealingKey>,
    /// Keys that were used before; what they have encrypted can still be read, and is encrypted anew by a worker.
    pub old_keys: Vec<SealingKey>,
}
