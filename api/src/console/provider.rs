//! OpenID provider with which people sign in: authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use freehold_tenancy::Config;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use url::form_urlencoded::{self, byte_serialize};

/// Maximum duration of a request to the provider.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Provider and the client that the console is there.
pub(super) struct Provider {
    http: reqwest::Client,
    /// Name of the provider as the claim `iss`.
    pub(super) issuer: String,
    discovery: String,
    pub(super) client_id: String,
    client_secret: Option<SecretString>,
    scope: String,
    audience: Option<String>,
    redirect_uri: String,
}

/// Part of an OpenID configuration that the console needs.
#[derive(Debug, Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    /// Whether the provider names itself in its answer (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

/// Tokens of a person.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) id_token: String,
}

/// Values of one sign-in that only the browser has which began it.
pub(super) struct SignInSecrets<'a> {
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    pub(super) verifier: &'a str,
}

/// Reason why the provider cannot sign a person in.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("{0} answers with status {1}: {2}")]
    Refused(String, u16, String),
    #[error("{0} does not answer as an OpenID provider: {1}")]
    Invalid(String, String),
    #[error("{found} is the OpenID configuration of another issuer than {expected}")]
    OtherIssuer { found: String, expected: String },
}

impl Provider {
    /// Returns the configured provider; `None` if the console is switched off.
    pub(super) fn from_config(config: &Config) -> Option<Self> {
        let console = &config.console;
        let url = console.url.as_ref()?;
        let issuer = console.token_issuer(&config.api)?.issuer;
        // A redirect would send the secret of the client elsewhere.
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        Some(Self {
            http: http.inspect_err(|error| tracing::error!(%error, "the console has no HTTP client")).ok()?,
            discovery: console.discovery_url(&issuer),
            issuer,
            client_id: console.client_id.clone(),
            client_secret: console.client_secret.clone(),
            scope: console.scope.clone(),
            audience: console.audience.clone(),
            redirect_uri: format!("{url}/console/sign-in/back"),
        })
    }

    /// Reads the OpenID configuration of the provider.
    pub(super) async fn discover(&self) -> Result<Discovery, ProviderError> {
        let discovery: Discovery = self.read(&self.discovery, self.http.get(&self.discovery)).await?;
        if discovery.issuer == self.issuer {
            return Ok(discovery);
        }
        Err(ProviderError::OtherIssuer { found: discovery.issuer, expected: self.issuer.clone() })
    }

    /// Returns the URL at which the provider signs a person in.
    pub(super) fn authorization_url(&self, discovery: &Discovery, secrets: &SignInSecrets<'_>) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secrets.verifier));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.scope)
            .append_pair("state", secrets.state)
            .append_pair("nonce", secrets.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(audience) = &self.audience {
            query.append_pair("audience", audience);
        }
        let separator = if discovery.authorization_endpoint.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", discovery.authorization_endpoint, query.finish())
    }

    /// Exchanges an authorization code for tokens.
    pub(super) async fn exchange(
        &self,
        discovery: &Discovery,
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, ProviderError> {
        let mut request = self.http.post(&discovery.token_endpoint);
        if let Some(secret) = &self.client_secret {
            // Id and secret are form-encoded before they are encoded for the header (RFC 6749, section 2.3.1).
            let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encode(&self.client_id), encode(secret.expose_secret()));
            request = request.header("authorization", format!("Basic {}", BASE64_STANDARD.encode(pair)));
        }
        let form = self.exchange_form(code, verifier);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        self.read(&discovery.token_endpoint, request).await
    }

    fn exchange_form(&self, code: &str, verifier: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_verifier", verifier);
        if self.client_secret.is_none() {
            form.append_pair("client_id", &self.client_id);
        }
        form.finish()
    }

    /// Sends a request and reads the JSON of its answer.
    async fn read<T: DeserializeOwned>(&self, url: &str, request: reqwest::RequestBuilder) -> Result<T, ProviderError> {
        let unreachable =
            |error: reqwest::Error| ProviderError::Unreachable(url.to_owned(), error.without_url().to_string());
        let response = request.header("accept", "application/json").send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            let code = serde_json::from_slice(&body)
                .map_or_else(|_| "no error code".to_owned(), |error: OAuthError| error.error);
            return Err(ProviderError::Refused(url.to_owned(), status.as_u16(), code));
        }
        serde_json::from_slice(&body).map_err(|error| ProviderError::Invalid(url.to_owned(), error.to_string()))
    }
}

/// Error of a token endpoint (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct OAuthError {
    error: String,
}
