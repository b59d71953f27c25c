//! How AWS is reached: the real one as the `aws` command finds it, or a stand-in on loopback or in this process.
//!
//! The two never mix. A real installation refuses every override of an endpoint; a stand-in reads nothing of the
//! ambient AWS configuration and speaks no TLS, so it could not reach AWS if it tried.

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::{Connector, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::retry::RetryConfig;

use super::call::error_chain;

/// Real time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Real time for one attempt at a call, and there is one attempt only.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Why AWS cannot be reached as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Something stands between a real installation and AWS.
    #[error(
        "{0} redirects calls meant for AWS; a real installation speaks to AWS itself, so unset it (to try Freehold \
         without AWS, use `freehold sandbox`)"
    )]
    EndpointOverride(String),
    /// Neither the environment nor the profile names a region.
    #[error("no AWS region is configured: set AWS_REGION to the region that Freehold runs in")]
    NoRegion,
    /// No source of credentials at all.
    #[error("no AWS credentials are configured: set AWS_PROFILE, or run where a role provides them")]
    NoCredentials,
    /// A stand-in must be on this machine.
    #[error("{0} is not a loopback address such as http://127.0.0.1:4566; a stand-in for AWS must be on this machine")]
    NotLoopback(String),
}

/// How AWS is reached.
#[derive(Debug, Clone)]
pub struct Connection {
    region: Region,
    credentials: SharedCredentialsProvider,
    http: SharedHttpClient,
    at: At,
    use_fips: Option<bool>,
    use_dual_stack: Option<bool>,
}

/// Where calls go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// To AWS.
    Aws,
    /// To one address on this machine, whatever the service.
    Loopback(String),
    /// To a client that answers by itself, under AWS's own host names.
    InProcess,
}

/// An access key of a simulated account.
#[derive(Debug, Clone, Copy)]
pub struct AccessKey<'a> {
    /// `AKIA…`
    pub id: &'a str,
    /// Its secret; a simulation takes any.
    pub secret: &'a str,
}

/// Fails if a variable of the environment (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_…`) redirects calls to AWS.
pub fn refuse_endpoint_override() -> Result<(), ConnectError> {
    let name = std::env::vars_os().filter(|(_, value)| !value.is_empty()).find_map(|(name, _)| {
        let name = name.into_string().ok()?;
        redirects(&name).then_some(name)
    });
    name.map_or(Ok(()), |name| Err(ConnectError::EndpointOverride(name)))
}

/// Whether a variable of this name redirects calls.
fn redirects(name: &str) -> bool {
    name == "AWS_ENDPOINT_URL" || name.starts_with("AWS_ENDPOINT_URL_")
}

impl Connection {
    /// The real AWS, with the credentials and region of the environment, the profile or the machine's role.
    pub async fn ambient() -> Result<Self, ConnectError> {
        refuse_endpoint_override()?;
        let ambient = aws_config::load_defaults(BehaviorVersion::latest()).await;
        if ambient.endpoint_url().is_some() {
            return Err(ConnectError::EndpointOverride("endpoint_url in the AWS profile".to_owned()));
        }
        let connector = Connector::builder()
            .connector_settings(settings())
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .build();
        // Only these few pieces are taken over: an endpoint that a profile sets for one service stays behind.
        Ok(Self {
            region: ambient.region().cloned().ok_or(ConnectError::NoRegion)?,
            credentials: ambient.credentials_provider().ok_or(ConnectError::NoCredentials)?,
            http: always(connector),
            at: At::Aws,
            use_fips: ambient.use_fips(),
            use_dual_stack: ambient.use_dual_stack(),
        })
    }

