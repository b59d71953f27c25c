//! Web pages of the sandbox server: an overview, the complete state, and the number of API calls.

use axum::http::{HeaderMap, Method};
use serde_json::json;
use winterbaume_core::MockResponse;

use crate::world::World;

/// Returns the web page at this path. Returns `None` for an unknown path or a signed AWS request.
pub(super) fn page(world: &World, method: &Method, path: &str, headers: &HeaderMap) -> Option<MockResponse> {
    if method != Method::GET || headers.contains_key("authorization") {
        return None;
    }
    match path {
        "/" => Some(text(&overview_text(world))),
        "/-/world" => Some(MockResponse::rest_json(200, serde_json::to_vec(&*world.state()).unwrap_or_default())),
        "/-/calls" => Some(MockResponse::rest_json(200, json!(world.calls().by_operation()).to_string())),
        _ => None,
    }
}

fn overview_text(world: &World) -> String {
    let url = world.base_url().unwrap_or_default();
    let calls: u64 = world.calls().by_operation().values().map(|count| count.calls).sum();
    let now = world.clock().now();
    let state = world.state();
    let organization = &state.organization;
    format!(
        "This is a simulated AWS organisation. Nothing here is real, and nothing costs money.\n\n\
         organisation   {}\n\
         management     {}\n\
         accounts       {}\n\
         units          {}\n\
         policies       {}\n\
         calls          {calls}\n\
         clock          {now}\n\n\
         AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1 \\\n  \
         aws --endpoint-url {url} organizations list-accounts\n\n\
         /-/world shows the whole state, /-/calls the number of calls per operation, /-/faults the active faults, \
         /-/device approves sign-ins to the access portal.\n",
        organization.id,
        organization.management_account,
        organization.members.len(),
        organization.units.len(),
        organization.policies.len(),
        world.settings().management_access_key,
    )
}

fn text(text: &str) -> MockResponse {
    let mut response = MockResponse::rest_json(200, text.to_owned());
    response.headers.insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
