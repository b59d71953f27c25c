//! OpenID provider with which people sign in: authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use freehold_tenancy::Config;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};
use url::form_urlencoded::{self, byte_serialize};

/// Maximum duration of a request to the provider.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum age of the OpenID configuration.
const MAX_AGE: Duration = Duration::from_mins(10);

/// Time between two attempts to read the OpenID configuration.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of concurrent exchanges of codes, which strangers can ask for too.
const MAX_EXCHANGES: usize = 20;

/// OpenID provider, with the client id and the secret of the console.
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
    /// Latest result of the discovery, with its time.
    discovered: Mutex<Option<(Instant, DiscoveryResult)>>,
    exchanges: Semaphore,
}

type DiscoveryResult = Result<Arc<Discovery>, Arc<ProviderError>>;

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

/// Values of one sign-in that are kept only in the cookie of the browser.
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
    #[error("too many sign-ins end at the same time")]
    Busy,
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
            discovered: Mutex::new(None),
            exchanges: Semaphore::new(MAX_EXCHANGES),
        })
    }

    /// Returns the OpenID configuration of the provider. Strangers can start sign-ins, so the configuration is cached,
    /// and a failure is too for a short time.
    pub(super) async fn discover(&self) -> DiscoveryResult {
        let mut discovered = self.discovered.lock().await;
        if let Some((at, result)) = &*discovered {
            let max_age = if result.is_ok() { MAX_AGE } else { RETRY_INTERVAL };
            if at.elapsed() < max_age {
                return result.clone();
            }
        }
        let result = self.read_configuration().await.map(Arc::new).map_err(Arc::new);
        let result = match (result, discovered.take()) {
            // A failed refresh does not stop sign-ins.
            (Err(error), Some((_, Ok(last)))) => {
                tracing::warn!(%error, "the configuration of the OpenID provider cannot be read again: {error}");
                Ok(last)
            }
            (result, _) => result,
        };
        *discovered = Some((Instant::now(), result.clone()));
        result
    }

    async fn read_configuration(&self) -> Result<Discovery, ProviderError> {
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
        let _permit = self.exchanges.try_acquire().map_err(|_| ProviderError::Busy)?;
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
