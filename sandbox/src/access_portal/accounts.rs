//! Accounts and roles of the signed-in person, and credentials of the roles.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::json;
use winterbaume_core::MockResponse;

use crate::organizations::Lifecycle;
use crate::ssoadmin::{PermissionSet, duration_seconds, role_name};
use crate::world::ids::{ALPHANUMERIC, UPPERCASE};
use crate::world::{AwsError, Ctx, Request, Session, State, page};

const TOKEN_HEADER: &str = "x-amz-sso_bearer_token";

pub(super) fn list_accounts(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let user = user(state, ctx, request)?;
    let accounts = roles(state, &user);
    let (accounts, next_token) = next_page(ctx, request, accounts.into_keys())?;
    let accounts: Vec<_> = accounts
        .into_iter()
        .filter_map(|id| {
            let member = state.organization.members.get(&id)?;
            Some(json!({ "accountId": id, "accountName": member.name, "emailAddress": member.email }))
        })
        .collect();
    Ok(super::json(json!({ "accountList": accounts, "nextToken": next_token })))
}

pub(super) fn list_roles(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let user = user(state, ctx, request)?;
    let account = parameter(request, "account_id")?;
    let sets = roles(state, &user).remove(account).ok_or_else(no_access)?;
    let names: BTreeSet<_> = sets.iter().filter_map(|arn| Some(&permission_set(state, arn)?.name)).collect();
    let (names, next_token) = next_page(ctx, request, names)?;
    let roles: Vec<_> = names.into_iter().map(|name| json!({ "roleName": name, "accountId": account })).collect();
    Ok(super::json(json!({ "roleList": roles, "nextToken": next_token })))
}

pub(super) fn role_credentials(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let user = user(state, ctx, request)?;
    let account = parameter(request, "account_id")?.to_owned();
    let wanted = parameter(request, "role_name")?;
    let sets = roles(state, &user).remove(&account).ok_or_else(no_access)?;
    let mut sets = sets.iter().filter_map(|arn| permission_set(state, arn));
    let set = sets.find(|set| set.name == wanted).ok_or_else(no_access)?;
    let role = role_name(&set.name, &set.arn, &account);
    let seconds = duration_seconds(&set.session_duration);
    let role = state.accounts.get(&account).and_then(|account| account.roles.get(&role)).ok_or_else(no_access)?;
    let user_name = state.identity_store.users.get(&user).map(|user| user.user_name.clone()).unwrap_or_default();

    let expires = ctx.system_time + TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default());
    let mut session = Session {
        account: account.clone(),
        arn: format!("arn:aws:sts::{account}:assumed-role/{}/{user_name}", role.name),
        user_id: format!("{}:{user_name}", role.id),
        role: Some(role.name.clone()),
        policy: None,
        managed_session_policies: Vec::new(),
        token: None,
        expires: Some(expires),
        uses_system_clock: true,
    };
    let token = format!("SandboxToken{}", state.ids.next(ALPHANUMERIC, 160));
    session.token = Some(token.clone());
    let key = format!("ASIA{}", state.ids.next(UPPERCASE, 16));
    let secret = state.ids.next(ALPHANUMERIC, 40);
    state.access_keys.insert(key.clone(), session);
    Ok(super::json(json!({ "roleCredentials": {
        "accessKeyId": key,
        "secretAccessKey": secret,
        "sessionToken": token,
        "expiration": expires.timestamp_millis(),
    }})))
}

pub(super) fn log_out(state: &mut State, request: &Request) -> Result<MockResponse, AwsError> {
    let token = request.header(TOKEN_HEADER).unwrap_or_default();
    state.access_portal.sessions.remove(token).ok_or_else(unauthorized)?;
    Ok(MockResponse::rest_json(200, ""))
}

/// Returns the id of the signed-in user. The user must still exist.
fn user(state: &State, ctx: &Ctx, request: &Request) -> Result<String, AwsError> {
    let token = request.header(TOKEN_HEADER).unwrap_or_default();
    let session = state.access_portal.sessions.get(token).filter(|session| session.expires_at > ctx.system_time);
    let session = session.filter(|session| state.identity_store.users.contains_key(&session.user));
    session.map(|session| session.user.clone()).ok_or_else(unauthorized)
}

/// Returns the ARNs of the permission sets that a user has in each active account, also through groups.
fn roles(state: &State, user: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut principals = state.identity_store.groups_of(user);
    principals.insert(user.to_owned());
    let is_active = |account: &String| {
        state.organization.members.get(account).is_some_and(|member| member.lifecycle == Lifecycle::Active)
    };
    let mut roles: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for assignment in &state.identity_center.assignments {
        if principals.contains(&assignment.principal_id) && is_active(&assignment.account) {
            let sets = roles.entry(assignment.account.clone()).or_default();
            sets.insert(assignment.permission_set.clone());
        }
    }
    roles
}

fn permission_set<'a>(state: &'a State, arn: &str) -> Option<&'a PermissionSet> {
    state.identity_center.permission_sets.get(arn)
}

fn parameter<'a>(request: &'a Request, name: &str) -> Result<&'a str, AwsError> {
    let value = request.params.get(name).filter(|value| !value.is_empty());
    value.map(String::as_str).ok_or_else(|| invalid_request(format!("{name} must not be empty")))
}

fn next_page<T>(
    ctx: &Ctx,
    request: &Request,
    items: impl IntoIterator<Item = T>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let max = match request.params.get("max_result").map(|text| text.parse::<usize>()) {
        None => None,
        Some(Ok(max)) if (1..=100).contains(&max) => Some(max),
        Some(_) => return Err(invalid_request("max_result must be from 1 to 100")),
    };
    let token = request.params.get("next_token").map(String::as_str);
    page(ctx, items, token, max, || invalid_request("next_token is invalid"))
}

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

fn unauthorized() -> AwsError {
    AwsError::new("UnauthorizedException", "Session token not found or invalid").status(401)
}

/// Returns the error for an account or a role without an assignment to the person.
fn no_access() -> AwsError {
    AwsError::new("ForbiddenException", "No access").status(403)
}
