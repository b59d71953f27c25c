//! Signed calls of the function in a tenant stack with the role `freehold-verify`: a request to its Function URL, or
//! an invocation.
//!
//! The calls use the same HTTP client as all AWS calls. The client does not follow redirects, and a simulated AWS
//! handles these calls too.

use freehold_tenancy::config::CheckMethod;
use freehold_tenancy::{AwsAccountId, Region};

use super::Aws;
use super::connection::{Endpoint, is_loopback};
use super::errors::{self, AwsErrorResponse};
use super::signed_call::{HttpCall, Response};
use crate::cloud::{CheckRequest, CheckResponse, CloudError, CloudErrorKind, ErrorOrigin, Result, Role, Target};

const CALL_URL: &str = "lambda:InvokeFunctionUrl";
const INVOKE: &str = "lambda:Invoke";

impl Aws {
    /// Returns whether `url` is a Function URL in `region`, to which Freehold may send a signed request.
    pub(crate) fn is_function_url(&self, region: Region, url: &str) -> bool {
        check_url(self.connection.endpoint(), region, url).is_ok()
    }

    /// Sends a signed request to the stack's Function URL with the role `freehold-verify`. Fails if `request` does not
    /// accept the status of the response.
    pub async fn call_function_url(
        &self,
        account: &Target,
        region: Region,
        url: &str,
        request: &CheckRequest,
    ) -> Result<CheckResponse> {
        check_url(self.connection.endpoint(), region, url)?;
        let signed = HttpCall {
            call: CALL_URL,
            method: request.method,
            base: url.trim_end_matches('/').to_owned(),
            path: request.path.clone(),
            body: request.payload.clone().filter(|_| request.method == CheckMethod::Post).unwrap_or_default(),
            timeout: request.timeout,
        };
        let session = self.tenant_session(account, Role::Verify).await?;
        let response = async {
            let response = self.send_signed(&session, region, &signed).await?;
            if request.accepts(response.status) { Ok(response) } else { Err(rejected_status(CALL_URL, &response)) }
        };
        let response = self.make_call(CALL_URL, response).await?;
        Ok(CheckResponse { status: response.status, body: response.body })
    }

    /// Invokes the stack's function with the role `freehold-verify`. A response in the format of a Function URL is
    /// converted to the HTTP response that it stands for. Fails if the function fails, or if `request` does not accept
    /// the status of the response.
    pub async fn invoke_function(
        &self,
        account: &Target,
        region: Region,
        function: &str,
        request: &CheckRequest,
    ) -> Result<CheckResponse> {
        let name = function_name(account.id(), region, function)?;
        let signed = HttpCall {
            call: INVOKE,
            method: CheckMethod::Post,
            base: self.connection.lambda_endpoint(region),
            path: format!("/2015-03-31/functions/{name}/invocations"),
            body: request.payload.clone().unwrap_or_else(|| request.function_url_event()),
            timeout: request.timeout,
        };
        let session = self.tenant_session(account, Role::Verify).await?;
        let response = async {
            let response = self.send_signed(&session, region, &signed).await?;
            check_invocation(response, request)
        };
        let response = self.make_call(INVOKE, response).await?;
        Ok(CheckResponse { status: response.status, body: response.body })
    }
}

/// Checks that `url` is a Function URL in `region`, because the request contains a session token of the tenant's
/// account and the outputs of a stack are not trusted.
fn check_url(endpoint: &Endpoint, region: Region, url: &str) -> Result<()> {
    let is_function_url = || is_plain_url_below(url, &format!(".lambda-url.{region}.on.aws"));
    let is_allowed = match endpoint {
        Endpoint::Aws => is_function_url(),
        Endpoint::Loopback(_) => is_loopback(url),
        // No request leaves the process, so any Function URL is safe.
        Endpoint::InProcess => is_function_url() || is_loopback(url),
    };
    if is_allowed {
        return Ok(());
    }
    let message = format!("`{url}` must be a Function URL in {region}; Freehold did not call it");
    Err(error(CALL_URL, CloudErrorKind::Failed, "NotAFunctionUrl", message, None))
}

