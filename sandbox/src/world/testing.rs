//! Calling the world as an SDK would, for the tests of this crate.

use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use freehold_tenancy::Clock;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use winterbaume_core::MockRequest;

use super::{Protocol, Service, World};
use crate::settings::Settings;

/// A world on a clock moved by hand, in which no rate is limited.
pub(crate) fn world() -> World {
    world_of(Settings { throttling: false, odd_refusals: 0.0, ..Settings::default() })
}

/// A world of these settings on a clock moved by hand.
pub(crate) fn world_of(settings: Settings) -> World {
    World::new(settings, Clock::manual(start()))
}

/// When the tests' worlds begin.
pub(crate) fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 9, 0, 0).unwrap()
}

/// An access key and the region that it is used in.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) key: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
}

impl Credentials {
    /// The administrator of the management account.
    pub(crate) fn management(world: &World) -> Self {
        Self { key: world.settings().management_access_key.clone(), token: None, region: "us-east-1".into() }
    }

    /// Freehold's own account.
    pub(crate) fn freehold(world: &World) -> Self {
        Self { key: world.settings().freehold_access_key.clone(), token: None, region: "us-east-1".into() }
    }

    /// The same in another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { region: region.into(), ..self.clone() }
    }
}

/// An answer: its status, and its body as JSON or, where it is XML, as a text.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The error code, if it is an error.
    pub(crate) fn code(&self) -> Option<String> {
        if self.status < 300 {
            return None;
        }
        self.body["__type"].as_str().map(str::to_owned).or_else(|| self.element("Code"))
    }

    /// The `Reason` of an Organizations error.
    pub(crate) fn reason(&self) -> &str {
        self.body["Reason"].as_str().unwrap_or_default()
    }

    /// The text of the first XML element of this name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.as_str()?.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.to_owned())
    }

    /// The answer, which has to be a good one.
    pub(crate) fn ok(self) -> Self {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        self
    }
}

/// Makes a call; the parameters of a query are the members of an object of texts.
pub(crate) fn call(world: &World, who: &Credentials, service: Service, operation: &str, input: Value) -> Answer {
    let answer = world.handle(&signed(who, service, operation, &input));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if let Some(code) = answer.headers.get("x-amzn-errortype") {
        body["__type"] = code.to_str().unwrap().into();
    }
    Answer { status: answer.status, body }
}

/// A signed request.
pub(crate) fn signed(who: &Credentials, service: Service, operation: &str, input: &Value) -> MockRequest {
    let mut headers = HeaderMap::new();
    let scope = format!("{}/20261123/{}/{}/aws4_request", who.key, who.region, signing_name(service));
    let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
    if let Some(token) = &who.token {
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
        Protocol::AwsQuery => {
            let parameters = input.as_object().into_iter().flatten();
            let pairs = parameters.map(|(key, value)| format!("&{key}={}", encoded(value.as_str().unwrap())));
            format!("Action={operation}{}", pairs.collect::<String>())
        }
    };
    let uri = format!("https://aws.example.com{path}");
    MockRequest { method: "POST".into(), uri, headers, body: body.into() }
}

/// AssumeRole; the session, or the refusal.
pub(crate) fn assume(
    world: &World,
    who: &Credentials,
    role_arn: &str,
    more: &[(&str, &str)],
) -> Result<Credentials, Answer> {
    let mut input = serde_json::json!({ "RoleArn": role_arn, "RoleSessionName": "test" });
    for (key, value) in more {
        input[key] = (*value).into();
    }
    let answer = call(world, who, Service::Sts, "AssumeRole", input);
    if answer.status != 200 {
        return Err(answer);
    }
    let key = answer.element("AccessKeyId").unwrap();
    Ok(Credentials { key, token: answer.element("SessionToken"), region: who.region.clone() })
}

/// The session of the control role.
pub(crate) fn control(world: &World) -> Credentials {
    let settings = world.settings();
    let arn = format!("arn:aws:iam::{}:role/{}", settings.management_account, settings.control_role);
    assume(world, &Credentials::freehold(world), &arn, &[]).unwrap()
}

/// Has an account created and waits until it is in use; its id.
pub(crate) fn account(world: &World, email: &str) -> String {
    let input = serde_json::json!({ "Email": email, "AccountName": "Example" });
    call(world, &Credentials::management(world), Service::Organizations, "CreateAccount", input).ok();
    world.clock().advance(Duration::from_hours(1));
    world.account_by_email(email).unwrap().id
}

/// The access role of a new account.
pub(crate) fn access_role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole")
}

fn signing_name(service: Service) -> &'static str {
    if service == Service::SsoAdmin { "sso" } else { service.name() }
}

fn encoded(text: &str) -> String {
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
