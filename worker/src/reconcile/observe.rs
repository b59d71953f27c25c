//! Reads the state of AWS with as few calls as possible.
//!
//! | state | calls | maximum per second |
//! |---|---|---|
//! | accounts, their states and their OUs | one `ListAccounts` per 20 | 4 |
//! | tags of accounts without mapping | one `ListTagsForResource` each | 5 |
//! | OUs and guardrails | three per residency | |
//! | accounts with a permission set | one per 100, for each set of the organisation | 10, shared |
//! | principals with the set in an account | one `ListAccountAssignments` for each account and set | 10, shared |
//! | stacks | one `AssumeRole` per account and one `DescribeStacks` per stack, 16 accounts at a time | |
//! | templates | one `GetTemplate` for each tenant stack that has changed since Freehold's last change | |
//!
//! The rates are half of AWS's ([`super::throttle`]). The list of accounts contains the OU of each account; if AWS
//! omits it, the accounts of each OU are listed. Access and stacks are read concurrently, after the accounts. For 5,000
//! accounts with one permission set each, this takes 250 / 4 s + (50 + 5,000) / 10 s: **about nine and a half
//! minutes**; with two sets each, eighteen. Reading the stacks takes less than three minutes, with 16 accounts at a
//! time and half a second for the three calls per account. A test checks this formula with a smaller organisation.
//!
//! Permission sets that are not configured are read for the access review only. They cause no findings: the
//! organisation may use them on purpose, for example to audit all accounts.

mod account_results;
mod stacks;

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::db::reconcile::{ExpectedState, MappedEnvironment};
use freehold_tenancy::{AwsAccountId, Config, Region};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};

use super::throttle::{ObserveError, ReadThrottle};
use crate::aws::{Aws, move_command};
use crate::cloud::{GuardedOu, ListedAccount, Page, PolicyAttachment, Principal, Result as CloudResult, Tags, Target};
use crate::guardrail;
use account_results::split_results;

pub(super) use stacks::{AccountStacks, ObservedStack};

/// Maximum number of accounts whose assignments are read concurrently. The rate limit is usually lower.
const ACCESS_CONCURRENCY: usize = 8;

/// Observed state of AWS.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    /// All accounts of the organisation.
    pub(super) accounts: BTreeMap<AwsAccountId, ListedAccount>,
    /// Tags of the active accounts without account mapping.
    pub(super) tags: BTreeMap<AwsAccountId, Tags>,
    /// Freehold's OUs by name; `None` if missing.
    pub(super) ous: BTreeMap<String, Option<GuardedOu>>,
    /// Commands that move accounts of environments to the root, for accounts in OUs that are not Freehold's.
    pub(super) moves_from_foreign_ous: BTreeMap<AwsAccountId, String>,
    /// ARNs of the configured permission sets by name; `None` if missing.
    pub(super) permission_sets: BTreeMap<String, Option<String>>,
    /// Ids of the groups with access to all accounts, by name; `None` if missing.
    pub(super) groups: BTreeMap<String, Option<String>>,
    /// Principals by configured permission set, for each account that could be read.
    pub(super) access: BTreeMap<AwsAccountId, BTreeMap<String, Vec<Principal>>>,
    /// ARNs by name of the permission sets that are not configured, but assigned in an account of an environment.
    pub(super) other_permission_sets: BTreeMap<String, String>,
    /// Principals by permission set that is not configured, for each account that could be read.
    pub(super) other_access: BTreeMap<AwsAccountId, BTreeMap<String, Vec<Principal>>>,
    /// Stacks in each account that could be read.
    pub(super) account_stacks: BTreeMap<AwsAccountId, AccountStacks>,
    /// Accounts that could not be read, with the error.
    pub(super) unseen: Vec<(AwsAccountId, String)>,
}

/// Reads the state of AWS. Fails if a read of the organisation fails. A failed read of a single account is recorded in
/// `unseen`.
pub(super) async fn observe(
    aws: &Aws,
    config: &Config,
    known: &ExpectedState,
    throttle: &ReadThrottle,
) -> Result<Observed, ObserveError> {
    let mut seen = Observed::default();
    organization(aws, config, known, throttle, &mut seen).await?;
    let is_readable = |environment: &&MappedEnvironment| {
        let listed = seen.accounts.get(&environment.aws_account_id);
        environment.settled_at.is_some() && listed.is_some_and(|account| account.state == "ACTIVE")
    };
    let targets: Vec<(Target, &MappedEnvironment)> = known
        .environments
        .iter()
        .filter(is_readable)
        .filter_map(|environment| {
            let account = environment.aws_account_id.clone();
            // The management account and Freehold's own account are not read.
            Some((Target::new(account, environment.id, &config.organization).ok()?, environment))
        })
        .collect();
    let can_enter = |account: &AwsAccountId| seen.can_enter(account);
    let in_own_ous: Vec<_> = targets.iter().filter(|(target, _)| can_enter(target.id())).cloned().collect();
    let (access, account_stacks) =
        tokio::join!(access(aws, config, &targets, throttle), stacks::read(aws, &in_own_ous, throttle));
    let (access, account_stacks) = (access?, account_stacks?);
    seen.permission_sets = access.permission_sets;
    seen.groups = access.groups;
    (seen.access, seen.other_access) = split_by_set(access.principals, |set| seen.permission_sets.contains_key(set));
    seen.other_permission_sets = access.other_permission_sets;
    seen.account_stacks = account_stacks.0;
    seen.unseen = access.unseen.into_iter().chain(account_stacks.1).collect();
    Ok(seen)
}

