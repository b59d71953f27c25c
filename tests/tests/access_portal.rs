//! Tests of the sign-in to the access portal and of its errors, with the simulated AWS over HTTP and a manual clock.

use std::time::Duration;

use chrono::DateTime;
use freehold_sandbox::access_portal::{Decision, SignInPerson};
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::http::{RunningServer, serve};
use freehold_sandbox::ssoadmin::Assignment;
use freehold_sandbox::{Settings, World};
use freehold_tenancy::{AwsAccountId, Clock};
use freehold_worker::access_portal::{DeviceCode, NextAction, Poll, Polling, PortalError, RegisteredClient};
use freehold_worker::aws::Portal;
use secrecy::SecretString;
use tokio::net::TcpListener;

/// A served sandbox with a client of its access portal.
struct Office {
    world: World,
    portal: Portal,
    _server: RunningServer,
}

impl Office {
    async fn open() -> Self {
        let settings = Settings { throttling: false, odd_refusals: 0.0, ..Settings::default() };
        let start = DateTime::parse_from_rfc3339("2026-11-23T09:00:00Z").expect("a time");
        let world = World::new(settings, Clock::manual(start.to_utc()));
        let server = serve(&world, TcpListener::bind("127.0.0.1:0").await.expect("a port")).expect("a server");
        let region = world.settings().home_region.parse().expect("a region");
        let portal = Portal::loopback(region, &server.url()).expect("a client");
        Self { world, portal, _server: server }
    }

    /// Assigns a permission set of the management account to the group `support`, without the requests that take time.
    fn assign(&self) -> AwsAccountId {
        let account = self.world.settings().freehold_account.clone();
        let group = self.group();
        let mut state = self.world.state();
        let set = freehold_sandbox::ssoadmin::PermissionSet {
            arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".to_owned(),
            name: "support".to_owned(),
            description: None,
            session_duration: "PT1H".to_owned(),
            relay_state: None,
            managed: Vec::new(),
            inline: None,
            tags: std::collections::BTreeMap::new(),
            created_at: self.world.clock().now(),
            version: 1,
        };
        let assignment = Assignment {
            account: account.clone(),
            permission_set: set.arn.clone(),
            principal_type: "GROUP".to_owned(),
            principal_id: group,
        };
        state.identity_center.permission_sets.insert(set.arn.clone(), set);
        state.identity_center.assignments.insert(assignment);
        account.parse().expect("an account id")
    }

    fn group(&self) -> String {
        let state = self.world.state();
        let mut groups = state.identity_store.groups.values();
        groups.find(|group| group.display_name == "support").expect("a group").id.clone()
    }

    async fn start(&self) -> (RegisteredClient, DeviceCode) {
        let client = self.portal.register_client().await.expect("a client");
        let code = self.portal.start_sign_in(&client, &self.world.start_url()).await.expect("a code");
        (client, code)
    }

    fn decide(&self, code: &DeviceCode, decision: Decision) {
        self.world.decide_sign_in(&code.user_code, decision).expect("a pending sign-in");
    }

    fn approve(&self, code: &DeviceCode) {
        let person = SignInPerson::Member { user_name: "ann".to_owned(), group: self.group() };
        self.decide(code, Decision::Approve(person));
    }

