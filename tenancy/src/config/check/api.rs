//! Validation of `[api]`, `[telemetry]` and `[webhooks]`. The API crate validates the scopes of roles,
//! because only that crate knows the scopes.

use std::collections::BTreeSet;

use url::Url;

use super::Problems;
use crate::config::{Config, TokenIssuer};
use crate::excerpt::has_credentials;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let api = &config.api;
    if api.issuers.is_empty() {
        token_issuer("api", &api.single_issuer(), problems);
    } else {
        for name in api.single_issuer_fields() {
            problems.add(format!("api.{name}"), "must be removed, because [[api.issuers]] declares the issuers");
        }
        for (field, issuer) in api.token_issuers() {
            token_issuer(&field, &issuer, problems);
        }
    }
    if api.metrics_listen == Some(api.listen) {
        problems.add(
            "api.metrics_listen",
            "must differ from api.listen; to serve the metrics there, set \
            api.metrics_on_public_listener",
        );
    }
    let mut known = BTreeSet::new();
    for (field, issuer) in api.token_issuers() {
        if !issuer.issuer.is_empty() && !known.insert(issuer.issuer) {
            problems.add(format!("{field}.issuer"), "must be declared only once");
        }
    }
    for role in api.roles.keys().filter(|role| role.trim().is_empty()) {
        problems.add(format!("api.roles.{role:?}"), "must be the name of a role");
    }
    if let Some(endpoint) = &config.telemetry.otlp_endpoint
        && !Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        problems.add("telemetry.otlp_endpoint", "must be an http:// or https:// URL");
    }
    if config.telemetry.otlp_endpoint.as_deref().is_some_and(is_url_with_credentials) {
        let instead = "must not contain a user name or password; set the variable OTEL_EXPORTER_OTLP_HEADERS instead";
        problems.add("telemetry.otlp_endpoint", instead);
    }
    if config.webhooks.allowed_ports.contains(&0) {
        problems.add("webhooks.allowed_ports", "must contain ports from 1 to 65535");
    }
}

fn is_url_with_credentials(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| has_credentials(&url))
}

fn token_issuer(field: &str, issuer: &TokenIssuer, problems: &mut Problems) {
    let mut add = |name: &str, problem: &str| problems.add(format!("{field}.{name}"), problem);
    let is_list_entry = field != "api";
    // A worker needs no issuer, so in the single form a missing issuer is only a warning.
    if issuer.issuer.is_empty() && is_list_entry {
        add("issuer", "must be the claim `iss` of the tokens to accept");
    }
    let texts = [("issuer", &issuer.issuer), ("jwks", &issuer.jwks), ("scope_prefix", &issuer.scope_prefix)];
    let audiences = issuer.audience.0.iter().map(|audience| ("audience", audience));
    for (name, text) in texts.into_iter().chain(audiences) {
        if text.trim() != text {
            add(name, "must not start or end with whitespace");
        }
    }
    if is_url_with_credentials(&issuer.jwks) {
        add("jwks", "must not contain a user name or password; the keys are public");
    }
    if issuer.audience.0.is_empty() || issuer.audience.0.iter().any(String::is_empty) {
        add("audience", "must not be empty");
    }
    let claims = [
        ("audience_claim", Some(&issuer.audience_claim)),
        ("subject_claim", Some(&issuer.subject_claim)),
        ("client_claim", issuer.client_claim.as_ref()),
        ("tenant_claim", Some(&issuer.tenant_claim)),
        ("roles_claim", issuer.roles_claim.as_ref()),
        ("scopes_claim", issuer.scopes_claim.as_ref()),
    ];
    for (name, claim) in claims {
        let Some(claim) = claim else { continue };
        if !claim.is_valid() {
            add(name, "must be the name of a claim, or the list of names that leads to it");
        } else if ["roles_claim", "scopes_claim"].contains(&name) && *claim == issuer.tenant_claim {
            add(name, "must differ from tenant_claim");
        }
    }
    if !issuer.scope_prefix.is_empty() && !issuer.scopes.is_empty() {
        add("scope_prefix", "must be removed, because `scopes` lists the names of the scopes");
    }
    for name in issuer.scopes.keys().filter(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        add(&format!("scopes.{name:?}"), "must be the name of a scope without whitespace");
    }
    for (claim, value) in &issuer.required_claims {
        if claim.trim().is_empty() || value.is_empty() {
            add(&format!("required_claims.{claim:?}"), "must have the name of a claim and a value that is not empty");
        }
    }
}
