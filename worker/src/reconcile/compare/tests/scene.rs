//! Consistent state of AWS and the database, which tests change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::baseline::{BASELINE_TAG, BaselineVersion};
use freehold_tenancy::db::reconcile::{DeployedStack, ExpectedState, MappedEnvironment, TemplateHashes};
use freehold_tenancy::environment_stack::{DeployedRelease, StackKind, StackParameters, StackSlot};
use freehold_tenancy::{AwsAccountId, Config, EnvironmentId, InstallationId, ReleaseId, TenantId};
use serde_json::json;

use super::super::{AccountStacks, CompareInput, Comparison, Observed, compare};
use crate::cloud::{GuardedOu, ListedAccount, PolicyAttachment, Principal, StackState, StackStatus, Tags};
use crate::guardrail;
use crate::reconcile::observe::ObservedStack;

const CONFIG: &str = r#"
    [organization]
    management_account_id = "111122223333"
    freehold_account_id = "444455556666"
    control_role_arn = "arn:aws:iam::111122223333:role/freehold-control"
    account_email = "aws+{environment_id}@example.com"
    [[residencies]]
    name = "eu"
    regions = ["eu-central-1"]
    [[permission_sets]]
    name = "support"
    [[permission_sets]]
    name = "tenant-admin"
    [[access]]
    permission_set = "support"
    group = "helpers"
    [[tiers]]
    name = "enterprise"
    tenant_group_permission_set = "tenant-admin"
"#;

pub(super) const ACCOUNT: &str = "777788889999";

/// Input of a comparison, with a consistent state that tests can change.
pub(super) struct Scene {
    pub(super) seen: Observed,
    pub(super) known: ExpectedState,
    pub(super) config: Config,
    pub(super) installation: InstallationId,
    pub(super) template_hashes: TemplateHashes,
}

pub(super) fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(1)
}

pub(super) fn account() -> AwsAccountId {
    ACCOUNT.parse().unwrap()
}

pub(super) fn group(id: &str) -> Principal {
    Principal { kind: "GROUP".to_owned(), id: id.to_owned() }
}

impl Scene {
    /// Creates a state without differences between AWS and the database.
    pub(super) fn consistent() -> Self {
        let config = Config::parse(CONFIG).unwrap();
        let installation = InstallationId::new(now());
        let (tenant_id, id) = (TenantId::new(now()), EnvironmentId::new(now()));
        let release = ReleaseId::new(now() - TimeDelta::days(2));
        let deployed = |kind: StackKind, name: &str| DeployedStack {
            kind,
            slot: StackSlot::Home,
            name: name.to_owned(),
            stack_id: format!("arn:aws:cloudformation:eu-central-1:{ACCOUNT}:stack/{name}/1"),
            region: "eu-central-1".parse().unwrap(),
            at: now() - TimeDelta::hours(2),
            release: (kind == StackKind::Tenant).then(|| DeployedRelease {
                id: release,
                parameters: StackParameters::from([("Size".to_owned(), "small".to_owned())]),
            }),
        };
        let environment = MappedEnvironment {
            tenant_id,
            company_name: "Example GmbH".parse().unwrap(),
            tier: "enterprise".parse().unwrap(),
            id,
            name: "production".parse().unwrap(),
            residency: "eu".parse().unwrap(),
            home_region: "eu-central-1".parse().unwrap(),
            aws_account_id: account(),
            mapped_at: now() - TimeDelta::hours(3),
            settled_at: Some(now() - TimeDelta::hours(2)),
            suspended_at: None,
            stacks: vec![
                deployed(StackKind::Baseline, "freehold-baseline"),
                deployed(StackKind::Tenant, "freehold-tenant"),
            ],
            grants: json!({ "tenant-admin to the tenant's own group": { "group_id": "g-own" } }),
        };
        let tags = Tags::from([
            ("freehold:installation".to_owned(), installation.to_string()),
            ("freehold:tenant".to_owned(), tenant_id.to_string()),
            ("freehold:environment".to_owned(), id.to_string()),
            // The comparison reads this tag of the baseline stack only.
            (BASELINE_TAG.to_owned(), BaselineVersion::current(&config.access_role).to_string()),
        ]);
        let stack = |deployed: &DeployedStack| {
            Some(StackState {
                id: deployed.stack_id.clone(),
                status: StackStatus::Complete,
                status_text: "CREATE_COMPLETE".to_owned(),
                reason: None,
                outputs: BTreeMap::new(),
                tags: tags.clone(),
                parameters: BTreeMap::from([
                    ("TenantId".to_owned(), tenant_id.to_string()),
                    ("Size".to_owned(), "small".to_owned()),
                ]),
                updated_at: None,
            })
        };
        let observed = |deployed: &DeployedStack| ObservedStack {
            deployed: deployed.clone(),
            state: stack(deployed),
            template_sha256: None,
        };
        let account_stacks = environment.stacks.iter().map(observed);
        let account_stacks = AccountStacks::Stacks(account_stacks.collect());
        let ou =
            |id: &str, text: String| Some(GuardedOu { ou_id: id.to_owned(), policy: PolicyAttachment::Attached(text) });
        let organization = &config.organization;
        let seen = Observed {
            accounts: BTreeMap::from([(account(), listed(ACCOUNT, "ou-eu"))]),
            tags: BTreeMap::new(),
            ous: BTreeMap::from([
                (
                    "freehold-eu".to_owned(),
                    ou("ou-eu", guardrail::residency_guardrail(&config.residencies[0], organization).unwrap()),
                ),
                ("freehold-quarantine".to_owned(), ou("ou-q", guardrail::quarantine_policy(organization).unwrap())),
            ]),
            permission_sets: ["support", "tenant-admin"]
                .map(|name| (name.to_owned(), Some(format!("arn:{name}"))))
                .into(),
            groups: BTreeMap::from([("helpers".to_owned(), Some("g-helpers".to_owned()))]),
            access: BTreeMap::from([(
                account(),
                BTreeMap::from([
                    ("support".to_owned(), vec![group("g-helpers")]),
                    ("tenant-admin".to_owned(), vec![group("g-own")]),
                ]),
            )]),
            account_stacks: BTreeMap::from([(account(), account_stacks)]),
            ..Observed::default()
        };
        let known = ExpectedState {
            environments: vec![environment],
            accounts: BTreeSet::from([account()]),
            awaiting_account: BTreeSet::new(),
        };
        let template_hashes = TemplateHashes::from([(("eu-central-1".parse().unwrap(), release), "old".to_owned())]);
        Self { seen, known, config, installation, template_hashes }
    }

