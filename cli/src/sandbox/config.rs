//! What the sandbox's operator has declared.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use freehold_tenancy::Config;
use freehold_tenancy::secrets::SealingKey;

use super::Issuer;
use super::issuer::{AUDIENCE, ISSUER};

const BUILT_IN: &str = include_str!("freehold.toml");

/// The built-in configuration, or the one in a file; the environment changes neither.
pub(crate) fn config(file: Option<&Path>) -> anyhow::Result<Config> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
        None => BUILT_IN.to_owned(),
    };
    let mut config = Config::parse(&text)?;
    // A sandbox's webhooks are nobody's secret, and all of its processes need the same key, the next time as well.
    config.secrets.key.get_or_insert_with(|| SealingKey::derive_for_tests("freehold sandbox"));
    Ok(config)
}

/// Makes the API listen there and believe the sandbox's tokens.
pub(super) fn adapt(config: &mut Config, issuer: &Issuer, listen: SocketAddr) {
    config.api.listen = listen;
    believe(config, &issuer.jwks());
}

/// Makes the API believe tokens signed with these keys.
pub(crate) fn believe(config: &mut Config, jwks: &Path) {
    config.api.jwks = jwks.display().to_string();
    ISSUER.clone_into(&mut config.api.issuer);
    AUDIENCE.clone_into(&mut config.api.audience);
}
