//! Somebody who calls the world, for the tests of stacks, functions and Identity Center.

use http::HeaderMap;
use serde_json::{Value, json};
use winterbaume_core::MockRequest;

use crate::world::Service;
use crate::world::testing::{Answer, Credentials, access_role, account, assume, call, control, world_of};
use crate::{Settings, World};

/// The e-mail of [`TestClient::member`].
pub(crate) const EMAIL: &str = "aws+one@example.com";

/// A world in which everything is done at once.
pub(crate) fn instant_world() -> World {
    world_of(Settings::instant())
}

pub(crate) fn wait(world: &World, seconds: u64) {
    world.clock().advance(std::time::Duration::from_secs(seconds));
}

/// Somebody with credentials, in a region.
#[derive(Clone)]
pub(crate) struct TestClient {
    pub(crate) world: World,
    who: Credentials,
}

impl TestClient {
    /// The administrator of the management account, in the home region.
    pub(crate) fn administrator(world: &World) -> Self {
        Self::new(world, &Credentials::management(world))
    }

    /// Freehold's worker, as its control role.
    pub(crate) fn control(world: &World) -> Self {
        Self::new(world, &control(world))
    }

    /// An administrator of a new member account, which has settled.
    pub(crate) fn member(world: &World) -> Self {
        Self::administrator(world).assume(&access_role(&account(world, EMAIL)), &[])
    }

    fn new(world: &World, who: &Credentials) -> Self {
        Self { world: world.clone(), who: who.in_region(&world.settings().home_region) }
    }

    pub(crate) fn assume(&self, role: &str, more: &[(&str, &str)]) -> Self {
        let who = assume(&self.world, &self.who, role, more);
        Self { world: self.world.clone(), who: who.unwrap_or_else(|refusal| panic!("{role}: {}", refusal.body)) }
    }

    pub(crate) fn in_region(&self, region: &str) -> Self {
        Self { who: self.who.in_region(region), ..self.clone() }
    }

    /// The account that this person acts in.
    pub(crate) fn account(&self) -> String {
        self.call(Service::Sts, "GetCallerIdentity", json!({})).element("Account").unwrap()
    }

    pub(crate) fn call(&self, service: Service, operation: &str, input: Value) -> Answer {
        call(&self.world, &self.who, service, operation, input)
    }

    /// A signed GET of a Function URL.
    pub(crate) fn get(&self, url: &str) -> (u16, Value) {
        let Credentials { key, token, region } = &self.who;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={key}/20261123/{region}/lambda/aws4_request, Signature=0");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        if let Some(token) = token {
            headers.insert("x-amz-security-token", token.parse().unwrap());
        }
        get(&self.world, url, headers)
    }
}

/// An unsigned GET.
pub(crate) fn get_unsigned(world: &World, url: &str) -> u16 {
    get(world, url, HeaderMap::new()).0
}

fn get(world: &World, url: &str, headers: HeaderMap) -> (u16, Value) {
    let request = MockRequest { method: "GET".into(), uri: url.into(), headers, body: bytes::Bytes::new() };
    let answer = world.handle(&request);
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// The text of the first XML element of this name.
pub(crate) fn xml_text(xml: &str, element: &str) -> Option<String> {
    let after = xml.split_once(&format!("<{element}>"))?.1;
    let text = after.split_once(&format!("</{element}>"))?.0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}
