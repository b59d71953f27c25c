//! What is: AWS as it can be read with the fewest calls.
//!
//! | what | calls | at most, a second |
//! |---|---|---|
//! | accounts, their states and their OUs | one `ListAccounts` for 20 | 4 |
//! | tags of accounts that no mapping knows | one `ListTagsForResource` each | 5 |
//! | OUs and guardrails | three for each residency | |
//! | which accounts have a permission set | one for 100, for each set | 10, shared |
//! | who holds it there | one `ListAccountAssignments` for each account and set that it has | 10, shared |
//! | stacks | one `AssumeRole` and two `DescribeStacks` for each account, 16 accounts at a time | |
//!
//! The rates are half of AWS's ([`super::throttle`]). An account's OU comes with the list of accounts; only where AWS leaves it
//! out, the OUs' own lists are read. Access and stacks are read side by side, after the accounts. For 5,000 accounts with one
//! permission set each that makes 250 / 4 s + (50 + 5,000) / 10 s: **about nine and a half minutes**; with two sets each,
//! eighteen. The stacks, at 16 accounts at a time and half a second for the three calls, are read in under three minutes
//! meanwhile. A test holds a smaller organisation to the same sum.

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::db::reconcile::{Deployed, ExpectedState, MappedEnvironment};
use freehold_tenancy::{AwsAccountId, Config};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};

use super::throttle::{ObserveError, ReadThrottle};
use crate::cloud::{
    Cloud, CloudError, CloudErrorKind, GuardedOu, ListedAccount, Page, PolicyAttachment, Principal,
    Result as CloudResult, Role, StackState, Tags, Target,
};
use crate::guardrail;

/// Accounts whose stacks are read at one time.
const INSIDE_AT_ONCE: usize = 16;

/// Accounts whose assignments are asked for at one time; the rate is what holds them back.
const ACCESS_AT_ONCE: usize = 8;

/// AWS as it was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    /// Every account of the organisation.
    pub(super) accounts: BTreeMap<AwsAccountId, ListedAccount>,
    /// The tags of the active accounts that no mapping knows.
    pub(super) tags: BTreeMap<AwsAccountId, Tags>,
    /// Freehold's OUs by name.
    pub(super) ous: BTreeMap<String, Option<GuardedOu>>,
    /// The ARNs of the declared permission sets by name.
    pub(super) permission_sets: BTreeMap<String, Option<String>>,
    /// The ids of the groups with access everywhere by name.
    pub(super) groups: BTreeMap<String, Option<String>>,
    /// Who holds which declared permission set in each account that was looked at.
    pub(super) access: BTreeMap<AwsAccountId, BTreeMap<String, Vec<Principal>>>,
    /// The stacks in each account that was looked into.
    pub(super) inside: BTreeMap<AwsAccountId, Inside>,
    /// Accounts that could not be looked at or into, and why.
    pub(super) unseen: Vec<(AwsAccountId, String)>,
}

/// What is in an account.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every account can be looked into")]
pub(super) enum Inside {
    /// The stacks, where they are there.
    Stacks {
        /// The one with the roles.
        baseline: Option<StackState>,
        /// The one with the tenant's own things.
        stack: Option<StackState>,
    },
    /// The role that looks cannot be assumed or may not look.
    AccessDenied(String),
}

/// Reads AWS. A look at the organisation that fails ends it; one at a single account is noted as unseen.
pub(super) async fn observe(
    cloud: &dyn Cloud,
    config: &Config,
    known: &ExpectedState,
    pace: &ReadThrottle,
) -> Result<Observed, ObserveError> {
    let mut seen = Observed::default();
    organization(cloud, config, known, pace, &mut seen).await?;
    let there = |environment: &&MappedEnvironment| {
        let listed = seen.accounts.get(&environment.aws_account_id);
        environment.settled_at.is_some() && listed.is_some_and(|account| account.state == "ACTIVE")
    };
    let targets: Vec<(Target, &MappedEnvironment)> = known
        .environments
        .iter()
        .filter(there)
        .filter_map(|environment| {
            let account = environment.aws_account_id.clone();
            // The management account and Freehold's own are not even looked into.
            Some((Target::new(account, environment.id, &config.organization).ok()?, environment))
        })
        .collect();
    let (access, inside) = tokio::join!(access(cloud, config, &targets, pace), inside(cloud, &targets, pace));
    let (access, inside) = (access?, inside?);
    seen.permission_sets = access.permission_sets;
    seen.groups = access.groups;
    seen.access = access.holders;
    seen.inside = inside.0;
    seen.unseen = access.unseen.into_iter().chain(inside.1).collect();
    Ok(seen)
}

