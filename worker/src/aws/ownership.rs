//! Check that an account belongs to its environment, before Freehold changes it. IAM cannot express this for every call
//! (deploy/iam/README.md).

use chrono::TimeDelta;
use freehold_tenancy::AwsAccountId;

use super::Aws;
use super::call::none_if;
use crate::account_tags;
use crate::cloud::{CloudError, CloudErrorKind, Result, Target};

/// Cache lifetime of a successful check. Steps that delete something read the tags again directly before.
const OWNERSHIP_TTL: TimeDelta = TimeDelta::hours(1);

/// Error code for an account without the tags of its environment and installation.
pub(crate) const ACCOUNT_NOT_OWN: &str = "AccountNotOwn";

/// Error code for an account in an OU that is not Freehold's.
const PARENT_NOT_OWN: &str = "ParentNotOwn";

/// Prefix of the names of Freehold's OUs, except that of the quarantine OU.
const OU_PREFIX: &str = "freehold-";

impl Aws {
    /// Returns the ids of the OUs of residencies, also of former ones, and of the quarantine OU.
    pub(crate) async fn own_ous(&self) -> Result<Vec<String>> {
        let parent = self.parent_of_ous().await?;
        let quarantine = &self.config.organization.quarantine_ou;
        let ous = self.ous_in(&parent).await?.into_iter();
        Ok(ous.filter(|(name, _)| name.starts_with(OU_PREFIX) || name == quarantine).map(|(_, id)| id).collect())
    }

    /// Returns the command that moves an account to the root, if it is in an OU from which Freehold does not move
    /// accounts. Returns `None` if it is in the root or in one of Freehold's OUs.
    pub(crate) async fn command_for_foreign_parent(
        &self,
        account: &AwsAccountId,
        parent: &str,
    ) -> Result<Option<String>> {
        let root = self.root().await?;
        if parent == root || self.own_ous().await?.iter().any(|ou| ou == parent) {
            return Ok(None);
        }
        Ok(Some(format!(
            "aws organizations move-account --account-id {account} --source-parent-id {parent} --destination-parent-id \
             {root}"
        )))
    }

    /// Returns an error if Freehold must not move the account out of `parent`.
    pub(super) async fn check_own_parent(&self, account: &Target, parent: &str) -> Result<()> {
        if self.installation.is_none() {
            return Ok(());
        }
        let Some(command) = self.command_for_foreign_parent(account.id(), parent).await? else { return Ok(()) };
        let message = format!(
            "account {account} is in {parent}, which is not an OU of Freehold, so it was not moved. Move it to the \
             root, then retry: {command}"
        );
        Err(CloudError::from_freehold(CloudErrorKind::Failed, "organizations:MoveAccount", PARENT_NOT_OWN, message))
    }

    /// Returns an error if the account does not have the tags of this installation and of its environment. `call` is
    /// the call that is not made then. An account that has left the organisation passes, because AWS refuses the call.
    pub(super) async fn check_own_account(&self, account: &Target, call: &'static str) -> Result<()> {
        let Some(installation) = self.installation else { return Ok(()) };
        let environment = account.environment();
        let fetch = async {
            let tags = none_if(self.account_tags(account.id()).await, "TargetNotFoundException")?;
            let has = |tags: &crate::cloud::Tags, key: &str, value: String| tags.get(key) == Some(&value);
            let is_own = tags.is_none_or(|tags| {
                has(&tags, account_tags::INSTALLATION, installation.to_string())
                    && has(&tags, account_tags::ENVIRONMENT, environment.to_string())
            });
            Ok(is_own.then(|| ((), self.clock.now() + OWNERSHIP_TTL)))
        };
        let key = (account.id().clone(), environment);
        if self.caches.own_accounts.get_or_fetch(&key, &self.clock, fetch).await?.is_some() {
            return Ok(());
        }
        let message = format!(
            "account {account} does not have the tags {}={installation} and {}={environment}, so the call was not made",
            account_tags::INSTALLATION,
            account_tags::ENVIRONMENT
        );
        Err(CloudError::from_freehold(CloudErrorKind::Failed, call, ACCOUNT_NOT_OWN, message))
    }
}