async fn organization(
    aws: &Aws,
    config: &Config,
    known: &ExpectedState,
    throttle: &ReadThrottle,
    seen: &mut Observed,
) -> Result<(), ObserveError> {
    let accounts = all_pages(throttle, "organizations:ListAccounts", move |page| {
        Box::pin(async move { aws.accounts(page.as_deref()).await })
    })
    .await?;
    seen.accounts = accounts.into_iter().map(|account| (account.id.clone(), account)).collect();

    let residencies = config.residencies.iter().map(|residency| (residency.ou_name(), residency.guardrail_name()));
    let quarantine = (config.organization.quarantine_ou.clone(), guardrail::QUARANTINE_POLICY.to_owned());
    for (ou, policy) in residencies.chain([quarantine]) {
        let found = throttle.read("organizations:ListPoliciesForTarget", || aws.guarded_ou(&ou, &policy)).await?;
        seen.ous.insert(ou, found);
    }
    if seen.accounts.values().any(|account| account.parent.is_none()) {
        for ou in seen.ous.values().flatten() {
            let ou_id = ou.ou_id.as_str();
            let call = "organizations:ListAccountsForParent";
            for id in all_pages(throttle, call, move |page| {
                Box::pin(async move { aws.accounts_in(ou_id, page.as_deref()).await })
            })
            .await?
            {
                if let Some(account) = seen.accounts.get_mut(&id) {
                    account.parent = Some(ou.ou_id.clone());
                }
            }
        }
    }

    foreign_ous(aws, known, throttle, seen).await?;

    let organization = &config.organization;
    let own = [&organization.management_account_id, &organization.freehold_account_id];
    let unknown = seen.accounts.values().filter(|account| account.state == "ACTIVE");
    for account in unknown.filter(|account| !known.accounts.contains(&account.id) && !own.contains(&&account.id)) {
        let tags = throttle.read("organizations:ListTagsForResource", || aws.account_tags(&account.id)).await?;
        seen.tags.insert(account.id.clone(), tags);
    }
    Ok(())
}

/// Finds the accounts of environments that are in OUs which are not Freehold's.
async fn foreign_ous(
    aws: &Aws,
    known: &ExpectedState,
    throttle: &ReadThrottle,
    seen: &mut Observed,
) -> Result<(), ObserveError> {
    let configured: BTreeSet<&str> = seen.ous.values().flatten().map(|ou| ou.ou_id.as_str()).collect();
    let accounts = known.environments.iter().filter_map(|environment| {
        let parent = seen.accounts.get(&environment.aws_account_id)?.parent.as_deref()?;
        (!is_root(parent) && !configured.contains(parent)).then_some((&environment.aws_account_id, parent))
    });
    let accounts: Vec<_> = accounts.collect();
    if accounts.is_empty() {
        return Ok(());
    }
    let root = throttle.read("organizations:ListRoots", || aws.root()).await?;
    let own = throttle.read("organizations:ListOrganizationalUnitsForParent", || aws.own_ous()).await?;
    let foreign = accounts.into_iter().filter(|(_, parent)| !own.iter().any(|(_, id)| id == parent));
    let moves = foreign.map(|(account, parent)| (account.clone(), move_command(account, parent, &root)));
    seen.moves_from_foreign_ous = moves.collect();
    Ok(())
}

/// Returns whether the id of a parent is that of a root.
fn is_root(parent: &str) -> bool {
    parent.starts_with("r-")
}

/// Observed permission sets, groups and assignments.
struct Access {
    permission_sets: BTreeMap<String, Option<String>>,
    other_permission_sets: BTreeMap<String, String>,
    groups: BTreeMap<String, Option<String>>,
    principals: PrincipalsByAccount,
    unseen: Vec<(AwsAccountId, String)>,
}

/// Principals by account and name of the permission set.
type PrincipalsByAccount = BTreeMap<AwsAccountId, BTreeMap<String, Vec<Principal>>>;

/// Splits the principals into those with a permission set that `is_configured` accepts, and the others. Both results
/// contain each account.
fn split_by_set(
    principals: PrincipalsByAccount,
    is_configured: impl Fn(&str) -> bool,
) -> (PrincipalsByAccount, PrincipalsByAccount) {
    let split = principals.into_iter().map(|(account, by_set)| {
        let (configured, others) = by_set.into_iter().partition(|(set, _)| is_configured(set));
        ((account.clone(), configured), (account, others))
    });
    split.unzip()
}