async fn organization(
    cloud: &dyn Cloud,
    config: &Config,
    known: &ExpectedState,
    pace: &ReadThrottle,
    seen: &mut Observed,
) -> Result<(), ObserveError> {
    let accounts = pages(pace, "organizations:ListAccounts", move |page| {
        Box::pin(async move { cloud.accounts(page.as_deref()).await })
    })
    .await?;
    seen.accounts = accounts.into_iter().map(|account| (account.id.clone(), account)).collect();

    let residencies = config.residencies.iter().map(|residency| (residency.ou_name(), residency.guardrail_name()));
    let quarantine = (config.organization.quarantine_ou.clone(), guardrail::QUARANTINE_POLICY.to_owned());
    for (ou, policy) in residencies.chain([quarantine]) {
        let found = pace.ask("organizations:ListPoliciesForTarget", || cloud.guarded_ou(&ou, &policy)).await?;
        seen.ous.insert(ou, found);
    }
    if seen.accounts.values().any(|account| account.parent.is_none()) {
        for ou in seen.ous.values().flatten() {
            let ou_id = ou.ou_id.as_str();
            let call = "organizations:ListAccountsForParent";
            for id in
                pages(pace, call, move |page| Box::pin(async move { cloud.accounts_in(ou_id, page.as_deref()).await }))
                    .await?
            {
                if let Some(account) = seen.accounts.get_mut(&id) {
                    account.parent = Some(ou.ou_id.clone());
                }
            }
        }
    }

    let organization = &config.organization;
    let own = [&organization.management_account_id, &organization.freehold_account_id];
    let unknown = seen.accounts.values().filter(|account| account.state == "ACTIVE");
    for account in unknown.filter(|account| !known.accounts.contains(&account.id) && !own.contains(&&account.id)) {
        let tags = pace.ask("organizations:ListTagsForResource", || cloud.account_tags(&account.id)).await?;
        seen.tags.insert(account.id.clone(), tags);
    }
    Ok(())
}

/// Who has access to what.
struct Access {
    permission_sets: BTreeMap<String, Option<String>>,
    groups: BTreeMap<String, Option<String>>,
    holders: BTreeMap<AwsAccountId, BTreeMap<String, Vec<Principal>>>,
    unseen: Vec<(AwsAccountId, String)>,
}

async fn access(
    cloud: &dyn Cloud,
    config: &Config,
    targets: &[(Target, &MappedEnvironment)],
    pace: &ReadThrottle,
) -> Result<Access, ObserveError> {
    let (mut permission_sets, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for set in &config.permission_sets {
        let arn = pace.ask("sso:ListPermissionSets", || cloud.permission_set(&set.name)).await?;
        permission_sets.insert(set.name.clone(), arn);
    }
    for group in config.access.iter().map(|access| &access.group).collect::<BTreeSet<_>>() {
        groups.insert(group.clone(), pace.ask("identitystore:GetGroupId", || cloud.group(group)).await?);
    }
    let mut sets_of: BTreeMap<AwsAccountId, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, arn) in permission_sets.iter().filter_map(|(name, arn)| Some((name, arn.as_deref()?))) {
        let call = "sso:ListAccountsForProvisionedPermissionSet";
        for account in pages(pace, call, move |page| {
            Box::pin(async move { cloud.accounts_with_permission_set(arn, page.as_deref()).await })
        })
        .await?
        {
            sets_of.entry(account).or_default().push((name, arn));
        }
    }

    let looks = targets.iter().map(|(target, _)| {
        let sets = sets_of.get(target.id()).cloned().unwrap_or_default();
        // Boxed, so that the compiler need not prove for every lifetime that the whole may change threads.
        async move {
            let mut holders = BTreeMap::new();
            for (name, arn) in sets {
                let call = "sso:ListAccountAssignments";
                let found = pages(pace, call, move |page| {
                    Box::pin(async move { cloud.assignment_principals(target, arn, page.as_deref()).await })
                })
                .await;
                holders.insert(name.to_owned(), found.map_err(|trouble| (target.id().clone(), trouble))?);
            }
            Ok((target.id().clone(), holders))
        }
        .boxed()
    });
    let looks: Vec<BoxFuture<'_, _>> = looks.collect();
    let looks: Vec<_> = stream::iter(looks).buffer_unordered(ACCESS_AT_ONCE).collect().await;
    let (holders, unseen) = sorted(looks)?;
    Ok(Access { permission_sets, groups, holders, unseen })
}

