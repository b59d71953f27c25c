//! Everything there is in the world. All of it can be saved.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::busy::BusyLog;
use super::calls::CallLog;
use super::ids::Ids;
use super::{BusySpan, Ctx, Session};
use crate::account::{AlternateContact, OptIn};
use crate::cloudformation::{LogGroup, Stacks};
use crate::faults::Faults;
use crate::iam::Role;
use crate::identitystore::IdentityStore;
use crate::lambda::Functions;
use crate::organizations::Organization;
use crate::quotas::Buckets;
use crate::settings::Settings;
use crate::ssoadmin::IdentityCenter;

/// An AWS account id: 12 digits, leading zeros count.
pub type AccountId = String;

/// The state of the world.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// Roots, units, policies, requests for accounts.
    pub organization: Organization,
    /// Every account that exists, closed ones included; one being created is not among them yet.
    pub accounts: BTreeMap<AccountId, AccountState>,
    /// What each access key stands for.
    pub access_keys: BTreeMap<String, Session>,
    /// Permission sets and assignments.
    pub identity_center: IdentityCenter,
    /// Users and groups.
    pub identity_store: IdentityStore,
    /// Names that have never been given before.
    pub ids: Ids,
    /// How much of each rate is left.
    pub buckets: Buckets,
    /// What is to go wrong.
    pub faults: Faults,
    /// What has been called.
    pub calls: CallLog,
    /// When the world was working, and for whom.
    pub busy: BusyLog,
}

/// One account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountState {
    /// Its id.
    pub id: AccountId,
    /// From when on its roles can be assumed: a fresh account refuses for a while.
    pub settled_at: DateTime<Utc>,
    /// From when on its regional services answer, CloudFormation among them.
    pub subscribed_at: DateTime<Utc>,
    /// Its IAM roles by name.
    pub roles: BTreeMap<String, Role>,
    /// What exists in each region that something was asked of.
    pub regions: BTreeMap<String, RegionState>,
    /// Whom AWS would write to: `BILLING`, `OPERATIONS`, `SECURITY`.
    pub alternate_contacts: BTreeMap<String, AlternateContact>,
}

/// One region of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RegionState {
    /// Whether an opt-in region has been enabled.
    pub opt_in: OptIn,
    /// CloudFormation stacks.
    pub stacks: Stacks,
    /// Lambda functions and their URLs.
    pub functions: Functions,
    /// CloudWatch log groups by name.
    pub log_groups: BTreeMap<String, LogGroup>,
}

impl AccountState {
    /// An account that is usable at once.
    pub fn new(id: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: id.to_owned(),
            settled_at: now,
            subscribed_at: now,
            roles: BTreeMap::new(),
            regions: BTreeMap::new(),
            alternate_contacts: BTreeMap::new(),
        }
    }

    /// Its state in a region.
    pub fn region(&mut self, region: &str) -> &mut RegionState {
        self.regions.entry(region.to_owned()).or_default()
    }
}

impl State {
    /// The state of a new world.
    pub fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        let mut state = Self {
            organization: Organization::new(settings, now),
            accounts: BTreeMap::new(),
            access_keys: BTreeMap::new(),
            identity_center: IdentityCenter::new(settings, now),
            identity_store: IdentityStore::new(settings, now),
            ids: Ids::new(settings.seed),
            buckets: Buckets::default(),
            faults: Faults::default(),
            calls: CallLog::default(),
            busy: BusyLog::default(),
        };
        crate::iam::found(&mut state, settings, now);
        state
    }

    /// The caller's account in the region that it asks: what nearly every regional call is about.
    pub fn caller_region(&mut self, ctx: &Ctx) -> &mut RegionState {
        let account = self
            .accounts
            .entry(ctx.caller.account.clone())
            .or_insert_with(|| AccountState::new(&ctx.caller.account, ctx.now));
        account.region(&ctx.region)
    }

    /// Brings everything that has become ready by now to where it is.
    pub fn advance(&mut self, settings: &Settings, now: DateTime<Utc>) {
        crate::organizations::advance(self, settings, now);
        crate::cloudformation::advance(self, settings, now);
        crate::ssoadmin::advance(self, now);
        crate::ssoadmin::advance(self, now);
    }

    /// Notes that the world works (or will have worked) on something for an account.
    pub fn record_busy(&mut self, busy: BusySpan) {
        self.busy.push(busy);
    }
}
