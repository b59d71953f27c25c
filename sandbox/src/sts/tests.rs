//! Tests of AssumeRole: permissions and session durations.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use freehold_tenancy::clock::Scale;
use serde_json::json;

use crate::settings::Settings;
use crate::world::testing::{
    Credentials, access_role, account, assume_role, call, control, signed_request, start_time, world, world_with,
};
use crate::world::{Service, World};

fn error_code(result: Result<Credentials, crate::world::testing::TestResponse>) -> String {
    result.map_or_else(|error| error.code().unwrap(), |_| String::new())
}

fn control_role(world: &World) -> String {
    format!("arn:aws:iam::{}:role/{}", world.settings().management_account, world.settings().control_role)
}

#[test]
fn freehold_assumes_the_control_role_then_the_access_role_of_a_member() {
    let world = world();
    let id = account(&world, "a@example.com");
    let member = assume_role(&world, &control(&world), &access_role(&id), &[]).unwrap();
    let identity = call(&world, &member, Service::Sts, "GetCallerIdentity", json!({})).ok();
    assert_eq!(identity.element("Account"), Some(id.clone()));
    assert_eq!(
        identity.element("Arn"),
        Some(format!("arn:aws:sts::{id}:assumed-role/OrganizationAccountAccessRole/test"))
    );
    assert_eq!(
        error_code(assume_role(&world, &Credentials::freehold(&world), &access_role(&id), &[])),
        "AccessDenied",
        "the role trusts the management account alone"
    );
}

#[test]
fn a_new_account_initially_rejects_calls() {
    let world = world();
    let organizations =
        |operation, input| call(&world, &Credentials::management(&world), Service::Organizations, operation, input);
    organizations("CreateAccount", json!({ "Email": "a@example.com", "AccountName": "x" })).ok();
    let mut error_codes = Vec::new();
    for _ in 0..600 {
        world.clock().advance(Duration::from_secs(1));
        let Some(account) = world.account_by_email("a@example.com") else { continue };
        match assume_role(&world, &Credentials::management(&world), &access_role(&account.id), &[]) {
            Err(error) => error_codes.push(error.code().unwrap()),
            Ok(member) => match call(&world, &member, Service::CloudFormation, "ListStacks", json!({})).code() {
                Some(code) => error_codes.push(code),
                None => break,
            },
        }
    }
    error_codes.dedup();
    assert_eq!(error_codes, ["AccessDenied", "OptInRequired"]);
}

#[test]
fn some_new_accounts_initially_return_other_error_codes() {
    let world = world_with(Settings { throttling: false, odd_refusals: 1.0, ..Settings::default() });
    let mut codes = std::collections::BTreeSet::new();
    for n in 0..20 {
        let input = json!({ "Email": format!("a{n}@example.com"), "AccountName": "x" });
        call(&world, &Credentials::management(&world), Service::Organizations, "CreateAccount", input).ok();
        let created = loop {
            world.clock().advance(Duration::from_secs(1));
            if let Some(account) = world.account_by_email(&format!("a{n}@example.com")) {
                break account;
            }
        };
        codes.insert(error_code(assume_role(&world, &Credentials::management(&world), &access_role(&created.id), &[])));
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["InvalidClientTokenId", "RegionDisabledException"]);
}

#[test]
fn a_missing_role_gives_the_same_error_as_a_denied_role() {
    let world = world();
    let id = account(&world, "a@example.com");
    let by_management = |arn: &str| error_code(assume_role(&world, &Credentials::management(&world), arn, &[]));
    assert_eq!(by_management(&format!("arn:aws:iam::{id}:role/Unknown")), "AccessDenied");
    assert_eq!(by_management(&access_role("999999999999")), "AccessDenied");
    assert_eq!(by_management("arn:aws:iam::1:role/short-account"), "ValidationError");
}

#[test]
fn a_chained_session_lasts_at_most_one_hour() {
    let world = world();
    let id = account(&world, "a@example.com");
    let control = control(&world);
    let chained = |seconds| assume_role(&world, &control, &access_role(&id), &[("DurationSeconds", seconds)]);
    assert_eq!(error_code(chained("3601")), "ValidationError");
    assert_eq!(error_code(chained("899")), "ValidationError");
    let member = chained("900").unwrap();
    world.clock().advance(Duration::from_secs(901));
    let json_service = call(&world, &member, Service::Organizations, "DescribeOrganization", json!({}));
    let query_service = call(&world, &member, Service::Sts, "GetCallerIdentity", json!({}));
    assert_eq!(json_service.code().as_deref(), Some("ExpiredTokenException"));
    assert_eq!(query_service.code().as_deref(), Some("ExpiredToken"));
}

#[test]
fn assume_role_needs_the_external_id_of_the_trust_policy() {
    let settings = Settings { control_external_id: Some("secret-1".into()), ..Settings::instant() };
    let world = world_with(settings);
    let with = |more: &[(&str, &str)]| assume_role(&world, &Credentials::freehold(&world), &control_role(&world), more);
    assert_eq!(error_code(with(&[])), "AccessDenied");
    assert_eq!(error_code(with(&[("ExternalId", "secret-2")])), "AccessDenied");
    with(&[("ExternalId", "secret-1")]).unwrap();
}

