//! Configuration of the console.

use secrecy::SecretString;
use serde::Deserialize;

use super::{Api, TokenIssuer};

/// Section `[console]`: web pages for people, served by the API. People sign in with an OpenID provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Address of the API in the browser, without a path, such as `https://freehold.example.com`. `None` switches the
    /// console off.
    pub url: Option<String>,
    /// Client id of the console at the provider.
    pub client_id: String,
    /// Secret of the client; `None` for a public client, which PKCE protects.
    pub client_secret: Option<SecretString>,
    /// Issuer of the access tokens, one of those of `[api]`; `None` if `[api]` has only one.
    pub issuer: Option<String>,
    /// URL of the provider's OpenID configuration; `None` if it is below the issuer.
    pub discovery: Option<String>,
    /// Scopes that the console asks for.
    pub scope: String,
    /// Parameter `audience` of the sign-in, which some providers need for an access token of the API.
    pub audience: Option<String>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            url: None,
            client_id: String::new(),
            client_secret: None,
            issuer: None,
            discovery: None,
            scope: "openid".to_owned(),
            audience: None,
        }
    }
}

impl Console {
    /// Returns the token issuer that signs people in; `None` if it is not declared.
    pub fn token_issuer(&self, api: &Api) -> Option<TokenIssuer> {
        let mut issuers = api.token_issuers().into_iter().map(|(_, issuer)| issuer);
        match &self.issuer {
            Some(name) => issuers.find(|issuer| issuer.issuer == *name),
            None => issuers.next(),
        }
    }

    /// Returns the URL of the provider's OpenID configuration.
    pub fn discovery_url(&self, issuer: &str) -> String {
        self.discovery.clone().unwrap_or_else(|| format!("{}{DISCOVERY_PATH}", issuer.trim_end_matches('/')))
    }
}

/// Path of an OpenID configuration below the issuer (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
