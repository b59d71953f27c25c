//! Tests of the access portal and of the sign-in.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use winterbaume_core::MockRequest;

use super::*;
use crate::ssoadmin::Assignment;
use crate::world::testing::{Credentials, account, call, world};

/// An error code and the body of a response.
type Answer = (u16, String, Value);

fn request(world: &World, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert("x-amz-sso_bearer_token", HeaderValue::from_str(token).unwrap());
    }
    let uri = format!("https://aws.example.com{path}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = world.handle(&MockRequest { method: method.into(), uri, headers, body: body.into() });
    let code = response.headers.get("x-amzn-errortype").map(|code| code.to_str().unwrap().to_owned());
    (response.status, code.unwrap_or_default(), serde_json::from_slice(&response.body).unwrap_or_default())
}

fn post(world: &World, path: &str, body: Value) -> Answer {
    request(world, "POST", path, None, &body)
}

fn get(world: &World, path: &str, token: &str) -> Answer {
    request(world, "GET", path, Some(token), &Value::Null)
}

/// Starts a sign-in. Returns the body of the poll for its access token, and the user code.
fn start(world: &World) -> (Value, String) {
    let (status, _, client) = post(world, "/client/register", json!({ "clientName": "test", "clientType": "public" }));
    assert_eq!(status, 200, "{client}");
    let (id, secret) = (&client["clientId"], &client["clientSecret"]);
    let input = json!({ "clientId": id, "clientSecret": secret, "startUrl": world.start_url() });
    let (status, _, started) = post(world, "/device_authorization", input);
    assert_eq!(status, 200, "{started}");
    let poll = json!({
        "clientId": id,
        "clientSecret": secret,
        "grantType": "urn:ietf:params:oauth:grant-type:device_code",
        "deviceCode": started["deviceCode"],
    });
    (poll, started["userCode"].as_str().unwrap().to_owned())
}

/// Signs in as a member of the group `support`. Returns the access token.
fn sign_in(world: &World) -> String {
    let (poll, code) = start(world);
    assert_eq!(approve(world, &code), Ok(Some("ann".to_owned())));
    let (status, _, token) = post(world, "/token", poll);
    assert_eq!(status, 200, "{token}");
    token["accessToken"].as_str().unwrap().to_owned()
}

fn approve(world: &World, code: &str) -> Result<Option<String>, DecisionError> {
    let person = SignInPerson::Member { user_name: "ann".to_owned(), group: support(world) };
    world.decide_sign_in(code, Decision::Approve(person))
}

fn support(world: &World) -> String {
    let state = world.state();
    let mut groups = state.identity_store.groups.values();
    groups.find(|group| group.display_name == "support").unwrap().id.clone()
}

/// Creates a permission set of one hour, and assigns it to the group `support` in an account.
fn assign(world: &World, name: &str, account: &str) {
    let admin = Credentials::management(world).in_region(&world.settings().home_region);
    let instance = world.state().identity_center.instance_arn.clone();
    let create = json!({ "InstanceArn": instance, "Name": name });
    let created = call(world, &admin, Service::SsoAdmin, "CreatePermissionSet", create).ok();
    let set = created.body["PermissionSet"]["PermissionSetArn"].as_str().unwrap().to_owned();
    let create = json!({
        "InstanceArn": instance,
        "TargetId": account,
        "TargetType": "AWS_ACCOUNT",
        "PermissionSetArn": set,
        "PrincipalType": "GROUP",
        "PrincipalId": support(world),
    });
    call(world, &admin, Service::SsoAdmin, "CreateAccountAssignment", create).ok();
    world.clock().advance(Duration::from_hours(1));
    world.state().advance(world.settings(), world.clock().now());
}

