//! Signed call of the Function URL of a tenant stack, with the role `freehold-verify`.
//!
//! The call uses the same HTTP client as all AWS calls. The client does not follow redirects, and a simulated AWS
//! handles this call too.

use std::convert::Infallible;
use std::time::Duration;

use aws_sdk_sts::operation::RequestId;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::timeout::TimeoutConfig;
use freehold_tenancy::{Clock, Region};

use super::Aws;
use super::call::no_response;
use super::connection::{Endpoint, is_loopback};
use super::errors::{self, AwsErrorResponse};
use super::sts::Session;
use crate::cloud::{CloudError, CloudErrorKind, Result, Role, Target};

const CALL: &str = "lambda:InvokeFunctionUrl";

/// Timeout of the call in real time. A cold start of the function takes one or two seconds.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(15);

/// HTTP response of the called function.
#[derive(Debug)]
struct Response {
    status: u16,
    request_id: Option<String>,
    body: Vec<u8>,
}

impl RequestId for Response {
    fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl Aws {
    /// Sends a signed GET request to the stack's Function URL with the role `freehold-verify`. Returns the JSON body of
    /// the response.
    pub async fn call_function_url(&self, account: &Target, region: Region, url: &str) -> Result<serde_json::Value> {
        check_url(self.connection.endpoint(), region, url)?;
        let url = format!("{}/", url.trim_end_matches('/'));
        let session = self.tenant_session(account, Role::Verify).await?;
        let response =
            self.make_call(CALL, async { check_status(self.send_signed(&session, region, &url).await?) }).await?;
        serde_json::from_slice(&response.body)
            .map_err(|invalid| error(CloudErrorKind::Failed, "NotJson", invalid.to_string(), None))
    }

    async fn send_signed(&self, session: &Session, region: Region, url: &str) -> Result<Response> {
        let request = signed_headers(session, region, url)
            .map_err(|problem| error(CloudErrorKind::Failed, "RequestNotBuilt", problem, None))?;
        let operation = Operation::builder()
            .service_name("lambda")
            .operation_name("InvokeFunctionUrl")
            .http_client(self.connection.http())
            .endpoint_url(url)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(INVOCATION_TIMEOUT).build())
            .serializer(|request: SignedHeaders| {
                // The SDK prepends the endpoint to this path.
                let mut http = HttpRequest::get("/")?;
                for (name, value) in request.0 {
                    http.headers_mut().try_insert(name, value)?;
                }
                Ok(http)
            })
            .deserializer::<_, Infallible>(|response| {
                Ok(Response {
                    status: response.status().as_u16(),
                    request_id: response.request_id().map(str::to_owned),
                    body: response.body().bytes().unwrap_or_default().to_vec(),
                })
            })
            .build();
        operation.invoke(request).await.map_err(|error| no_response(CALL, &error))
    }
}

