//! Connections to the real AWS, configured like the `aws` command, or to a simulated AWS on loopback or in this
//! process.
//!
//! A real installation rejects every endpoint override. A simulated one ignores the AWS configuration of the machine
//! and does not use TLS, so it cannot reach AWS.

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

use freehold_tenancy::region::UnknownRegion;

use super::call::error_chain;

/// Timeout for opening a connection, in real time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of one AWS call, in real time. The SDK does not retry calls.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Error in the AWS configuration that prevents a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Endpoint override in a real installation. Contains the name of the environment variable.
    #[error(
        "{0} redirects AWS calls. A real installation must call AWS directly: unset it. To try Freehold without AWS, \
         use `freehold sandbox`."
    )]
    EndpointOverride(String),
    /// No region in the environment variables or in the AWS profile.
    #[error("no AWS region is configured; set AWS_REGION to the region in which Freehold runs")]
    NoRegion,
    /// Region of another partition in the environment variables or in the AWS profile.
    #[error("the AWS region (AWS_REGION): {0}")]
    OtherPartition(UnknownRegion),
    #[error("no AWS credentials are configured; set AWS_PROFILE, or run on a machine with an IAM role")]
    NoCredentials,
    /// Endpoint of a simulated AWS that is not on this machine.
    #[error("{0} must be a loopback address such as http://127.0.0.1:4566; a simulated AWS must run on this machine")]
    NotLoopback(String),
}

/// Region, credentials and HTTP client for AWS calls.
#[derive(Debug, Clone)]
pub struct Connection {
    region: Region,
    credentials: SharedCredentialsProvider,
    http: SharedHttpClient,
    endpoint: Endpoint,
    use_fips: Option<bool>,
    use_dual_stack: Option<bool>,
}

/// Destination of AWS calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Aws,
    /// Base URL of a simulated AWS on this machine, used for all services.
    Loopback(String),
    /// HTTP client that simulates AWS in this process. Requests have AWS's own host names.
    InProcess,
}

/// Access key for a simulated AWS.
#[derive(Debug, Clone, Copy)]
pub struct AccessKey<'a> {
    /// Access key id, which starts with `AKIA`.
    pub id: &'a str,
    /// Secret access key. A simulated AWS accepts any value.
    pub secret: &'a str,
}

/// Returns an error if an environment variable (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_…`) redirects AWS calls.
pub fn refuse_endpoint_override() -> Result<(), ConnectError> {
    let name = std::env::vars_os().filter(|(_, value)| !value.is_empty()).find_map(|(name, _)| {
        let name = name.into_string().ok()?;
        is_endpoint_override(&name).then_some(name)
    });
    name.map_or(Ok(()), |name| Err(ConnectError::EndpointOverride(name)))
}

fn is_endpoint_override(name: &str) -> bool {
    name == "AWS_ENDPOINT_URL" || name.starts_with("AWS_ENDPOINT_URL_")
}

/// Returns `region`, or an error if it is in another partition. A region that is unknown to Freehold is accepted,
/// because AWS may have added it since the release.
fn in_commercial_partition(region: Region) -> Result<Region, ConnectError> {
    match region.as_ref().parse::<freehold_tenancy::Region>() {
        Err(refusal @ UnknownRegion::OtherPartition { .. }) => Err(ConnectError::OtherPartition(refusal)),
        _ => Ok(region),
    }
}

impl Connection {
    /// Connects to the real AWS, with the credentials and region from environment variables, the AWS profile or the
    /// machine's IAM role.
    pub async fn from_environment() -> Result<Self, ConnectError> {
        refuse_endpoint_override()?;
        let ambient = aws_config::load_defaults(BehaviorVersion::latest()).await;
        if ambient.endpoint_url().is_some() {
            return Err(ConnectError::EndpointOverride("endpoint_url in the AWS profile".to_owned()));
        }
        // The rest of the AWS configuration is ignored, because a profile may also set endpoints of single services.
        Ok(Self {
            region: ambient.region().cloned().ok_or(ConnectError::NoRegion).and_then(in_commercial_partition)?,
            credentials: ambient.credentials_provider().ok_or(ConnectError::NoCredentials)?,
            http: tls_client(),
            endpoint: Endpoint::Aws,
            use_fips: ambient.use_fips(),
            use_dual_stack: ambient.use_dual_stack(),
        })
    }

    /// Connects to a simulated AWS that listens on loopback.
    pub fn loopback(key: AccessKey<'_>, region: &str, endpoint: &str) -> Result<Self, ConnectError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let http = plain_client(&endpoint)?;
        Ok(Self::simulated(key, region, http, Endpoint::Loopback(endpoint)))
    }

    /// Connects to a simulated AWS in this process. The HTTP client `http` handles every call.
    pub fn in_process(key: AccessKey<'_>, region: &str, http: SharedHttpClient) -> Self {
        Self::simulated(key, region, http, Endpoint::InProcess)
    }

