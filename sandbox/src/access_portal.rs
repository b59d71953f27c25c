//! Simulated access portal of Identity Center, and the device flow with which a person signs in to it.
//!
//! | topic | file |
//! |---|---|
//! | device flow: clients, device codes, access tokens | `device_flow.rs` |
//! | decision of a person about a user code | `decision.rs` |
//! | accounts, roles and credentials of the person | `accounts.rs` |
//!
//! Clients other than Freehold's worker call these services, so all times are times of the system clock.

mod accounts;
mod decision;
mod device_flow;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

pub use decision::{Decision, DecisionError, SignInPerson};

use crate::world::{AwsError, Ctx, Request, Service, State, World};

/// Clients, sign-ins in progress and sessions of the access portal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AccessPortal {
    /// Registered clients by client id.
    clients: BTreeMap<String, Client>,
    /// Sign-ins by device code.
    sign_ins: BTreeMap<String, SignIn>,
    /// Sessions of persons by access token.
    sessions: BTreeMap<String, PortalSession>,
}

/// A program that is registered as an OAuth client.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Client {
    secret: String,
    expires_at: DateTime<Utc>,
}

/// A sign-in, from StartDeviceAuthorization until its access token has been issued.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SignIn {
    client: String,
    /// Code that the person compares or enters, in the format `ABCD-EFGH`.
    user_code: String,
    expires_at: DateTime<Utc>,
    /// Shortest time between two polls, in seconds. A poll that comes earlier makes it longer.
    interval: i64,
    polled_at: Option<DateTime<Utc>>,
    state: SignInState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum SignInState {
    Pending,
    /// Contains the id of the user in the Identity Store.
    Approved(String),
    Denied,
}

/// Session of a person in the access portal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PortalSession {
    /// Id of the user in the Identity Store.
    user: String,
    expires_at: DateTime<Utc>,
}

impl World {
    /// Returns the start URL of the access portal.
    pub fn start_url(&self) -> String {
        start_url(&self.state())
    }

    /// Ends all sessions of the access portal, as an administrator can. Returns their number.
    pub fn revoke_portal_sessions(&self) -> usize {
        std::mem::take(&mut self.state().access_portal.sessions).len()
    }
}

/// Returns the service and the operation of an unsigned request, or `None` for an unknown path.
pub(crate) fn service_and_operation(method: &str, path: &str) -> Option<(Service, &'static str)> {
    Some(match (method, path) {
        ("POST", "/client/register") => (Service::SsoOidc, "RegisterClient"),
        ("POST", "/device_authorization") => (Service::SsoOidc, "StartDeviceAuthorization"),
        ("POST", "/token") => (Service::SsoOidc, "CreateToken"),
        ("GET", "/assignment/accounts") => (Service::Sso, "ListAccounts"),
        ("GET", "/assignment/roles") => (Service::Sso, "ListAccountRoles"),
        ("GET", "/federation/credentials") => (Service::Sso, "GetRoleCredentials"),
        ("POST", "/logout") => (Service::Sso, "Logout"),
        _ => return None,
    })
}

/// Returns the region in the host name of an endpoint, such as `portal.sso.eu-central-1.amazonaws.com`, or `None` for
/// another host.
pub(crate) fn region_of_host(uri: &str) -> Option<String> {
    let host = uri.split_once("://")?.1.split(['/', '?', ':']).next()?;
    let rest = host.strip_prefix("portal.sso.").or_else(|| host.strip_prefix("oidc."))?;
    Some(rest.strip_suffix(".amazonaws.com")?.to_owned())
}

pub(crate) fn call(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    match ctx.operation.as_str() {
        "RegisterClient" => device_flow::register_client(state, ctx, request),
        "StartDeviceAuthorization" => device_flow::start(state, ctx, request),
        "CreateToken" => device_flow::create_token(state, ctx, request),
        "ListAccounts" => accounts::list_accounts(state, ctx, request),
        "ListAccountRoles" => accounts::list_roles(state, ctx, request),
        "GetRoleCredentials" => accounts::role_credentials(state, ctx, request),
        "Logout" => accounts::log_out(state, request),
        operation => Err(AwsError::unknown_operation(operation)),
    }
}

/// Returns the code of an error in OAuth, such as `slow_down` for `SlowDownException`.
pub(crate) fn oauth_code(code: &str) -> String {
    let mut words = String::new();
    for letter in code.trim_end_matches("Exception").chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn start_url(state: &State) -> String {
    format!("https://{}.awsapps.com/start", state.identity_store.id)
}

fn json(body: serde_json::Value) -> MockResponse {
    MockResponse::rest_json(200, body.to_string())
}

#[cfg(test)]
mod tests;
