//! What the sandbox's operator has declared.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use freehold_tenancy::Config;

use super::Issuer;
use super::issuer::{AUDIENCE, ISSUER};

const BUILT_IN: &str = include_str!("freehold.toml");

/// The built-in configuration, or the one in a file; the environment changes neither.
pub(super) fn config(file: Option<&Path>) -> anyhow::Result<Config> {
    let Some(file) = file else { return Ok(Config::parse(BUILT_IN)?) };
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Config::parse(&text)?)
}

/// Makes the API listen there and believe the sandbox's tokens.
pub(super) fn adapt(config: &mut Config, issuer: &Issuer, listen: SocketAddr) {
    config.api.listen = listen;
    believe(config, &issuer.jwks());
}

/// Makes the API believe tokens signed with these keys.
pub(super) fn believe(config: &mut Config, jwks: &Path) {
    config.api.jwks = jwks.display().to_string();
    ISSUER.clone_into(&mut config.api.issuer);
    AUDIENCE.clone_into(&mut config.api.audience);
}