    async fn sign_in(&self) -> SecretString {
        let (client, code) = self.start().await;
        self.approve(&code);
        match self.portal.poll(&client, &code).await {
            Poll::Token(token) => token.secret,
            other => panic!("no token: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_is_slowed_down_gets_its_token_later() {
    let office = Office::open().await;
    let (client, code) = office.start().await;
    assert!(matches!(office.portal.poll(&client, &code).await, Poll::Pending));
    let early = office.portal.poll(&client, &code).await;
    assert!(matches!(early, Poll::SlowDown), "{early:?}");
    let clock = office.world.clock();
    let NextAction::PollAt(time) = Polling::new(&code, clock.now()).next_action(early, clock.now()) else {
        panic!("the sign-in has ended");
    };
    assert_eq!(time - clock.now(), chrono::TimeDelta::seconds(6));
    clock.advance_to(time);
    assert!(matches!(office.portal.poll(&client, &code).await, Poll::Pending));
    office.approve(&code);
    assert!(matches!(office.portal.poll(&client, &code).await, Poll::Token(_)));
}

#[tokio::test]
async fn denied_and_expired_codes_end_the_sign_in() {
    let office = Office::open().await;
    let (client, code) = office.start().await;
    office.decide(&code, Decision::Deny);
    let denied = office.portal.poll(&client, &code).await;
    assert!(matches!(denied, Poll::Ended(PortalError::Denied)), "{denied:?}");
    let (client, code) = office.start().await;
    office.world.clock().advance(code.lifetime);
    let expired = office.portal.poll(&client, &code).await;
    assert!(matches!(expired, Poll::Ended(PortalError::CodeExpired)), "{expired:?}");
}

#[tokio::test]
async fn an_expired_registration_and_a_wrong_start_url_are_reported() {
    let office = Office::open().await;
    let (client, _) = office.start().await;
    let wrong = office.portal.start_sign_in(&client, "https://d-0000000000.awsapps.com/start").await.unwrap_err();
    assert!(wrong.to_string().contains("InvalidRequestException: Invalid start url"), "{wrong}");
    office.world.clock().advance(Duration::from_hours(91 * 24));
    let expired = office.portal.start_sign_in(&client, &office.world.start_url()).await.unwrap_err();
    assert_eq!(expired, PortalError::ClientExpired);
}

#[tokio::test]
async fn errors_of_aws_itself_do_not_end_the_sign_in() {
    let office = Office::open().await;
    let (client, code) = office.start().await;
    let failure = |status, code: &str| Fault::Error { status, code: code.to_owned(), message: "no".to_owned() };
    office.world.inject(Rule::on("ssooidc", "CreateToken", failure(500, "InternalServerException")).times(1));
    let failed = office.portal.poll(&client, &code).await;
    assert!(matches!(failed, Poll::Failed(PortalError::Aws { .. })), "{failed:?}");
    office.world.inject(Rule::on("ssooidc", "CreateToken", Fault::Throttle).times(1));
    let throttled = office.portal.poll(&client, &code).await;
    assert!(matches!(throttled, Poll::SlowDown), "{throttled:?}");
    office.approve(&code);
    assert!(matches!(office.portal.poll(&client, &code).await, Poll::Token(_)));
}

#[tokio::test]
async fn a_token_that_is_revoked_within_a_list_is_refused() {
    let office = Office::open().await;
    let account = office.assign();
    let token = office.sign_in().await;
    assert_eq!(office.portal.list_accounts(&token).await.map(|accounts| accounts.len()), Ok(1));
    // The first page is empty and has a token, and the session ends before the second page.
    office.world.inject(Rule::on("sso", "ListAccounts", Fault::EmptyPage).times(1));
    let ended = Fault::Error { status: 401, code: "UnauthorizedException".to_owned(), message: "ended".to_owned() };
    office.world.inject(Rule::on("sso", "ListAccounts", ended).skip(1).times(1));
    assert_eq!(office.portal.list_accounts(&token).await, Err(PortalError::TokenRefused));
    office.world.clear_faults();
    assert_eq!(office.world.revoke_portal_sessions(), 1);
    assert_eq!(office.portal.list_roles(&token, &account).await, Err(PortalError::TokenRefused));
}

#[tokio::test]
async fn a_role_that_is_gone_after_listing_gives_no_credentials() {
    let office = Office::open().await;
    let account = office.assign();
    let token = office.sign_in().await;
    assert_eq!(office.portal.list_roles(&token, &account).await, Ok(vec!["support".to_owned()]));
    office.world.state().identity_center.assignments.clear();
    let gone = office.portal.role_credentials(&token, &account, "support").await.unwrap_err();
    assert_eq!(gone, PortalError::NoAccess("No access".to_owned()));
    let unlisted = office.portal.list_roles(&token, &account).await.unwrap_err();
    assert_eq!(unlisted, PortalError::NoAccess("No access".to_owned()));
}
