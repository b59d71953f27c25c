//! Tests of the plan with one account, which tests change.

use chrono::TimeDelta;
use freehold_tenancy::db::recovery::KnownTenant;

use super::*;
use crate::account_tags;
use crate::cloud::ListedAccount;

const CONFIG: &str = r#"
    [organization]
    management_account_id = "111122223333"
    freehold_account_id = "444455556666"
    control_role_arn = "arn:aws:iam::111122223333:role/freehold-control"
    account_email = "aws+{environment_id}@example.com"
    [[residencies]]
    name = "eu"
    regions = ["eu-central-1"]
    [[tiers]]
    name = "standard"
"#;

const ACCOUNT: &str = "777788889999";

/// State of AWS and the database.
struct Scene {
    seen: Observed,
    known: KnownState,
    tenant: TenantId,
    environment: EnvironmentId,
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(1)
}

fn seen_account(id: &str) -> SeenAccount {
    let listed = ListedAccount {
        id: id.parse().unwrap(),
        email: "aws@example.com".to_owned(),
        name: "Example".to_owned(),
        state: "ACTIVE".to_owned(),
        joined_at: Some(now()),
        parent: None,
    };
    SeenAccount { listed, is_quarantined: false, lost_tags: None }
}

impl Scene {
    /// Creates a ready environment with its account.
    fn ready() -> Self {
        let (tenant, environment) = (TenantId::new(now()), EnvironmentId::new(now()));
        let account: AwsAccountId = ACCOUNT.parse().unwrap();
        let mut known = KnownState::default();
        let company_name = "Example".parse().unwrap();
        known.tenants.insert(tenant, KnownTenant { company_name, external_id: None, is_offboarded: false });
        let ready = KnownEnvironment {
            tenant_id: tenant,
            name: "production".parse().unwrap(),
            state: EnvironmentState::Ready,
            account: Some(account.clone()),
            open: None,
            is_account_requested: false,
            is_suspended: false,
            is_cooled_off: false,
        };
        known.environments.insert(environment, ready);
        known.accounts.insert(account.clone());
        let seen = Observed { accounts: [(account, seen_account(ACCOUNT))].into(), ..Observed::default() };
        Self { seen, known, tenant, environment }
    }

    /// Creates an account whose tenant and environment are lost.
    fn lost() -> Self {
        let mut scene = Self { known: KnownState::default(), ..Self::ready() };
        let tags = scene.tags();
        scene.account().lost_tags = Some(tags);
        scene
    }