    pub(super) fn compared(&self) -> Comparison {
        let Self { seen, known, config, installation, template_hashes } = self;
        let installation = *installation;
        compare(&CompareInput { seen, known, template_hashes, config, installation, started_at: now() })
    }

    /// Returns kind, subject and remedy of each finding.
    pub(super) fn found(&self) -> Vec<(&'static str, String, &'static str)> {
        let found = self.compared().found.into_iter();
        found.map(|one| (one.kind.as_str(), one.subject, one.remedy.as_str())).collect()
    }

    pub(super) fn environment(&mut self) -> &mut MappedEnvironment {
        &mut self.known.environments[0]
    }

    pub(super) fn stack(&mut self) -> &mut StackState {
        self.find_stack(StackKind::Tenant).as_mut().expect("a tenant stack")
    }

    pub(super) fn baseline(&mut self) -> &mut StackState {
        self.find_stack(StackKind::Baseline).as_mut().expect("a baseline stack")
    }

    pub(super) fn find_stack(&mut self, kind: StackKind) -> &mut Option<StackState> {
        &mut self.observed(kind).state
    }

    pub(super) fn observed(&mut self, kind: StackKind) -> &mut ObservedStack {
        match self.seen.account_stacks.get_mut(&account()) {
            Some(AccountStacks::Stacks(stacks)) => {
                stacks.iter_mut().find(|one| one.deployed.kind == kind).expect("a stack")
            }
            _ => panic!("the scene has no stacks"),
        }
    }

    /// Returns the configuration with further sections.
    pub(super) fn config_with(sections: &str) -> Config {
        Config::parse(&format!("{CONFIG}\n{sections}")).unwrap()
    }

    pub(super) fn guardrail(&mut self) -> &mut PolicyAttachment {
        &mut self.seen.ous.get_mut("freehold-eu").unwrap().as_mut().unwrap().policy
    }

    pub(super) fn move_to(&mut self, parent: &str) {
        self.seen.accounts.get_mut(&account()).unwrap().parent = Some(parent.to_owned());
    }
}

pub(super) fn listed(id: &str, parent: &str) -> ListedAccount {
    ListedAccount {
        joined_at: None,
        id: id.parse().unwrap(),
        email: "aws@example.com".to_owned(),
        name: "Example".to_owned(),
        state: "ACTIVE".to_owned(),
        parent: Some(parent.to_owned()),
    }
}
