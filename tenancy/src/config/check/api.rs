//! Validation of `[api]`, `[database]`, `[telemetry]` and `[webhooks]`. The API crate validates the scopes of roles,
//! because only that crate knows the scopes.

use secrecy::ExposeSecret;
use url::Url;

use super::Problems;
use crate::config::{Config, is_postgresql_url};

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let api = &config.api;
    for (name, value) in [("tenant_claim", &api.tenant_claim), ("roles_claim", &api.roles_claim)] {
        if value.trim().is_empty() {
            problems.add(format!("api.{name}"), "must be the name of a claim");
        }
    }
    if api.tenant_claim == api.roles_claim {
        problems.add("api.roles_claim", "must differ from tenant_claim");
    }
    for (name, value) in [("issuer", &api.issuer), ("audience", &api.audience), ("jwks", &api.jwks)] {
        if value.trim() != value {
            problems.add(format!("api.{name}"), "must not start or end with whitespace");
        }
    }
    if api.audience.is_empty() {
        problems.add("api.audience", "must not be empty");
    }
    for role in api.roles.keys().filter(|role| role.trim().is_empty()) {
        problems.add(format!("api.roles.{role:?}"), "must be the name of a role");
    }
    if let Some(url) = &config.database.url
        && !is_postgresql_url(url.expose_secret())
    {
        // The message must not contain the URL, because the URL contains the password.
        problems.add("database.url", "must be a URL such as postgres://user:password@host/name");
    }
    if let Some(endpoint) = &config.telemetry.otlp_endpoint
        && !Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        problems.add("telemetry.otlp_endpoint", "must be an http:// or https:// URL");
    }
    if config.webhooks.allowed_ports.contains(&0) {
        problems.add("webhooks.allowed_ports", "must contain ports from 1 to 65535");
    }
}