#[test]
fn a_sign_in_is_pending_until_a_person_approves_it() {
    let world = world();
    let (poll, code) = start(&world);
    let (status, error, body) = post(&world, "/token", poll.clone());
    assert_eq!((status, error.as_str()), (400, "AuthorizationPendingException"));
    assert_eq!(body["error"], "authorization_pending");
    assert!(matches!(approve(&world, "AAAA-AAAA"), Err(DecisionError::UnknownCode(_))));
    assert_eq!(approve(&world, &code), Ok(Some("ann".to_owned())));
    assert!(matches!(approve(&world, &code), Err(DecisionError::UnknownCode(_))), "a code was approved twice");
    let (status, _, token) = post(&world, "/token", poll.clone());
    assert_eq!((status, &token["expiresIn"]), (200, &json!(28_800)));
    assert_eq!(post(&world, "/token", poll).1, "InvalidGrantException", "a device code was used twice");
}

#[test]
fn a_client_that_polls_too_often_is_slowed_down() {
    let world = world();
    let (poll, _) = start(&world);
    let poll = || post(&world, "/token", poll.clone()).1;
    assert_eq!(poll(), "AuthorizationPendingException");
    assert_eq!(poll(), "SlowDownException");
    world.clock().advance(Duration::from_secs(2));
    assert_eq!(poll(), "SlowDownException", "the interval is 6 seconds now");
    world.clock().advance(Duration::from_secs(11));
    assert_eq!(poll(), "AuthorizationPendingException");
}

#[test]
fn denied_and_expired_sign_ins_end() {
    let world = world();
    let (poll, code) = start(&world);
    assert_eq!(world.decide_sign_in(&code, Decision::Deny), Ok(None));
    let (_, error, body) = post(&world, "/token", poll);
    assert_eq!((error.as_str(), &body["error"]), ("AccessDeniedException", &json!("access_denied")));

    let (poll, code) = start(&world);
    world.clock().advance(Duration::from_mins(10));
    assert!(matches!(approve(&world, &code), Err(DecisionError::UnknownCode(_))));
    let (_, error, body) = post(&world, "/token", poll.clone());
    assert_eq!((error.as_str(), &body["error"]), ("ExpiredTokenException", &json!("expired_token")));
    world.clock().advance(Duration::from_hours(90 * 24));
    let (status, error, body) = post(&world, "/token", poll);
    assert_eq!((status, error.as_str(), &body["error"]), (401, "InvalidClientException", &json!("invalid_client")));
}

#[test]
fn requests_of_the_sign_in_are_validated() {
    let world = world();
    let register = |body: Value| post(&world, "/client/register", body).1;
    assert_eq!(register(json!({ "clientType": "public" })), "InvalidClientMetadataException");
    assert_eq!(register(json!({ "clientName": "a", "clientType": "private" })), "InvalidClientMetadataException");
    assert_eq!(register(json!([])), "InvalidRequestException");
    let (poll, _) = start(&world);
    let mut other = json!({ "startUrl": "https://d-1.awsapps.com/start" });
    other["clientId"] = poll["clientId"].clone();
    assert_eq!(post(&world, "/device_authorization", other.clone()).1, "InvalidClientException");
    other["clientSecret"] = poll["clientSecret"].clone();
    assert_eq!(post(&world, "/device_authorization", other).1, "InvalidRequestException");
    let mut refresh = poll;
    refresh["grantType"] = "refresh_token".into();
    assert_eq!(post(&world, "/token", refresh).1, "UnsupportedGrantTypeException");
}

