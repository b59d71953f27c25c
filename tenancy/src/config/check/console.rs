//! Validation of the section `[console]`.

use super::Problems;
use crate::config::Config;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let console = &config.console;
    let Some(url) = &console.url else { return };
    if !is_origin(url) {
        problems
            .add("console.url", "must be an https:// address without a path, or an http:// address on this machine");
    }
    if console.client_id.is_empty() {
        problems.add("console.client_id", "must be the client id of the console at the OpenID provider");
    }
    if !console.scope.split(' ').any(|scope| scope == "openid") {
        problems.add("console.scope", "must contain openid");
    }
    let issuers = config.api.token_issuers();
    match &console.issuer {
        None if issuers.len() > 1 => problems.add("console.issuer", "must name one of the issuers of [api]"),
        Some(name) if !issuers.iter().any(|(_, issuer)| issuer.issuer == *name) => {
            problems.add("console.issuer", format_args!("`{name}` must be one of the issuers of [api]"));
        }
        _ => {}
    }
    let discovery = console.token_issuer(&config.api).map(|issuer| console.discovery_url(&issuer.issuer));
    if discovery.is_some_and(|discovery| !is_safe(&discovery)) {
        problems.add("console.discovery", "must be an https:// URL, or an http:// URL on this machine");
    }
}

/// Returns whether `url` is encrypted, or stays on this machine.
fn is_safe(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && is_local)
}

/// Returns whether `url` is a safe URL that consists of scheme, host and port.
fn is_origin(url: &str) -> bool {
    let parsed = url::Url::parse(url);
    is_safe(url) && parsed.is_ok_and(|parsed| parsed.origin().ascii_serialization() == url)
}