/// Checks that `url` is a Function URL in `region`, because the request contains a session token of the tenant's
/// account and the outputs of a stack are not trusted.
fn check_url(endpoint: &Endpoint, region: Region, url: &str) -> Result<()> {
    let is_function_url = || {
        let url = url.parse::<http::Uri>().ok()?;
        let is_plain = url.scheme_str() == Some("https") && url.authority()?.as_str() == url.host()?;
        let is_plain = is_plain && url.path() == "/" && url.query().is_none();
        let id = url.host()?.strip_suffix(&format!(".lambda-url.{region}.on.aws"))?;
        (is_plain && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(())
    };
    let is_allowed = match endpoint {
        Endpoint::Aws => is_function_url().is_some(),
        Endpoint::Loopback(_) => is_loopback(url),
        // No request leaves the process, so any Function URL is safe.
        Endpoint::InProcess => is_function_url().is_some() || is_loopback(url),
    };
    if is_allowed {
        return Ok(());
    }
    let message = format!("`{url}` must be a Function URL in {region}; it was not called");
    Err(error(CloudErrorKind::Failed, "NotAFunctionUrl", message, None))
}

/// HTTP headers of a signed request.
#[derive(Debug)]
struct SignedHeaders(Vec<(&'static str, String)>);

fn signed_headers(session: &Session, region: Region, url: &str) -> std::result::Result<SignedHeaders, String> {
    let identity = Identity::from(session.credentials.clone());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("lambda")
        // AWS checks signatures against real time, from which the sandbox's clock may differ.
        .time(Clock::real().now().into())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty())
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let (headers, _) = instructions.into_parts();
    let headers = headers.iter().map(|header| (header.name(), header.value().to_owned()));
    Ok(SignedHeaders(headers.chain([("user-agent", "app/freehold".to_owned())]).collect()))
}

fn check_status(response: Response) -> Result<Response> {
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    let message: String = String::from_utf8_lossy(&response.body).chars().take(500).collect();
    let kind = match response.status {
        // The host name of a new URL may resolve before the function is available.
        404 => CloudErrorKind::NotYet,
        status => errors::kind(&AwsErrorResponse {
            service: "lambda",
            message: &message,
            status,
            ..AwsErrorResponse::default()
        }),
    };
    Err(error(kind, &format!("HTTP {}", response.status), message, response.request_id))
}

fn error(kind: CloudErrorKind, code: &str, message: String, request_id: Option<String>) -> CloudError {
    CloudError { kind, call: CALL, code: code.to_owned(), message, request_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        "eu-central-1".parse().unwrap()
    }

    #[test]
    fn only_a_function_url_of_the_region_is_called() {
        assert!(check_url(&Endpoint::Aws, region(), "https://abc123.lambda-url.eu-central-1.on.aws/").is_ok());
        for url in [
            "http://abc.lambda-url.eu-central-1.on.aws/",
            "https://abc.lambda-url.eu-west-1.on.aws/",
            "https://abc.lambda-url.eu-central-1.on.aws.example.com/",
            "https://example.com/?abc.lambda-url.eu-central-1.on.aws",
            "https://user@abc.lambda-url.eu-central-1.on.aws/",
            "https://abc.lambda-url.eu-central-1.on.aws:8443/",
            "https://.lambda-url.eu-central-1.on.aws/",
            "https://a.b.lambda-url.eu-central-1.on.aws/",
            "https://abc.lambda-url.eu-central-1.on.aws/admin",
            "https://abc.lambda-url.eu-central-1.on.aws/?drop=1",
            "http://127.0.0.1:4566/lambda-url/eu-central-1/abc/",
            "not a url",
        ] {
            assert!(check_url(&Endpoint::Aws, region(), url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_simulated_aws_is_called_on_loopback_only() {
        let simulated = Endpoint::Loopback("http://127.0.0.1:4566".to_owned());
        assert!(check_url(&simulated, region(), "http://127.0.0.1:4566/lambda-url/eu-central-1/abc/").is_ok());
        assert!(check_url(&simulated, region(), "https://abc.lambda-url.eu-central-1.on.aws/").is_err());
        assert!(check_url(&Endpoint::InProcess, region(), "https://example.com/").is_err());
    }

    #[test]
    fn a_response_is_classified_by_its_status() {
        let kind = |status| {
            check_status(Response { status, request_id: None, body: b"{}".to_vec() }).map_err(|error| error.kind)
        };
        assert!(kind(200).is_ok());
        assert_eq!(kind(403).unwrap_err(), CloudErrorKind::Denied { explicit_deny: false });
        assert_eq!(kind(404).unwrap_err(), CloudErrorKind::NotYet);
        assert_eq!(kind(429).unwrap_err(), CloudErrorKind::Throttled { until: None });
        assert_eq!(kind(502).unwrap_err(), CloudErrorKind::Unknown);
        assert_eq!(kind(302).unwrap_err(), CloudErrorKind::Failed);
    }
}
