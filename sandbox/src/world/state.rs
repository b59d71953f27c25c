//! State of the simulated AWS. The complete state can be serialised.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::busy::BackgroundWorkLog;
use super::calls::CallLog;
use super::ids::IdGenerator;
use super::{BackgroundWorkSpan, Ctx, Session};
use crate::access_portal::AccessPortal;
use crate::account::{AlternateContact, OptIn};
use crate::cloudformation::{LogGroup, Stacks};
use crate::cloudfront::CloudFront;
use crate::cloudwatch::Alarms;
use crate::faults::Faults;
use crate::iam::Role;
use crate::identitystore::IdentityStore;
use crate::lambda::Functions;
use crate::organizations::Organization;
use crate::quotas::TokenBuckets;
use crate::s3::Buckets;
use crate::settings::Settings;
use crate::ssoadmin::IdentityCenter;

/// An AWS account id: 12 digits, which may start with zeros.
pub type AccountId = String;

/// The complete state of the simulated AWS.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// State of AWS Organizations: root, organizational units, policies and CreateAccount requests.
    pub organization: Organization,
    /// All existing accounts, including closed accounts. An account that is still being created is not included.
    pub accounts: BTreeMap<AccountId, AccountState>,
    /// Sessions by access key id.
    pub access_keys: BTreeMap<String, Session>,
    pub identity_center: IdentityCenter,
    pub identity_store: IdentityStore,
    /// Sign-ins and sessions of persons in the access portal.
    #[serde(default)]
    pub access_portal: AccessPortal,
    pub ids: IdGenerator,
    /// Token buckets of the rate limits.
    pub buckets: TokenBuckets,
    pub faults: Faults,
    pub calls: CallLog,
    /// Buckets of S3.
    #[serde(default)]
    pub s3_buckets: Buckets,
    /// Log of background work.
    pub busy: BackgroundWorkLog,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountState {
    pub id: AccountId,
    /// Time from which roles can be assumed. Before this time, the new account rejects AssumeRole.
    pub settled_at: DateTime<Utc>,
    /// Time from which CloudFormation can be used.
    pub subscribed_at: DateTime<Utc>,
    /// IAM roles by name.
    pub roles: BTreeMap<String, Role>,
    /// State by region, for the regions that were used.
    pub regions: BTreeMap<String, RegionState>,
    /// Alternate contacts by type: `BILLING`, `OPERATIONS` or `SECURITY`.
    pub alternate_contacts: BTreeMap<String, AlternateContact>,
    /// Distributions and origin access controls of CloudFront, which is not part of a region.
    #[serde(default)]
    pub cloudfront: CloudFront,
}

/// The state of one region in one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RegionState {
    /// Opt-in state; only used for regions that are disabled by default.
    pub opt_in: OptIn,
    pub stacks: Stacks,
    pub functions: Functions,
    /// Alarms of CloudWatch.
    #[serde(default)]
    pub alarms: Alarms,
    /// CloudWatch log groups by name.
    pub log_groups: BTreeMap<String, LogGroup>,
}

impl AccountState {
    /// Creates an account that can be used immediately.
    pub fn new(id: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: id.to_owned(),
            settled_at: now,
            subscribed_at: now,
            roles: BTreeMap::new(),
            regions: BTreeMap::new(),
            alternate_contacts: BTreeMap::new(),
            cloudfront: CloudFront::default(),
        }
    }

    /// Returns the state of a region, creating it if needed.
    pub fn region(&mut self, region: &str) -> &mut RegionState {
        self.regions.entry(region.to_owned()).or_default()
    }
}

impl State {
    /// Creates the initial state.
    pub fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        let mut state = Self {
            organization: Organization::new(settings, now),
            accounts: BTreeMap::new(),
            access_keys: BTreeMap::new(),
            identity_center: IdentityCenter::new(settings, now),
            identity_store: IdentityStore::new(settings, now),
            access_portal: AccessPortal::default(),
            ids: IdGenerator::new(settings.seed),
            buckets: TokenBuckets::default(),
            faults: Faults::default(),
            calls: CallLog::default(),
            s3_buckets: Buckets::default(),
            busy: BackgroundWorkLog::default(),
        };
        crate::iam::create_initial_accounts(&mut state, settings, now);
        state
    }

    /// Returns the state of the caller's account, creating it if needed.
    pub fn caller_account(&mut self, ctx: &Ctx) -> &mut AccountState {
        self.accounts
            .entry(ctx.caller.account.clone())
            .or_insert_with(|| AccountState::new(&ctx.caller.account, ctx.now))
    }

    /// Returns the state of the called region in the caller's account, creating it if needed.
    pub fn caller_region(&mut self, ctx: &Ctx) -> &mut RegionState {
        self.caller_account(ctx).region(&ctx.region)
    }

    /// Completes all background work that is due at `now`.
    pub fn advance(&mut self, settings: &Settings, now: DateTime<Utc>) {
        crate::organizations::advance(self, settings, now);
        crate::cloudformation::advance(self, settings, now);
        crate::ssoadmin::advance(self, now);
        crate::ssoadmin::advance(self, now);
    }

    /// Adds a span to the log of background work. The span may end in the future.
    pub fn record_background_work(&mut self, busy: BackgroundWorkSpan) {
        self.busy.push(busy);
    }
}
