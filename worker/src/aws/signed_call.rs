//! HTTP requests outside the AWS SDK's clients: signed ones to Lambda and to Function URLs, and unsigned ones to front
//! doors.

use std::convert::Infallible;
use std::time::Duration;

use aws_sdk_sts::operation::RequestId;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use freehold_tenancy::config::CheckMethod;
use freehold_tenancy::{Clock, Region};

use super::Aws;
use super::call::no_response;
use super::sts::Session;
use crate::cloud::{CloudError, CloudErrorKind, Result};

/// HTTP response of the called function, of Lambda or of CloudFront.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    /// Code of an error of Lambda, from the header `X-Amzn-ErrorType`.
    pub(super) error_code: Option<String>,
    /// Kind of an error of the invoked function, from the header `X-Amz-Function-Error`.
    pub(super) function_error: Option<String>,
    pub(super) body: Vec<u8>,
}

impl RequestId for Response {
    fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

/// HTTP request.
#[derive(Debug)]
pub(super) struct HttpCall {
    /// Name of the AWS call for logs and metrics.
    pub(super) call: &'static str,
    pub(super) method: CheckMethod,
    /// Base URL without a slash at the end.
    pub(super) base: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) body: String,
    pub(super) timeout: Duration,
}

impl Aws {
    /// Signs a request for Lambda and sends it, without retries.
    pub(super) async fn send_signed(&self, session: &Session, region: Region, request: &HttpCall) -> Result<Response> {
        let call = request.call;
        let headers = signed_headers(session, region, request)
            .map_err(|problem| format!("the request cannot be signed: {problem}"))
            .map_err(|message| CloudError::from_freehold(CloudErrorKind::Failed, call, "RequestNotBuilt", message))?;
        self.send_http(request, headers).await
    }

    /// Sends a request without a signature, without retries.
    pub(super) async fn send_unsigned(&self, request: &HttpCall) -> Result<Response> {
        self.send_http(request, vec![user_agent()]).await
    }

    async fn send_http(&self, request: &HttpCall, headers: Headers) -> Result<Response> {
        let (call, method, path, body) = (request.call, request.method, request.path.clone(), request.body.clone());
        let (service, operation) = call.split_once(':').unwrap_or(("aws", call));
        let operation = Operation::builder()
            .service_name(service)
            .operation_name(operation.to_owned())
            .http_client(self.connection.http())
            .endpoint_url(&request.base)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(request.timeout).build())
            .serializer(move |headers: Headers| {
                // The SDK prepends the endpoint to this path.
                let mut http = HttpRequest::new(SdkBody::from(body.clone()));
                http.set_method(method.as_str())?;
                http.set_uri(path.as_str())?;
                for (name, value) in headers {
                    http.headers_mut().try_insert(name, value)?;
                }
                Ok(http)
            })
            .deserializer::<_, Infallible>(|response| {
                let header = |name: &str| response.headers().get(name).map(str::to_owned);
                Ok(Response {
                    status: response.status().as_u16(),
                    request_id: response.request_id().map(str::to_owned),
                    // The code can be followed by a colon and a URL.
                    error_code: header("x-amzn-errortype").map(|code| code.split(':').next().unwrap_or("").to_owned()),
                    function_error: header("x-amz-function-error"),
                    body: response.body().bytes().unwrap_or_default().to_vec(),
                })
            })
            .build();
        operation.invoke(headers).await.map_err(|error| no_response(call, &error))
    }
}

/// Names and values of HTTP headers.
type Headers = Vec<(&'static str, String)>;

/// Returns the header that names Freehold.
fn user_agent() -> (&'static str, String) {
    ("user-agent", "app/freehold".to_owned())
}

fn signed_headers(session: &Session, region: Region, call: &HttpCall) -> std::result::Result<Headers, String> {
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
    let url = format!("{}{}", call.base, call.path);
    let body = SignableBody::Bytes(call.body.as_bytes());
    let request =
        SignableRequest::new(call.method.as_str(), url, std::iter::empty(), body).map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let (headers, _) = instructions.into_parts();
    let headers = headers.iter().map(|header| (header.name(), header.value().to_owned()));
    let mut headers: Headers = headers.chain([user_agent()]).collect();
    if !call.body.is_empty() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    Ok(headers)
}