    /// A stand-in for AWS that listens on loopback.
    pub fn loopback(key: AccessKey<'_>, region: &str, endpoint: &str) -> Result<Self, ConnectError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !is_loopback(&endpoint) {
            return Err(ConnectError::NotLoopback(endpoint));
        }
        let http = always(Connector::builder().connector_settings(settings()).build_http());
        Ok(Self::stand_in(key, region, http, At::Loopback(endpoint)))
    }

    /// A stand-in for AWS in this process: `http` answers every call by itself.
    pub fn in_process(key: AccessKey<'_>, region: &str, http: SharedHttpClient) -> Self {
        Self::stand_in(key, region, http, At::InProcess)
    }

    /// The same stand-in, reached through `wrap(client)`: for tests that lose answers on the way.
    #[must_use]
    pub fn through(mut self, wrap: impl FnOnce(SharedHttpClient) -> SharedHttpClient) -> Self {
        self.http = wrap(self.http);
        self
    }

    fn stand_in(key: AccessKey<'_>, region: &str, http: SharedHttpClient, at: At) -> Self {
        let credentials = Credentials::new(key.id, key.secret, None, None, "stand-in");
        Self {
            region: Region::new(region.to_owned()),
            credentials: SharedCredentialsProvider::new(credentials),
            http,
            at,
            use_fips: None,
            use_dual_stack: None,
        }
    }

    /// The region that Freehold itself runs in.
    pub fn region(&self) -> &str {
        self.region.as_ref()
    }

    /// Where calls go.
    pub(super) fn at(&self) -> &At {
        &self.at
    }

    /// What carries the calls.
    pub(super) fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// The credentials that Freehold starts with; the error is told as it came.
    pub(super) async fn credentials(&self) -> Result<Credentials, String> {
        let found = self.credentials.provide_credentials().await;
        found.map_err(|error| error_chain(&error))
    }

    /// What an SDK client needs to act with `credentials` in `region`. The SDK retries nothing: we do, in one place.
    pub(super) fn sdk(&self, credentials: Credentials, region: &str) -> SdkConfig {
        let mut sdk = SdkConfig::builder();
        sdk.set_endpoint_url(match &self.at {
            At::Loopback(endpoint) => Some(endpoint.clone()),
            At::Aws | At::InProcess => None,
        });
        sdk.set_app_name(AppName::new("freehold").ok());
        sdk.set_use_fips(self.use_fips);
        sdk.set_use_dual_stack(self.use_dual_stack);
        sdk.behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }
}

/// The timeouts of every call; an answer is small, so a stalled one is caught by these too.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT).build()
}

fn settings() -> HttpConnectorSettings {
    HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build()
}

/// A client that keeps to one connector, and so to one pool of connections, whoever asks.
fn always(connector: Connector) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

/// Whether a URL is plain HTTP to this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    url.scheme_str() == Some("http") && (host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: AccessKey<'_> = AccessKey { id: "AKIAEXAMPLE", secret: "secret" };

    #[test]
    fn a_stand_in_is_on_this_machine_or_nowhere() {
        for url in ["http://127.0.0.1:4566", "http://localhost:1/", "http://[::1]:9"] {
            assert!(Connection::loopback(KEY, "eu-central-1", url).is_ok(), "{url}");
        }
        for url in [
            "https://127.0.0.1:4566",
            "http://aws.example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com/",
            "http://169.254.169.254",
            "",
        ] {
            let refused = Connection::loopback(KEY, "eu-central-1", url);
            assert!(matches!(refused, Err(ConnectError::NotLoopback(_))), "{url}");
        }
    }

    #[test]
    fn every_variable_that_redirects_calls_is_known() {
        assert!(redirects("AWS_ENDPOINT_URL") && redirects("AWS_ENDPOINT_URL_ORGANIZATIONS"));
        assert!(!redirects("AWS_ENDPOINT") && !redirects("MY_AWS_ENDPOINT_URL") && !redirects("AWS_REGION"));
        assert!(
            ConnectError::EndpointOverride("AWS_ENDPOINT_URL_STS".into()).to_string().contains("AWS_ENDPOINT_URL_STS")
        );
    }
}