#[test]
fn a_session_policy_limits_the_permissions_of_the_role() {
    let world = world();
    let only_cloudformation = r#"{"Statement": {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}}"#;
    let restricted =
        assume_role(&world, &Credentials::freehold(&world), &control_role(&world), &[("Policy", only_cloudformation)])
            .unwrap();
    call(&world, &restricted, Service::CloudFormation, "ListStacks", json!({})).ok();
    let denied = call(&world, &restricted, Service::Organizations, "ListAccounts", json!({}));
    assert_eq!(denied.code().as_deref(), Some("AccessDeniedException"));
    let message = denied.body["Message"].as_str().unwrap();
    assert!(message.contains("because no session policy allows the organizations:ListAccounts action"), "{message}");
}

#[test]
fn managed_policies_limit_the_permissions_of_a_session() {
    let world = world();
    let with = |more: &[(&str, &str)]| assume_role(&world, &Credentials::freehold(&world), &control_role(&world), more);
    let read_only = with(&[("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess")]).unwrap();
    let code = |credentials: &Credentials, operation: &str, input| {
        call(&world, credentials, Service::Organizations, operation, input).code()
    };
    let ou = || json!({ "Name": "one", "ParentId": world.state().organization.root });
    assert_eq!(code(&read_only, "ListRoots", json!({})), None);
    assert_eq!(code(&read_only, "CreateOrganizationalUnit", ou()).as_deref(), Some("AccessDeniedException"));
    // A policy that AWS has and that the sandbox does not contain grants nothing.
    let other = with(&[("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AmazonS3FullAccess")]).unwrap();
    assert_eq!(code(&other, "ListRoots", json!({})).as_deref(), Some("AccessDeniedException"));
    let unknown = with(&[("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAcess")]);
    assert_eq!(error_code(unknown), "MalformedPolicyDocument");
    let deny = r#"{"Statement": {"Effect": "Deny", "Action": "organizations:ListRoots", "Resource": "*"}}"#;
    let both =
        with(&[("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), ("Policy", deny)]).unwrap();
    assert_eq!(code(&both, "ListPolicies", json!({ "Filter": "SERVICE_CONTROL_POLICY" })), None);
    assert_eq!(code(&both, "ListRoots", json!({})).as_deref(), Some("AccessDeniedException"));
    assert_eq!(error_code(with(&[("Policy", r#"{"Statement": []}"#)])), "MalformedPolicyDocument");
}

#[test]
fn a_session_expires_by_the_clock_of_its_client() {
    let scale = Scale { anchored_at: Clock::real().now(), origin: start_time(), speed: 1_000.0 };
    let clock = Clock::scaled(scale);
    let world = World::new(Settings::instant(), clock.clone());
    let expiration = |client: Option<&str>| {
        let input = json!({ "RoleArn": control_role(&world), "RoleSessionName": "test" });
        let mut request = signed_request(&Credentials::freehold(&world), Service::Sts, "AssumeRole", &input);
        if let Some(client) = client {
            request.headers.insert("user-agent", client.parse().unwrap());
        }
        let response = String::from_utf8(world.handle(&request).body.to_vec()).unwrap();
        let (_, rest) = response.split_once("<Expiration>").unwrap();
        rest.split_once('<').unwrap().0.parse::<DateTime<Utc>>().unwrap()
    };
    let hour = TimeDelta::hours(1);
    let other = expiration(None) - Clock::real().now();
    assert!(other > hour - TimeDelta::minutes(1) && other <= hour, "{other}");
    let freehold = expiration(Some("aws-sdk-rust/1 app/freehold")) - clock.now();
    assert!(freehold > hour - TimeDelta::minutes(30) && freehold <= hour, "{freehold}");
}

#[test]
fn freeholds_account_has_an_access_role() {
    let world = world();
    let role = access_role(&world.settings().freehold_account);
    let inside = assume_role(&world, &Credentials::management(&world), &role, &[]).unwrap();
    let identity = call(&world, &inside, Service::Sts, "GetCallerIdentity", json!({})).ok();
    assert_eq!(identity.element("Account"), Some(world.settings().freehold_account.clone()));
}

#[test]
fn an_unknown_key_or_a_wrong_token_is_rejected() {
    let world = world();
    let mut unknown = Credentials::management(&world);
    unknown.key = "AKIAUNKNOWN".into();
    let code = |credentials: &Credentials, service, operation| {
        call(&world, credentials, service, operation, json!({})).code().unwrap()
    };
    assert_eq!(code(&unknown, Service::Sts, "GetCallerIdentity"), "InvalidClientTokenId");
    assert_eq!(code(&unknown, Service::Organizations, "ListAccounts"), "UnrecognizedClientException");
    let mut session = control(&world);
    session.token = Some("another".into());
    assert_eq!(code(&session, Service::Sts, "GetCallerIdentity"), "InvalidClientTokenId");
}
