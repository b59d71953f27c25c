//! A signed call of a stack's Function URL, as the tenant's own verifier.
//!
//! It goes out through the same client as every other call, so it follows no redirect, and a stand-in for AWS answers it
//! as well.

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
use super::connection::{At, is_loopback};
use super::errors::{self, AwsErrorResponse};
use super::sts::Session;
use crate::cloud::{CloudError, CloudErrorKind, Result, Role, Target};

const CALL: &str = "lambda:InvokeFunctionUrl";

/// Real time for the whole call; a cold start takes a second or two.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What came back, whatever it is.
#[derive(Debug)]
struct Answer {
    status: u16,
    request_id: Option<String>,
    body: Vec<u8>,
}

impl RequestId for Answer {
    fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

pub(super) async fn call_function_url(
    aws: &Aws,
    account: &Target,
    region: Region,
    url: &str,
) -> Result<serde_json::Value> {
    check(aws.connection.at(), region, url)?;
    let url = format!("{}/", url.trim_end_matches('/'));
    let inside = aws.inside(account, Role::Verify).await?;
    let answer = aws.measured(CALL, async { judged(send(aws, &inside, region, &url).await?) }).await?;
    serde_json::from_slice(&answer.body)
        .map_err(|error| refusal(CloudErrorKind::Failed, "NotJson", error.to_string(), None))
}

/// A session of the tenant's account goes to a Function URL in its region and nowhere else, whatever a stack's output says.
fn check(at: &At, region: Region, url: &str) -> Result<()> {
    let of_region = || {
        let url = url.parse::<http::Uri>().ok()?;
        let plain = url.scheme_str() == Some("https") && url.authority()?.as_str() == url.host()?;
        let plain = plain && url.path() == "/" && url.query().is_none();
        let id = url.host()?.strip_suffix(&format!(".lambda-url.{region}.on.aws"))?;
        (plain && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(())
    };
    let fits = match at {
        At::Aws => of_region().is_some(),
        At::Loopback(_) => is_loopback(url),
        // Nothing leaves the process, whatever the host.
        At::InProcess => of_region().is_some() || is_loopback(url),
    };
    if fits {
        return Ok(());
    }
    let message = format!("`{url}` is not a Function URL in {region}; it was not called");
    Err(refusal(CloudErrorKind::Failed, "NotAFunctionUrl", message, None))
}

async fn send(aws: &Aws, inside: &Session, region: Region, url: &str) -> Result<Answer> {
    let request = signed(inside, region, url)
        .map_err(|problem| refusal(CloudErrorKind::Failed, "RequestNotBuilt", problem, None))?;
    let operation = Operation::builder()
        .service_name("lambda")
        .operation_name("InvokeFunctionUrl")
        .http_client(aws.connection.http())
        .endpoint_url(url)
        .no_auth()
        .no_retry()
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(TIMEOUT).build())
        .serializer(|request: Signed| {
            // The endpoint that is put before the path is the rest of the URL.
            let mut http = HttpRequest::get("/")?;
            for (name, value) in request.0 {
                http.headers_mut().try_insert(name, value)?;
            }
            Ok(http)
        })
        .deserializer::<_, Infallible>(|response| {
            Ok(Answer {
                status: response.status().as_u16(),
                request_id: response.request_id().map(str::to_owned),
                body: response.body().bytes().unwrap_or_default().to_vec(),
            })
        })
        .build();
    operation.invoke(request).await.map_err(|error| no_response(CALL, &error))
}

/// The headers that sign a request.
#[derive(Debug)]
struct Signed(Vec<(&'static str, String)>);

fn signed(inside: &Session, region: Region, url: &str) -> std::result::Result<Signed, String> {
    let identity = Identity::from(inside.credentials.clone());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("lambda")
        // A signature is in real time, whatever the sandbox's clock shows.
        .time(Clock::real().now().into())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty())
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let (headers, _) = instructions.into_parts();
    let signed = headers.iter().map(|header| (header.name(), header.value().to_owned()));
    Ok(Signed(signed.chain([("user-agent", "app/freehold".to_owned())]).collect()))
}

fn judged(answer: Answer) -> Result<Answer> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let message: String = String::from_utf8_lossy(&answer.body).chars().take(500).collect();
    let kind = match answer.status {
        // The name of a fresh URL may resolve before anything stands behind it.
        404 => CloudErrorKind::NotYet,
        status => errors::kind(&AwsErrorResponse {
            service: "lambda",
            message: &message,
            status,
            ..AwsErrorResponse::default()
        }),
    };
    Err(refusal(kind, &format!("HTTP {}", answer.status), message, answer.request_id))
}

fn refusal(kind: CloudErrorKind, code: &str, message: String, request_id: Option<String>) -> CloudError {
    CloudError { kind, call: CALL, code: code.to_owned(), message, request_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        "eu-central-1".parse().unwrap()
    }

    #[test]
    fn credentials_go_to_a_function_url_of_the_region_only() {
        assert!(check(&At::Aws, region(), "https://abc123.lambda-url.eu-central-1.on.aws/").is_ok());
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
            assert!(check(&At::Aws, region(), url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_stand_in_is_called_on_loopback_only() {
        let stand_in = At::Loopback("http://127.0.0.1:4566".to_owned());
        assert!(check(&stand_in, region(), "http://127.0.0.1:4566/lambda-url/eu-central-1/abc/").is_ok());
        assert!(check(&stand_in, region(), "https://abc.lambda-url.eu-central-1.on.aws/").is_err());
        assert!(check(&At::InProcess, region(), "https://example.com/").is_err());
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let kind =
            |status| judged(Answer { status, request_id: None, body: b"{}".to_vec() }).map_err(|error| error.kind);
        assert!(kind(200).is_ok());
        assert_eq!(kind(403).unwrap_err(), CloudErrorKind::Denied { explicit: false });
        assert_eq!(kind(404).unwrap_err(), CloudErrorKind::NotYet);
        assert_eq!(kind(429).unwrap_err(), CloudErrorKind::Throttled { until: None });
        assert_eq!(kind(502).unwrap_err(), CloudErrorKind::Unknown);
        assert_eq!(kind(302).unwrap_err(), CloudErrorKind::Failed);
    }
}
