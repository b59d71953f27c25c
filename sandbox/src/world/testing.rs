//! Test helpers that send the same requests to the simulated AWS as an SDK.

use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use freehold_tenancy::Clock;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use winterbaume_core::MockRequest;

use super::{Protocol, Service, World};
use crate::settings::Settings;

/// Creates a simulated AWS with a manual clock and without rate limits.
pub(crate) fn world() -> World {
    world_with(Settings { throttling: false, odd_refusals: 0.0, ..Settings::default() })
}

/// Creates a simulated AWS with the given settings and a manual clock.
pub(crate) fn world_with(settings: Settings) -> World {
    World::new(settings, Clock::manual(start_time()))
}

/// Returns the initial time of the manual clock.
pub(crate) fn start_time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 9, 0, 0).unwrap()
}

/// An access key, and the region in which it is used.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) key: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
}

impl Credentials {
    pub(crate) fn management(world: &World) -> Self {
        Self { key: world.settings().management_access_key.clone(), token: None, region: "us-east-1".into() }
    }

    pub(crate) fn freehold(world: &World) -> Self {
        Self { key: world.settings().freehold_access_key.clone(), token: None, region: "us-east-1".into() }
    }

    /// Returns the same credentials for another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { region: region.into(), ..self.clone() }
    }
}

/// Status and body of an HTTP response. An XML body is stored as a JSON string.
#[derive(Clone, Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl TestResponse {
    /// Returns the error code of the response, or `None` if the call succeeded.
    pub(crate) fn code(&self) -> Option<String> {
        if self.status < 300 {
            return None;
        }
        self.body["__type"].as_str().map(str::to_owned).or_else(|| self.element("Code"))
    }

    /// Returns the `Reason` of an Organizations error, or an empty string.
    pub(crate) fn reason(&self) -> &str {
        self.body["Reason"].as_str().unwrap_or_default()
    }

    /// Returns the text of the first XML element with this name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.as_str()?.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.to_owned())
    }

    /// Returns the response unchanged. Panics if the response is an error.
    pub(crate) fn ok(self) -> Self {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        self
    }
}

/// Calls an operation. For the protocol awsQuery, `input` must be an object of strings.
pub(crate) fn call(
    world: &World,
    credentials: &Credentials,
    service: Service,
    operation: &str,
    input: Value,
) -> TestResponse {
    let response = world.handle(&signed_request(credentials, service, operation, &input));
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if let Some(code) = response.headers.get("x-amzn-errortype") {
        body["__type"] = code.to_str().unwrap().into();
    }
    TestResponse { status: response.status, body }
}

pub(crate) fn signed_request(
    credentials: &Credentials,
    service: Service,
    operation: &str,
    input: &Value,
) -> MockRequest {
    let mut headers = HeaderMap::new();
    let scope = format!("{}/20261123/{}/{}/aws4_request", credentials.key, credentials.region, signing_name(service));
    let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
    if let Some(token) = &credentials.token {
        headers.insert("x-amz-security-token", HeaderValue::from_str(token).unwrap());
    }
    let mut path = String::from("/");
    let body = match service.protocol() {
        Protocol::AwsJson => {
            headers.insert("x-amz-target", HeaderValue::from_str(&format!("Target.{operation}")).unwrap());
            input.to_string()
        }
        Protocol::RestJson => {
            path = format!("/{}{}", operation[..1].to_lowercase(), &operation[1..]);
            input.to_string()
        }
        // Tests of S3 build their requests themselves.
        Protocol::RestXml => String::new(),
        Protocol::AwsQuery | Protocol::ByRequest => {
            let parameters = input.as_object().into_iter().flatten();
            let pairs = parameters.map(|(key, value)| format!("&{key}={}", percent_encode(value.as_str().unwrap())));
            format!("Action={operation}{}", pairs.collect::<String>())
        }
    };
    let uri = format!("https://aws.example.com{path}");
    MockRequest { method: "POST".into(), uri, headers, body: body.into() }
}

/// Calls AssumeRole. Returns the credentials of the session, or the error response.
pub(crate) fn assume_role(
    world: &World,
    credentials: &Credentials,
    role_arn: &str,
    extra: &[(&str, &str)],
) -> Result<Credentials, TestResponse> {
    let mut input = serde_json::json!({ "RoleArn": role_arn, "RoleSessionName": "test" });
    for (key, value) in extra {
        input[key] = (*value).into();
    }
    let response = call(world, credentials, Service::Sts, "AssumeRole", input);
    if response.status != 200 {
        return Err(response);
    }
    let key = response.element("AccessKeyId").unwrap();
    Ok(Credentials { key, token: response.element("SessionToken"), region: credentials.region.clone() })
}

/// Returns the credentials of a session of the control role.
pub(crate) fn control(world: &World) -> Credentials {
    let settings = world.settings();
    let arn = format!("arn:aws:iam::{}:role/{}", settings.management_account, settings.control_role);
    assume_role(world, &Credentials::freehold(world), &arn, &[]).unwrap()
}

/// Creates an account and advances the clock until the account is ready. Returns the account id.
pub(crate) fn account(world: &World, email: &str) -> String {
    let input = serde_json::json!({ "Email": email, "AccountName": "Example" });
    call(world, &Credentials::management(world), Service::Organizations, "CreateAccount", input).ok();
    world.clock().advance(Duration::from_hours(1));
    world.account_by_email(email).unwrap().id
}

/// Returns the ARN of the access role that AWS creates in a new account.
pub(crate) fn access_role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole")
}

fn signing_name(service: Service) -> &'static str {
    match service {
        Service::SsoAdmin => "sso",
        Service::CloudWatch => "monitoring",
        other => other.name(),
    }
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
