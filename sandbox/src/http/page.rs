//! What the served world shows to a browser: what it is, and everything in it.

use axum::http::{HeaderMap, Method};
use serde_json::json;
use winterbaume_core::MockResponse;

use crate::world::World;

/// The page at this path, if there is one and the request is not a call of AWS.
pub(super) fn page(world: &World, method: &Method, path: &str, headers: &HeaderMap) -> Option<MockResponse> {
    if method != Method::GET || headers.contains_key("authorization") {
        return None;
    }
    match path {
        "/" => Some(text(&overview(world))),
        "/-/world" => Some(MockResponse::rest_json(200, serde_json::to_vec(&*world.state()).unwrap_or_default())),
        "/-/calls" => Some(MockResponse::rest_json(200, json!(world.calls().by_operation()).to_string())),
        _ => None,
    }
}

fn overview(world: &World) -> String {
    let url = world.base_url().unwrap_or_default();
    let calls: u64 = world.calls().by_operation().values().map(|count| count.calls).sum();
    let now = world.clock().now();
    let state = world.state();
    let organization = &state.organization;
    format!(
        "This is a simulated AWS organisation. Nothing here is real, and nothing here costs money.\n\n\
         organisation   {}\n\
         management     {}\n\
         accounts       {}\n\
         units          {}\n\
         policies       {}\n\
         calls so far   {calls}\n\
         its clock      {now}\n\n\
         AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1 \\\n  \
         aws --endpoint-url {url} organizations list-accounts\n\n\
         /-/world shows everything, /-/calls counts the calls.\n",
        organization.id,
        organization.management_account,
        organization.members.len(),
        organization.units.len(),
        organization.policies.len(),
        world.settings().management_access_key,
    )
}

fn text(text: &str) -> MockResponse {
    let mut answer = MockResponse::rest_json(200, text.to_owned());
    answer.headers.insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
