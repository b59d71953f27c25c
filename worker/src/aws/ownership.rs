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

/// Error code for a new account without any tags.
const TAGS_NOT_VISIBLE: &str = "TagsNotVisible";

/// Age of an account up to which AWS may not yet show the tags with which the account was created.
const NEW_ACCOUNT_AGE: TimeDelta = TimeDelta::minutes(15);

/// Error code for an account in an OU that is not Freehold's.
const PARENT_NOT_OWN: &str = "ParentNotOwn";

/// Prefixes of the names of the OUs and guardrails of residencies.
const OU_PREFIX: &str = "freehold-";
const GUARDRAIL_PREFIX: &str = "freehold-region-";

impl Aws {
    /// Returns the name and the id of the OUs of residencies and of the quarantine OU. The OU of a residency that is no
    /// longer configured has a guardrail of Freehold.
    pub(crate) async fn own_ous(&self) -> Result<Vec<(String, String)>> {
        let parent = self.parent_of_ous().await?;
        let quarantine = &self.config.organization.quarantine_ou;
        let residencies = &self.config.residencies;
        let mut own = Vec::new();
        for (name, id) in self.ous_in(&parent).await? {
            let is_configured = name == *quarantine || residencies.iter().any(|one| one.ou_name() == name);
            if is_configured || (name.starts_with(OU_PREFIX) && self.has_guardrail(&id).await?) {
                own.push((name, id));
            }
        }
        Ok(own)
    }

    async fn has_guardrail(&self, ou: &str) -> Result<bool> {
        Ok(self.policies_on(ou).await?.iter().any(|(name, _)| name.starts_with(GUARDRAIL_PREFIX)))
    }

    /// Returns the command that moves an account to the root, if it is in an OU from which Freehold does not move
    /// accounts. Returns `None` if it is in the root or in one of Freehold's OUs.
    pub(crate) async fn command_for_foreign_parent(
        &self,
        account: &AwsAccountId,
        parent: &str,
    ) -> Result<Option<String>> {
        let root = self.root().await?;
        if parent == root || self.own_ous().await?.iter().any(|(_, ou)| ou == parent) {
            return Ok(None);
        }
        Ok(Some(move_command(account, parent, &root)))
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
        let mut has_tags = true;
        let fetch = async {
            let tags = none_if(self.account_tags(account.id()).await, "TargetNotFoundException")?;
            let has = |tags: &crate::cloud::Tags, key: &str, value: String| tags.get(key) == Some(&value);
            has_tags = tags.as_ref().is_none_or(|tags| !tags.is_empty());
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
        if !has_tags && self.is_new(account).await? {
            let message = format!("AWS does not show the tags of the new account {account} yet");
            return Err(CloudError::from_freehold(CloudErrorKind::NotYet, call, TAGS_NOT_VISIBLE, message));
        }
        let message = format!(
            "account {account} does not have the tags {}={installation} and {}={environment}, so the call was not made",
            account_tags::INSTALLATION,
            account_tags::ENVIRONMENT
        );
        Err(CloudError::from_freehold(CloudErrorKind::Failed, call, ACCOUNT_NOT_OWN, message))
    }

    /// Returns an error of a call for which IAM reads the tags of the account. IAM may not know the tags of a new
    /// account yet, and denies the call then.
    pub(super) async fn explain_denial(&self, account: &Target, error: CloudError) -> CloudError {
        let may_pass = matches!(error.kind, CloudErrorKind::Denied { explicit_deny: false });
        if may_pass && matches!(self.is_new(account).await, Ok(true)) {
            return CloudError { kind: CloudErrorKind::NotYet, ..error };
        }
        error
    }

    /// Returns whether the account joined the organisation a short time ago.
    async fn is_new(&self, account: &Target) -> Result<bool> {
        let joined_at = self.account(account.id()).await?.and_then(|found| found.joined_at);
        Ok(joined_at.is_some_and(|at| self.clock.now() < at + NEW_ACCOUNT_AGE))
    }
}

/// Returns the command that moves an account from `parent` to the root.
pub(crate) fn move_command(account: &AwsAccountId, parent: &str, root: &str) -> String {
    format!(
        "aws organizations move-account --account-id {account} --source-parent-id {parent} --destination-parent-id \
         {root}"
    )
}