#[test]
fn a_person_sees_the_accounts_and_roles_of_their_groups_only() {
    let world = world();
    let (own, other) = (account(&world, "a@example.com"), account(&world, "b@example.com"));
    assign(&world, "support", &own);
    assign(&world, "audit", &own);
    let token = sign_in(&world);
    let (status, _, accounts) = get(&world, "/assignment/accounts?max_result=100", &token);
    assert_eq!(status, 200, "{accounts}");
    let expected = json!([{ "accountId": own, "accountName": "Example", "emailAddress": "a@example.com" }]);
    assert_eq!(accounts["accountList"], expected);
    let (_, _, first) = get(&world, &format!("/assignment/roles?account_id={own}&max_result=1"), &token);
    assert_eq!(first["roleList"], json!([{ "roleName": "audit", "accountId": own }]));
    let next = first["nextToken"].as_str().unwrap();
    let path = format!("/assignment/roles?account_id={own}&max_result=1&next_token={next}");
    assert_eq!(get(&world, &path, &token).2["roleList"][0]["roleName"], "support");
    assert_eq!(get(&world, &format!("/assignment/roles?account_id={other}"), &token).1, "ForbiddenException");
    for path in ["/assignment/roles", "/assignment/accounts?max_result=101", "/assignment/accounts?next_token=x"] {
        assert_eq!(get(&world, path, &token).1, "InvalidRequestException", "{path}");
    }
}

#[test]
fn role_credentials_work_until_the_session_duration_ends() {
    let world = world();
    let account = account(&world, "a@example.com");
    assign(&world, "support", &account);
    let token = sign_in(&world);
    let path = format!("/federation/credentials?account_id={account}&role_name=support");
    let (status, _, body) = get(&world, &path, &token);
    assert_eq!(status, 200, "{body}");
    let given = &body["roleCredentials"];
    let expected = world.clock().now() + chrono::TimeDelta::hours(1);
    assert_eq!(given["expiration"], expected.timestamp_millis());
    let text = |name: &str| given[name].as_str().unwrap().to_owned();
    let region = "us-east-1".to_owned();
    let credentials = Credentials { key: text("accessKeyId"), token: Some(text("sessionToken")), region };
    let identity = || call(&world, &credentials, Service::Sts, "GetCallerIdentity", json!({}));
    let arn = identity().element("Arn").unwrap();
    assert!(
        arn.contains(&format!(":{account}:assumed-role/AWSReservedSSO_support_")) && arn.ends_with("/ann"),
        "{arn}"
    );

    // The end of an assignment ends neither the session of the portal nor that of the role.
    let principal_id = support(&world);
    world.state().identity_center.assignments.retain(|one: &Assignment| one.principal_id != principal_id);
    let (status, error, _) = get(&world, &path, &token);
    assert_eq!((status, error.as_str()), (403, "ForbiddenException"));
    assert_eq!(identity().status, 200);
    world.clock().advance(Duration::from_hours(1));
    assert_eq!(identity().code().as_deref(), Some("ExpiredToken"));
}

#[test]
fn a_portal_session_ends_by_logout_revocation_and_time() {
    let world = world();
    let accounts = |token: &str| {
        let (status, error, _) = get(&world, "/assignment/accounts", token);
        (status, error)
    };
    let refused = || (401, "UnauthorizedException".to_owned());
    assert_eq!(accounts("unknown"), refused());
    let token = sign_in(&world);
    assert_eq!(accounts(&token).0, 200);
    assert_eq!(request(&world, "POST", "/logout", Some(&token), &Value::Null).0, 200);
    assert_eq!(accounts(&token), refused());
    let token = sign_in(&world);
    assert_eq!(world.revoke_portal_sessions(), 1);
    assert_eq!(accounts(&token), refused());
    let token = sign_in(&world);
    world.clock().advance(Duration::from_hours(8));
    assert_eq!(accounts(&token), refused());
}

#[test]
fn the_endpoints_of_aws_name_their_region() {
    let region = |uri: &str| region_of_host(uri);
    assert_eq!(region("https://oidc.eu-west-1.amazonaws.com/token").as_deref(), Some("eu-west-1"));
    assert_eq!(region("https://portal.sso.us-east-1.amazonaws.com/logout").as_deref(), Some("us-east-1"));
    assert_eq!(region("http://127.0.0.1:4566/token"), None);
    assert_eq!(oauth_code("UnsupportedGrantTypeException"), "unsupported_grant_type");
}
