//! Configuration of a sandbox.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use freehold_tenancy::Config;
use freehold_tenancy::config::{Api, Console, Proof, TextList, TokenIssuer, sha256_of};
use freehold_tenancy::residency_proof::ProofSigner;
use freehold_tenancy::secrets::SealingKey;

use super::Issuer;
use super::issuer::{AUDIENCE, ISSUER};
use super::openid::CLIENT;

const BUILT_IN_CONFIG: &str = include_str!("freehold.toml");

/// Loads the configuration from a file, by default the built-in one. `FREEHOLD_…` variables are ignored.
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => BUILT_IN_CONFIG.to_owned(),
    };
    let (mut config, _) = crate::config::validate(Config::check_text(&text)?)?;
    // A fixed key is safe, because a sandbox has no real secrets. All processes of a sandbox, and its next start, need
    // the same key.
    config.secrets.key.get_or_insert_with(|| SealingKey::derive_for_tests("freehold sandbox"));
    add_proof_key(&mut config.proof)?;
    Ok(config)
}

/// Adds a key for residency proofs, unless the file configures one. A fixed key is safe for the same reason.
fn add_proof_key(proof: &mut Proof) -> anyhow::Result<()> {
    let key = proof.signing_key.get_or_insert_with(|| sha256_of("freehold sandbox proofs").into());
    let public_key = ProofSigner::new(key)?.public_key().to_string();
    if !proof.public_keys.contains(&public_key) {
        proof.public_keys.push(public_key);
    }
    Ok(())
}

/// Sets the listen address of the API and the token issuer that the API trusts.
pub(super) fn configure_api(config: &mut Config, issuer: &Issuer, listen: SocketAddr) {
    config.api.listen = listen;
    trust_issuer(config, &issuer.jwks_path());
    // The API of a sandbox is reachable from this machine only.
    config.api.metrics_on_public_listener = true;
}

/// Configures the console, whose people sign in with the OpenID provider at `provider`.
pub(super) fn configure_console(config: &mut Config, provider: &str) {
    config.console = Console {
        url: Some(format!("http://{}", config.api.listen)),
        client_id: CLIENT.to_owned(),
        discovery: Some(format!("{provider}/.well-known/openid-configuration")),
        ..Console::default()
    };
}

/// Configures the API to accept sandbox tokens that are signed with the keys in the file `jwks`.
pub(crate) fn trust_issuer(config: &mut Config, jwks: &Path) {
    let sandbox = TokenIssuer {
        issuer: ISSUER.to_owned(),
        audience: TextList(vec![AUDIENCE.to_owned()]),
        jwks: jwks.display().to_string(),
        ..TokenIssuer::default()
    };
    let defaults = Api::default();
    let configured = std::mem::take(&mut config.api);
    config.api = Api {
        issuers: vec![sandbox],
        issuer: defaults.issuer,
        audience: defaults.audience,
        jwks: defaults.jwks,
        token_type: defaults.token_type,
        tenant_claim: defaults.tenant_claim,
        roles_claim: defaults.roles_claim,
        ..configured
    };
}