    /// Replaces the HTTP client by a wrapper around it. Tests use this to simulate lost responses.
    #[must_use]
    pub fn through(mut self, wrap: impl FnOnce(SharedHttpClient) -> SharedHttpClient) -> Self {
        self.http = wrap(self.http);
        self
    }

    fn simulated(key: AccessKey<'_>, region: &str, http: SharedHttpClient, endpoint: Endpoint) -> Self {
        let credentials = Credentials::new(key.id, key.secret, None, None, "simulated");
        Self {
            region: Region::new(region.to_owned()),
            credentials: SharedCredentialsProvider::new(credentials),
            http,
            endpoint,
            use_fips: None,
            use_dual_stack: None,
        }
    }

    /// Returns the region in which Freehold itself runs.
    pub fn region(&self) -> &str {
        self.region.as_ref()
    }

    /// Reads the process's credentials once. Returns the reason if there are none.
    pub async fn check_credentials(&self) -> Result<(), String> {
        self.credentials().await.map(drop)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the base URL of Lambda in a region.
    pub(super) fn lambda_endpoint(&self, region: freehold_tenancy::Region) -> String {
        let (fips, dual_stack) = (self.use_fips.unwrap_or(false), self.use_dual_stack.unwrap_or(false));
        let service = if fips { "lambda-fips" } else { "lambda" };
        match &self.endpoint {
            Endpoint::Loopback(endpoint) => endpoint.clone(),
            Endpoint::Aws | Endpoint::InProcess if dual_stack => format!("https://{service}.{region}.api.aws"),
            Endpoint::Aws | Endpoint::InProcess => format!("https://{service}.{region}.amazonaws.com"),
        }
    }

    pub(super) fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// Returns the process's credentials, or the error message of the credentials provider.
    pub(super) async fn credentials(&self) -> Result<Credentials, String> {
        let credentials = self.credentials.provide_credentials().await;
        credentials.map_err(|error| error_chain(&error))
    }

    /// Returns the configuration for an SDK client. The SDK does not retry, because Freehold does.
    pub(super) fn sdk_config(&self, credentials: Credentials, region: &str) -> SdkConfig {
        let mut sdk_config = SdkConfig::builder();
        sdk_config.set_endpoint_url(match &self.endpoint {
            Endpoint::Loopback(endpoint) => Some(endpoint.clone()),
            Endpoint::Aws | Endpoint::InProcess => None,
        });
        sdk_config.set_app_name(AppName::new("freehold").ok());
        sdk_config.set_use_fips(self.use_fips);
        sdk_config.set_use_dual_stack(self.use_dual_stack);
        sdk_config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }
}

/// Returns the timeouts of an AWS call. They also apply to stalled responses, because responses are small.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT).build()
}

fn settings() -> HttpConnectorSettings {
    HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build()
}

/// Creates the HTTP client for the real AWS, with the proxy of the environment variables.
pub(super) fn tls_client() -> SharedHttpClient {
    let connector = Connector::builder()
        .connector_settings(settings())
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build();
    shared_client(connector)
}

/// Creates the HTTP client for a simulated AWS, which must listen on loopback.
pub(super) fn plain_client(endpoint: &str) -> Result<SharedHttpClient, ConnectError> {
    if !is_loopback(endpoint) {
        return Err(ConnectError::NotLoopback(endpoint.to_owned()));
    }
    Ok(shared_client(Connector::builder().connector_settings(settings()).build_http()))
}

/// Creates an HTTP client with one connector, so that all SDK clients share its connection pool.
fn shared_client(connector: Connector) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

/// Returns whether a URL uses plain HTTP and a loopback host.
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
    fn a_simulated_aws_must_be_on_this_machine() {
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
            let connection = Connection::loopback(KEY, "eu-central-1", url);
            assert!(matches!(connection, Err(ConnectError::NotLoopback(_))), "{url}");
        }
    }

    #[test]
    fn the_region_of_the_process_must_be_in_the_commercial_partition() {
        let check = |region| in_commercial_partition(Region::new(region));
        assert!(check("eu-central-1").is_ok() && check("eu-central-9").is_ok());
        let refusal = check("us-gov-west-1").unwrap_err().to_string();
        assert!(refusal.starts_with("the AWS region (AWS_REGION): `us-gov-west-1` (AWS GovCloud"), "{refusal}");
    }

    #[test]
    fn every_endpoint_variable_is_recognised() {
        assert!(is_endpoint_override("AWS_ENDPOINT_URL") && is_endpoint_override("AWS_ENDPOINT_URL_ORGANIZATIONS"));
        assert!(
            !is_endpoint_override("AWS_ENDPOINT")
                && !is_endpoint_override("MY_AWS_ENDPOINT_URL")
                && !is_endpoint_override("AWS_REGION")
        );
        assert!(
            ConnectError::EndpointOverride("AWS_ENDPOINT_URL_STS".into()).to_string().contains("AWS_ENDPOINT_URL_STS")
        );
    }
}