async fn access(
    aws: &Aws,
    config: &Config,
    targets: &[(Target, &MappedEnvironment)],
    throttle: &ReadThrottle,
) -> Result<Access, ObserveError> {
    let (mut permission_sets, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for set in &config.permission_sets {
        let arn = throttle.read("sso:ListPermissionSets", || aws.permission_set(&set.name)).await?;
        permission_sets.insert(set.name.clone(), arn);
    }
    for group in config.access.iter().map(|access| &access.group).collect::<BTreeSet<_>>() {
        groups.insert(group.clone(), throttle.read("identitystore:GetGroupId", || aws.group(group)).await?);
    }
    let (mut arns_of, mut other_permission_sets) = (BTreeMap::<AwsAccountId, Vec<String>>::new(), BTreeMap::new());
    let accounts: BTreeSet<_> = targets.iter().map(|(target, _)| target.id()).collect();
    let mut names: BTreeMap<String, String> =
        permission_sets.iter().filter_map(|(name, arn)| Some((arn.clone()?, name.clone()))).collect();
    for arn in throttle.read("sso:ListPermissionSets", || aws.all_permission_sets()).await? {
        let mut provisioned = accounts_with_permission_set(aws, throttle, &arn).await?;
        provisioned.retain(|account| accounts.contains(account));
        if !provisioned.is_empty() && !names.contains_key(&arn) {
            let name = throttle.read("sso:DescribePermissionSet", || aws.permission_set_name(&arn)).await?;
            other_permission_sets.insert(name.clone(), arn.clone());
            names.insert(arn.clone(), name);
        }
        for account in provisioned {
            arns_of.entry(account).or_default().push(arn.clone());
        }
    }

    let reads = targets.iter().map(|(target, _)| {
        let arns = arns_of.remove(target.id()).unwrap_or_default();
        let sets: Vec<_> = arns.into_iter().filter_map(|arn| Some((names.get(&arn)?.clone(), arn))).collect();
        // Boxed, because the compiler cannot prove that the whole future is `Send` for every lifetime.
        async move {
            let mut principals = BTreeMap::new();
            for (name, arn) in sets {
                let (call, arn) = ("sso:ListAccountAssignments", arn.as_str());
                let found = all_pages(throttle, call, move |page| {
                    Box::pin(async move { aws.assignment_principals(target, arn, page.as_deref()).await })
                })
                .await;
                principals.insert(name, found.map_err(|error| (target.id().clone(), error))?);
            }
            Ok((target.id().clone(), principals))
        }
        .boxed()
    });
    let reads: Vec<BoxFuture<'_, _>> = reads.collect();
    let reads: Vec<_> = stream::iter(reads).buffer_unordered(ACCESS_CONCURRENCY).collect().await;
    let (principals, unseen) = split_results(reads)?;
    Ok(Access { permission_sets, other_permission_sets, groups, principals, unseen })
}

/// Returns all accounts in which a permission set is provisioned.
async fn accounts_with_permission_set(
    aws: &Aws,
    throttle: &ReadThrottle,
    arn: &str,
) -> Result<Vec<AwsAccountId>, ObserveError> {
    all_pages(throttle, "sso:ListAccountsForProvisionedPermissionSet", move |page| {
        Box::pin(async move { aws.accounts_with_permission_set(arn, page.as_deref()).await })
    })
    .await
}

/// Returns all items of a paginated list.
pub(crate) async fn all_pages<'a, T>(
    throttle: &ReadThrottle,
    call: &'static str,
    read_page: impl Fn(Option<String>) -> BoxFuture<'a, CloudResult<Page<T>>>,
) -> Result<Vec<T>, ObserveError> {
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = throttle.read(call, || read_page(next.clone())).await?;
        items.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(items);
        }
    }
}

impl Observed {
    /// Returns the regions in which a template was read.
    pub(super) fn regions_of_templates(&self) -> BTreeSet<Region> {
        let stacks = self.account_stacks.values().flat_map(|found| match found {
            AccountStacks::Stacks(stacks) => stacks.as_slice(),
            AccountStacks::AccessDenied(_) => &[],
        });
        stacks.filter(|stack| stack.template_sha256.is_some()).map(|stack| stack.deployed.region).collect()
    }

    /// Returns whether the control role can assume roles in the account. It cannot in the root and in an OU that is not
    /// Freehold's, and a denied attempt would look like a lost role.
    fn can_enter(&self, account: &AwsAccountId) -> bool {
        let parent = self.accounts.get(account).and_then(|listed| listed.parent.as_deref());
        !parent.is_some_and(is_root) && !self.moves_from_foreign_ous.contains_key(account)
    }

    /// Returns the id of an OU and whether its policy is attached with the required content, or `None` if the OU is
    /// missing.
    pub(super) fn ou(&self, name: &str, wanted: &str) -> Option<(&str, bool)> {
        let ou = self.ous.get(name)?.as_ref()?;
        let guarded = matches!(&ou.policy, PolicyAttachment::Attached(text) if guardrail::is_same_json(text, wanted));
        Some((&ou.ou_id, guarded))
    }
}
