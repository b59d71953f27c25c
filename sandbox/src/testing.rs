//! What the unit tests of several services share: a world on a clock moved by hand, and somebody who calls it.

use chrono::DateTime;
use freehold_tenancy::Clock;
use http::HeaderMap;
use serde_json::{Value, json};
use winterbaume_core::MockRequest;

use crate::{Settings, World};

/// The e-mail of [`Person::member`].
pub(crate) const EMAIL: &str = "aws+one@example.com";

/// An instant world without rate limits, at noon of some day.
pub(crate) fn instant() -> World {
    world(Settings::instant())
}

pub(crate) fn world(settings: Settings) -> World {
    let noon = DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default();
    World::new(settings, Clock::manual(noon))
}

pub(crate) fn wait(world: &World, seconds: u64) {
    world.clock().advance(std::time::Duration::from_secs(seconds));
}

/// Somebody with credentials, in a region.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) world: World,
    key: String,
    token: Option<String>,
    pub(crate) region: String,
}

impl Person {
    /// The administrator of the management account.
    pub(crate) fn administrator(world: &World) -> Self {
        let settings = world.settings();
        Self {
            world: world.clone(),
            key: settings.management_access_key.clone(),
            token: None,
            region: settings.home_region.clone(),
        }
    }

    /// Freehold's worker, in its own account.
    pub(crate) fn freehold(world: &World) -> Self {
        Self { key: world.settings().freehold_access_key.clone(), ..Self::administrator(world) }
    }

    /// An administrator of a new member account, which has settled.
    pub(crate) fn member(world: &World) -> Self {
        let administrator = Self::administrator(world);
        let asked = administrator
            .json("AWSOrganizationsV20161128.CreateAccount", json!({ "Email": EMAIL, "AccountName": "one" }));
        assert_eq!(asked.0, 200, "{}", asked.1);
        wait(world, 3_600);
        let listed = administrator.json("AWSOrganizationsV20161128.ListAccounts", json!({})).1;
        let account = listed["Accounts"].as_array().unwrap().iter().find(|account| account["Email"] == EMAIL).unwrap();
        let id = account["Id"].as_str().unwrap();
        administrator.assume(&format!("arn:aws:iam::{id}:role/OrganizationAccountAccessRole"), &[])
    }

    pub(crate) fn assume(&self, role: &str, more: &[(&str, &str)]) -> Self {
        let mut params = vec![("RoleArn", role), ("RoleSessionName", "test")];
        params.extend(more);
        let (status, xml) = self.query("sts", "AssumeRole", &params);
        assert_eq!(status, 200, "{xml}");
        Self {
            world: self.world.clone(),
            key: between(&xml, "AccessKeyId").unwrap(),
            token: between(&xml, "SessionToken"),
            region: self.region.clone(),
        }
    }

    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { region: region.into(), ..self.clone() }
    }

    /// The account that this person acts in.
    pub(crate) fn account(&self) -> String {
        between(&self.query("sts", "GetCallerIdentity", &[]).1, "Account").unwrap()
    }

    /// Calls a service that speaks forms and XML.
    pub(crate) fn query(&self, service: &str, action: &str, params: &[(&str, &str)]) -> (u16, String) {
        let mut body = format!("Action={action}");
        for (name, value) in params {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            body.extend(["&", *name, "=", &value]);
        }
        let uri = format!("https://{service}.{}.amazonaws.com/", self.region);
        self.send("POST", &uri, service, &[], body)
    }

    /// Calls a service that speaks JSON; `target` is the value of `X-Amz-Target`.
    pub(crate) fn json(&self, target: &str, body: Value) -> (u16, Value) {
        let service = match target.split('.').next() {
            Some("SWBExternalService") => "sso",
            Some("AWSIdentityStore") => "identitystore",
            _ => "organizations",
        };
        let uri = format!("https://{service}.{}.amazonaws.com/", self.region);
        let (status, text) = self.send("POST", &uri, service, &[("x-amz-target", target)], body.to_string());
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// A signed GET of a Function URL.
    pub(crate) fn get(&self, url: &str) -> (u16, Value) {
        let (status, text) = self.send("GET", url, "lambda", &[], String::new());
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn send(&self, method: &str, uri: &str, service: &str, more: &[(&str, &str)], body: String) -> (u16, String) {
        let credential = format!("{}/20260101/{}/{service}/aws4_request", self.key, self.region);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature=00");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        if let Some(token) = &self.token {
            headers.insert("x-amz-security-token", token.parse().unwrap());
        }
        for (name, value) in more {
            headers.insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let request = MockRequest { method: method.into(), uri: uri.into(), headers, body: body.into() };
        let answer = self.world.handle(&request);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// An unsigned GET.
pub(crate) fn get_unsigned(world: &World, url: &str) -> u16 {
    let request =
        MockRequest { method: "GET".into(), uri: url.into(), headers: HeaderMap::new(), body: bytes::Bytes::new() };
    world.handle(&request).status
}

/// The text of the first element of this name.
pub(crate) fn between(xml: &str, element: &str) -> Option<String> {
    let after = xml.split_once(&format!("<{element}>"))?.1;
    let text = after.split_once(&format!("</{element}>"))?.0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}