/// What is in the accounts, and those into which one could not look.
type Insides = (BTreeMap<AwsAccountId, Inside>, Vec<(AwsAccountId, String)>);

async fn inside(
    cloud: &dyn Cloud,
    targets: &[(Target, &MappedEnvironment)],
    pace: &ReadThrottle,
) -> Result<Insides, ObserveError> {
    let looks = targets.iter().map(|(target, environment)| look_inside(cloud, target, environment, pace).boxed());
    let looks: Vec<BoxFuture<'_, _>> = looks.collect();
    let looks: Vec<_> = stream::iter(looks).buffer_unordered(INSIDE_AT_ONCE).collect().await;
    sorted(looks)
}

async fn look_inside(
    cloud: &dyn Cloud,
    target: &Target,
    environment: &MappedEnvironment,
    pace: &ReadThrottle,
) -> Result<(AwsAccountId, Inside), (AwsAccountId, ObserveError)> {
    let id = target.id().clone();
    // One after the other: the session that the first opens serves the second.
    let stacks = match stack(cloud, target, environment.baseline.as_ref(), pace).await {
        Ok(baseline) => match stack(cloud, target, environment.stack.as_ref(), pace).await {
            Ok(stack) => Ok(Inside::Stacks { baseline, stack }),
            Err(trouble) => Err(trouble),
        },
        Err(trouble) => Err(trouble),
    };
    match stacks {
        Ok(stacks) => Ok((id, stacks)),
        Err(ObserveError::Cloud(error @ CloudError { kind: CloudErrorKind::Denied { .. }, .. })) => {
            Ok((id, Inside::AccessDenied(error.to_string())))
        }
        Err(trouble) => Err((id, trouble)),
    }
}

/// The stack that is there under the name of one that was deployed.
async fn stack(
    cloud: &dyn Cloud,
    target: &Target,
    deployed: Option<&Deployed>,
    pace: &ReadThrottle,
) -> Result<Option<StackState>, ObserveError> {
    let Some(deployed) = deployed else { return Ok(None) };
    // By its name, so that another one in its place is found too.
    let name = deployed.stack_id.split('/').nth(1).unwrap_or(&deployed.stack_id);
    pace.ask("cloudformation:DescribeStacks", || cloud.stack(target, Role::Access, deployed.region, name)).await
}

/// What was seen of each account, and what was not and why; nothing, where it was broken off.
#[expect(clippy::type_complexity, reason = "it is the answer of two lists of looks, told apart")]
fn sorted<T>(
    looks: Vec<Result<(AwsAccountId, T), (AwsAccountId, ObserveError)>>,
) -> Result<(BTreeMap<AwsAccountId, T>, Vec<(AwsAccountId, String)>), ObserveError> {
    let (mut seen, mut unseen) = (BTreeMap::new(), Vec::new());
    for look in looks {
        match look {
            Ok((account, found)) => _ = seen.insert(account, found),
            Err((_, ObserveError::Stopped)) => return Err(ObserveError::Stopped),
            Err((account, ObserveError::Cloud(error))) => unseen.push((account, error.to_string())),
        }
    }
    Ok((seen, unseen))
}

/// Everything on the pages of a list.
async fn pages<'a, T>(
    pace: &ReadThrottle,
    call: &'static str,
    look: impl Fn(Option<String>) -> BoxFuture<'a, CloudResult<Page<T>>>,
) -> Result<Vec<T>, ObserveError> {
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = pace.ask(call, || look(next.clone())).await?;
        items.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(items);
        }
    }
}

impl Observed {
    /// The id of the OU of this name, and whether it carries its policy with the text that it should have.
    pub(super) fn ou(&self, name: &str, wanted: &str) -> Option<(&str, bool)> {
        let ou = self.ous.get(name)?.as_ref()?;
        let guarded = matches!(&ou.policy, PolicyAttachment::Attached(text) if guardrail::same(text, wanted));
        Some((&ou.ou_id, guarded))
    }
}
