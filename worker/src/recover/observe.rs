//! Reads the accounts of the organisation, the tags of those that the database does not know, and the account
//! creations in progress.

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::db::recovery::KnownState;
use freehold_tenancy::recovery::TenantDetails;
use freehold_tenancy::{AwsAccountId, Config, EmailAddress, TenantId};

use crate::account_tags;
use crate::aws::Aws;
use crate::cloud::{Creation, ListedAccount, Tags};
use crate::guardrail;
use crate::reconcile::all_pages;
use crate::reconcile::throttle::{ObserveError, ReadThrottle};
use crate::steps::tenant_group_name;

/// Observed state of AWS.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) accounts: BTreeMap<AwsAccountId, SeenAccount>,
    /// Account creations in progress.
    pub(super) creations: Vec<Creation>,
    /// E-mail addresses of the administrators of tenants that the database does not know.
    pub(super) admin_emails: BTreeMap<TenantId, EmailAddress>,
}

/// Account of the organisation.
#[derive(Debug, Clone)]
pub(super) struct SeenAccount {
    pub(super) listed: ListedAccount,
    pub(super) is_quarantined: bool,
    /// Tags of an account of this installation that was never mapped; `None` for other accounts.
    pub(super) lost_tags: Option<Tags>,
}

/// Reads the state of AWS. Fails if a read fails, because an account that was not read would stay unknown.
pub(super) async fn observe(
    aws: &Aws,
    config: &Config,
    installation: &str,
    known: &KnownState,
    details: &TenantDetails,
    throttle: &ReadThrottle,
) -> Result<Observed, ObserveError> {
    let creations = throttle.read("organizations:ListCreateAccountStatus", || aws.open_creations()).await?;
    // The accounts are read after the creations, so that a creation that ends in between is in one of the lists.
    let listed = all_pages(throttle, "organizations:ListAccounts", move |page| {
        Box::pin(async move { aws.accounts(page.as_deref()).await })
    })
    .await?;
    let quarantined = quarantined_accounts(aws, config, &listed, throttle).await?;
    let organization = &config.organization;
    let mut accounts = BTreeMap::new();
    for account in listed {
        if organization.protection_reason(&account.id).is_some() {
            continue;
        }
        let mut lost_tags = None;
        if !known.accounts.contains(&account.id) {
            let tags = throttle.read("organizations:ListTagsForResource", || aws.account_tags(&account.id)).await?;
            lost_tags =
                Some(tags).filter(|tags| tags.get(account_tags::INSTALLATION).is_some_and(|id| id == installation));
        }
        let is_quarantined = quarantined.contains(&account.id);
        accounts.insert(account.id.clone(), SeenAccount { listed: account, is_quarantined, lost_tags });
    }
    let admin_emails = admin_emails(aws, &accounts, known, details, throttle).await?;
    Ok(Observed { accounts, creations, admin_emails })
}

async fn quarantined_accounts(
    aws: &Aws,
    config: &Config,
    listed: &[ListedAccount],
    throttle: &ReadThrottle,
) -> Result<BTreeSet<AwsAccountId>, ObserveError> {
    let (name, policy) = (&config.organization.quarantine_ou, guardrail::QUARANTINE_POLICY);
    let ou = throttle.read("organizations:ListPoliciesForTarget", || aws.guarded_ou(name, policy)).await?;
    let Some(ou) = ou else { return Ok(BTreeSet::new()) };
    if listed.iter().all(|account| account.parent.is_some()) {
        let inside = listed.iter().filter(|account| account.parent.as_ref() == Some(&ou.ou_id));
        return Ok(inside.map(|account| account.id.clone()).collect());
    }
    let ou_id = ou.ou_id.as_str();
    let inside = all_pages(throttle, "organizations:ListAccountsForParent", move |page| {
        Box::pin(async move { aws.accounts_in(ou_id, page.as_deref()).await })
    });
    Ok(inside.await?.into_iter().collect())
}

/// Returns the e-mail addresses of the administrators of unknown tenants, from the tenants' own groups.
async fn admin_emails(
    aws: &Aws,
    accounts: &BTreeMap<AwsAccountId, SeenAccount>,
    known: &KnownState,
    details: &TenantDetails,
    throttle: &ReadThrottle,
) -> Result<BTreeMap<TenantId, EmailAddress>, ObserveError> {
    let mut emails = BTreeMap::new();
    for tags in accounts.values().filter_map(|account| account.lost_tags.as_ref()) {
        let Some(tenant) = tags.get(account_tags::TENANT).and_then(|id| id.parse::<TenantId>().ok()) else { continue };
        if known.tenants.contains_key(&tenant) || emails.contains_key(&tenant) {
            continue;
        }
        let environment = tags.get(account_tags::ENVIRONMENT).and_then(|id| id.parse().ok());
        let given = environment.and_then(|id| details.get(&id)).and_then(|details| details.admin_email.clone());
        let found = if given.is_some() {
            given
        } else {
            let group = tenant_group_name(tenant);
            let found = throttle.read("identitystore:GetGroupId", || aws.group_admin(&group)).await?;
            found.and_then(|email| email.parse().ok())
        };
        emails.extend(found.map(|email| (tenant, email)));
    }
    Ok(emails)
}
