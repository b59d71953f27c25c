//! A test client that calls the simulated AWS, for the tests of stacks, functions and Identity Center.

use http::HeaderMap;
use serde_json::{Value, json};
use winterbaume_core::MockRequest;

use crate::world::Service;
use crate::world::testing::{Credentials, TestResponse, access_role, account, assume_role, call, control, world_with};
use crate::{Settings, World};

/// E-mail address of the account that [`TestClient::member`] creates.
pub(crate) const MEMBER_EMAIL: &str = "aws+one@example.com";

/// Creates a simulated AWS in which all background work completes immediately.
pub(crate) fn instant_world() -> World {
    world_with(Settings::instant())
}

pub(crate) fn advance_clock(world: &World, seconds: u64) {
    world.clock().advance(std::time::Duration::from_secs(seconds));
}

/// A test client with credentials for one region.
#[derive(Clone)]
pub(crate) struct TestClient {
    pub(crate) world: World,
    credentials: Credentials,
}

impl TestClient {
    /// Creates a client for the administrator of the management account, in the home region.
    pub(crate) fn administrator(world: &World) -> Self {
        Self::new(world, &Credentials::management(world))
    }

    /// Creates a client for the control role, which Freehold's worker uses.
    pub(crate) fn control(world: &World) -> Self {
        Self::new(world, &control(world))
    }

    /// Creates a member account and a client for its administrator. The account is ready for use.
    pub(crate) fn member(world: &World) -> Self {
        Self::administrator(world).assume_role(&access_role(&account(world, MEMBER_EMAIL)), &[])
    }

    fn new(world: &World, credentials: &Credentials) -> Self {
        Self { world: world.clone(), credentials: credentials.in_region(&world.settings().home_region) }
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn assume_role(&self, role: &str, extra: &[(&str, &str)]) -> Self {
        let credentials = assume_role(&self.world, &self.credentials, role, extra);
        Self {
            world: self.world.clone(),
            credentials: credentials.unwrap_or_else(|error| panic!("{role}: {}", error.body)),
        }
    }

    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { credentials: self.credentials.in_region(region), ..self.clone() }
    }

    /// Returns the account id of the credentials.
    pub(crate) fn account(&self) -> String {
        self.call(Service::Sts, "GetCallerIdentity", json!({})).element("Account").unwrap()
    }

    pub(crate) fn call(&self, service: Service, operation: &str, input: Value) -> TestResponse {
        call(&self.world, &self.credentials, service, operation, input)
    }

    /// Sends a signed GET request to a Function URL. Returns the status and the body.
    pub(crate) fn get(&self, url: &str) -> (u16, Value) {
        get(&self.world, url, self.lambda_headers())
    }

    /// Sends a signed GET request to Lambda. Returns the status and the body.
    pub(crate) fn get_lambda(&self, path: &str) -> (u16, Value) {
        self.get(&format!("https://lambda.{}.amazonaws.com{path}", self.credentials.region))
    }

    /// Invokes a function by name or ARN.
    pub(crate) fn invoke(&self, function: &str, payload: &str) -> Invocation {
        let uri = format!(
            "https://lambda.{}.amazonaws.com/2015-03-31/functions/{function}/invocations",
            self.credentials.region
        );
        let body = bytes::Bytes::copy_from_slice(payload.as_bytes());
        let request = MockRequest { method: "POST".into(), uri, headers: self.lambda_headers(), body };
        let response = self.world.handle(&request);
        let header = |name: &str| response.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        Invocation {
            status: response.status,
            error_code: header("x-amzn-errortype"),
            function_error: header("x-amz-function-error"),
            body: serde_json::from_slice(&response.body).unwrap(),
        }
    }

    fn lambda_headers(&self) -> HeaderMap {
        let Credentials { key, token, region } = &self.credentials;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={key}/20261123/{region}/lambda/aws4_request, Signature=0");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        if let Some(token) = token {
            headers.insert("x-amz-security-token", token.parse().unwrap());
        }
        headers
    }
}

/// Response of an invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) status: u16,
    pub(crate) error_code: Option<String>,
    pub(crate) function_error: Option<String>,
    pub(crate) body: Value,
}

pub(crate) fn get_unsigned_status(world: &World, url: &str) -> u16 {
    get(world, url, HeaderMap::new()).0
}

fn get(world: &World, url: &str, headers: HeaderMap) -> (u16, Value) {
    let request = MockRequest { method: "GET".into(), uri: url.into(), headers, body: bytes::Bytes::new() };
    let response = world.handle(&request);
    (response.status, serde_json::from_slice(&response.body).unwrap_or_default())
}

/// Returns the unescaped text of the first XML element with this name.
pub(crate) fn xml_text(xml: &str, element: &str) -> Option<String> {
    let rest = xml.split_once(&format!("<{element}>"))?.1;
    let text = rest.split_once(&format!("</{element}>"))?.0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}
