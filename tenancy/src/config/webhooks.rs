//! Configuration of webhooks and of the keys that encrypt secrets.

use serde::Deserialize;

use crate::secrets::SealingKey;

/// Section `[webhooks]`: permitted destinations.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Ports other than 443 that the URL of an endpoint may use.
    pub allowed_ports: Vec<u16>,
}

/// Section `[secrets]`: encryption keys of stored secrets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// Key that encrypts new secrets: base64 of 32 random bytes.
    pub key: Option<SealingKey>,
    /// Previous keys. They decrypt old secrets, which a worker then encrypts with `key`.
    pub old_keys: Vec<SealingKey>,
}