    fn tags(&self) -> Tags {
        let tags = [
            (account_tags::TENANT, self.tenant.to_string()),
            (account_tags::ENVIRONMENT, self.environment.to_string()),
            (account_tags::COMPANY_NAME, "M=C3=BCller".to_owned()),
            (account_tags::EXTERNAL_ID, "4711".to_owned()),
            (account_tags::TIER, "standard".to_owned()),
            (account_tags::ENVIRONMENT_NAME, "production".to_owned()),
            (account_tags::HOME_REGION, "eu-central-1".to_owned()),
        ];
        tags.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn account(&mut self) -> &mut SeenAccount {
        self.seen.accounts.get_mut(&ACCOUNT.parse().unwrap()).unwrap()
    }

    fn environment(&mut self) -> &mut KnownEnvironment {
        self.known.environments.get_mut(&self.environment).unwrap()
    }

    fn items(&self) -> Vec<RecoveryItem> {
        let config = Config::parse(CONFIG).unwrap();
        let (details, seen, known) = (TenantDetails::new(), &self.seen, &self.known);
        items(&PlanInput { seen, known, details: &details, config: &config, now: now() })
    }

    /// Returns the only decision, and checks that nothing is changed.
    fn decision(&self) -> String {
        let items = self.items();
        let decisions: Vec<_> = items.iter().filter(|item| item.resolution == Resolution::Decide).collect();
        let [decision] = decisions[..] else { panic!("{items:?}") };
        assert_eq!(decision.changes, []);
        decision.message.clone()
    }
}

#[test]
fn a_consistent_state_has_no_items() {
    assert_eq!(Scene::ready().items(), []);
}

#[test]
fn a_missing_account_needs_a_decision() {
    let mut scene = Scene::ready();
    scene.seen.accounts.clear();
    assert!(scene.decision().contains("is not in the organisation"));
}

#[test]
fn an_account_closed_by_others_needs_a_decision() {
    let mut scene = Scene::ready();
    scene.account().listed.state = "SUSPENDED".to_owned();
    assert!(scene.decision().contains("Freehold did not close it"));
    scene.account().is_quarantined = true;
    assert_eq!(scene.items()[0].changes, [Change::RecordClosure(scene.environment)]);
}

#[test]
fn a_pending_restore_is_not_offboarded() {
    let mut scene = Scene::ready();
    scene.account().is_quarantined = true;
    assert_eq!(scene.items()[0].changes, [Change::Offboard(scene.environment)]);
    scene.environment().open = Some(OperationKind::Restore);
    assert_eq!(scene.items(), []);
}

#[test]
fn an_offboarding_is_cancelled_only_before_its_cooling_off_ends() {
    let mut scene = Scene::ready();
    scene.environment().open = Some(OperationKind::Offboard);
    assert_eq!(scene.items(), [], "the account is not suspended yet");
    scene.environment().is_suspended = true;
    assert_eq!(scene.items()[0].changes, [Change::Restore(scene.environment)]);
    scene.environment().is_cooled_off = true;
    assert!(scene.decision().contains("cooling-off period has ended"));
}

#[test]
fn a_lost_environment_is_recreated_from_the_tags() {
    let scene = Scene::lost();
    let items = scene.items();
    let [Change::Recreate { tenant: Some(tenant), environment, kind }, Change::RestoreRequest { .. }, mapping] =
        &items[0].changes[..]
    else {
        panic!("{items:?}")
    };
    assert_eq!((tenant.company_name.as_str(), *kind), ("Müller", OperationKind::Onboard));
    assert_eq!((environment.id, environment.residency.as_str()), (scene.environment, "eu"));
    assert!(matches!(mapping, Change::MapAccount { valid_from, .. } if *valid_from == now()));
}

#[test]
fn an_invalid_or_unknown_detail_needs_a_decision() {
    for (key, value, expected) in [
        (account_tags::TIER, "gold", "the tier `gold` is not in the configuration"),
        (account_tags::HOME_REGION, "us-east-1", "no residency in the configuration has the region us-east-1"),
        (account_tags::HOME_REGION, "nowhere", "its tag freehold:home-region is invalid"),
        (account_tags::COMPANY_NAME, "=", "it has no tag freehold:company-name"),
        (account_tags::TENANT, "ten_1", "its tags name no tenant"),
    ] {
        let mut scene = Scene::lost();
        scene.account().lost_tags.as_mut().unwrap().insert(key.to_owned(), value.to_owned());
        let message = scene.decision();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_signup_repeated_before_the_recovery_needs_a_decision() {
    let mut scene = Scene::lost();
    let repeated = TenantId::new(now());
    let external_id = Some("4711".parse().unwrap());
    let company_name = "Example".parse().unwrap();
    scene.known.tenants.insert(repeated, KnownTenant { company_name, external_id, is_offboarded: false });
    assert!(scene.decision().contains(&repeated.to_string()));
    scene.known.tenants.get_mut(&repeated).unwrap().is_offboarded = true;
    assert_eq!(scene.items()[0].resolution, Resolution::Recover);
}

#[test]
fn a_second_account_with_the_same_tags_needs_a_decision() {
    let mut scene = Scene::lost();
    let second = SeenAccount { lost_tags: Some(scene.tags()), ..seen_account("999988887777") };
    scene.seen.accounts.insert(second.listed.id.clone(), second);
    assert!(scene.decision().contains("another account has the tags"));
}

#[test]
fn an_account_of_an_environment_with_another_account_needs_a_decision() {
    let mut scene = Scene::ready();
    let second = SeenAccount { lost_tags: Some(scene.tags()), ..seen_account("999988887777") };
    scene.seen.accounts.insert(second.listed.id.clone(), second);
    assert!(scene.decision().contains(ACCOUNT));
}