/// Returns whether `url` is an `https` URL without port, path and query, whose host is one label below `suffix`.
pub(super) fn is_plain_url_below(url: &str, suffix: &str) -> bool {
    let label = || {
        let url = url.parse::<http::Uri>().ok()?;
        let is_plain = url.scheme_str() == Some("https") && url.authority()?.as_str() == url.host()?;
        let is_plain = is_plain && url.path() == "/" && url.query().is_none();
        url.host()?.strip_suffix(suffix).filter(|_| is_plain).map(str::to_owned)
    };
    label().is_some_and(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Returns the name of the function, which the output of a stack contains as a name or an ARN. Fails if the function
/// is not in this account and region.
fn function_name(account: &AwsAccountId, region: Region, function: &str) -> Result<String> {
    let prefix = format!("arn:aws:lambda:{region}:{account}:function:");
    let name = function.strip_prefix(&prefix).unwrap_or(function);
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_name {
        return Ok(name.to_owned());
    }
    let message = format!("`{function}` must be the name or ARN of a function of this account in {region}");
    Err(error(INVOKE, CloudErrorKind::Failed, "NotAFunction", message, None))
}

/// Converts the response of an invocation to the HTTP response of the function.
fn check_invocation(response: Response, request: &CheckRequest) -> Result<Response> {
    if !(200..300).contains(&response.status) {
        return Err(rejected_status(INVOKE, &response));
    }
    if let Some(kind) = &response.function_error {
        let message = format!("the function failed ({kind}): {}", text_of(&response.body));
        return Err(error(INVOKE, CloudErrorKind::Unknown, "FunctionError", message, response.request_id));
    }
    let Some((status, body)) = http_response_of(&response.body) else {
        return Ok(Response { status: 200, ..response });
    };
    let response = Response { status, body, ..response };
    if request.accepts(status) { Ok(response) } else { Err(rejected_status(INVOKE, &response)) }
}

/// Returns status and body if an invocation has returned a response in the format of a Function URL.
fn http_response_of(payload: &[u8]) -> Option<(u16, Vec<u8>)> {
    let payload: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let status = u16::try_from(payload.get("statusCode")?.as_u64()?).ok()?;
    let body = payload.get("body").and_then(serde_json::Value::as_str).unwrap_or_default();
    let is_base64 = payload.get("isBase64Encoded").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let body = if is_base64 { aws_smithy_types::base64::decode(body).ok()? } else { body.as_bytes().to_vec() };
    Some((status, body))
}

/// Returns the error for a response whose status the check does not accept.
pub(super) fn rejected_status(call: &'static str, response: &Response) -> CloudError {
    let message = text_of(&response.body);
    let code = response.error_code.clone().unwrap_or_default();
    let kind = match response.status {
        // The host name of a new URL may resolve before the function is available, and a new function may not be known
        // everywhere.
        404 => CloudErrorKind::NotYet,
        status => errors::kind(&AwsErrorResponse {
            service: "lambda",
            code: &code,
            message: &message,
            status,
            ..AwsErrorResponse::default()
        }),
    };
    let code = if code.is_empty() { format!("HTTP {}", response.status) } else { code };
    // The response comes from the function of the stack or from AWS; the body does not distinguish the two.
    CloudError { kind, call, origin: ErrorOrigin::Aws, code, message, request_id: response.request_id.clone() }
}

fn text_of(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

fn error(
    call: &'static str,
    kind: CloudErrorKind,
    code: &str,
    message: String,
    request_id: Option<String>,
) -> CloudError {
    CloudError { request_id, ..CloudError::from_freehold(kind, call, code, message) }
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

    fn request() -> CheckRequest {
        CheckRequest::get("/")
    }

    #[test]
    fn a_response_is_classified_by_its_status() {
        let kind = |status| rejected_status(CALL_URL, &Response { status, ..Response::default() }).kind;
        assert_eq!(kind(403), CloudErrorKind::Denied { explicit_deny: false });
        assert_eq!(kind(404), CloudErrorKind::NotYet);
        assert_eq!(kind(429), CloudErrorKind::Throttled { until: None });
        assert_eq!(kind(502), CloudErrorKind::Unknown);
        assert_eq!(kind(302), CloudErrorKind::Failed);
        assert_eq!(kind(204), CloudErrorKind::Failed);
    }

    #[test]
    fn an_invocation_returns_the_http_response_of_the_function() {
        let invoked = |body: &str| {
            let response = Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() };
            check_invocation(response, &request()).map(|response| (response.status, text_of(&response.body)))
        };
        assert_eq!(invoked(r#"{"statusCode": 201, "body": "{}"}"#).unwrap(), (201, "{}".to_owned()));
        let encoded = r#"{"statusCode": 200, "body": "e30=", "isBase64Encoded": true}"#;
        assert_eq!(invoked(encoded).unwrap(), (200, "{}".to_owned()));
        assert_eq!(invoked(r#"{"healthy": true}"#).unwrap(), (200, r#"{"healthy": true}"#.to_owned()));
        assert_eq!(invoked(r#"{"statusCode": 500, "body": "no"}"#).unwrap_err().kind, CloudErrorKind::Unknown);
        assert_eq!(invoked(r#"{"statusCode": 302}"#).unwrap_err().code, "HTTP 302");
    }

    #[test]
    fn an_error_of_the_function_or_of_lambda_is_no_response() {
        let body = br#"{"errorMessage": "boom", "errorType": "Error"}"#.to_vec();
        let failed =
            Response { status: 200, function_error: Some("Unhandled".to_owned()), body, ..Response::default() };
        let error = check_invocation(failed, &request()).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unknown, "FunctionError"));
        assert!(error.message.contains("boom"), "{}", error.message);
        for (status, code, kind) in [
            (404, "ResourceNotFoundException", CloudErrorKind::NotYet),
            (403, "AccessDeniedException", CloudErrorKind::Denied { explicit_deny: false }),
            (429, "TooManyRequestsException", CloudErrorKind::Throttled { until: None }),
            (400, "InvalidRequestContentException", CloudErrorKind::Failed),
        ] {
            let response = Response { status, error_code: Some(code.to_owned()), ..Response::default() };
            let error = check_invocation(response, &request()).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (kind, code));
        }
    }

    #[test]
    fn only_a_function_of_the_account_and_region_is_invoked() {
        let account = "111122223333".parse().unwrap();
        let name = |function: &str| function_name(&account, region(), function).ok();
        assert_eq!(name("my_function-1").as_deref(), Some("my_function-1"));
        let arn = "arn:aws:lambda:eu-central-1:111122223333:function:my-function";
        assert_eq!(name(arn).as_deref(), Some("my-function"));
        for other in [
            "",
            "../functions",
            "a/b",
            "arn:aws:lambda:eu-west-1:111122223333:function:my-function",
            "arn:aws:lambda:eu-central-1:444455556666:function:my-function",
            "arn:aws:lambda:eu-central-1:111122223333:function:my-function:alias",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
