//! Paginated AWS reads of the reconciler.

use aws_sdk_organizations::types::PolicyType;
use freehold_tenancy::AwsAccountId;

use super::Aws;
use super::organizations::{client, to_listed_account};
use crate::cloud::{GuardedOu, ListedAccount, Page, PolicyAttachment, Principal, Result, Target};

/// Maximum page size of Identity Center (`MaxResults`). The default page size may be smaller.
const MAX_PAGE_SIZE: i32 = 100;

impl Aws {
    /// Returns a page of all accounts of the organisation.
    pub async fn accounts(&self, page: Option<&str>) -> Result<Page<ListedAccount>> {
        let session = self.control_session().await?;
        let request = client(&session).list_accounts().set_next_token(page.map(str::to_owned));
        let response = self.send(&session, "organizations:ListAccounts", request.send()).await?;
        let accounts = response.accounts.unwrap_or_default().into_iter();
        Ok(Page { items: accounts.filter_map(to_listed_account).collect(), next: response.next_token })
    }

    /// Returns a page of the accounts directly in an OU or root.
    pub async fn accounts_in(&self, parent: &str, page: Option<&str>) -> Result<Page<AwsAccountId>> {
        let session = self.control_session().await?;
        let request =
            client(&session).list_accounts_for_parent().parent_id(parent).set_next_token(page.map(str::to_owned));
        let response = self.send(&session, "organizations:ListAccountsForParent", request.send()).await?;
        let accounts = response.accounts.unwrap_or_default().into_iter();
        Ok(Page { items: accounts.filter_map(|account| account.id?.parse().ok()).collect(), next: response.next_token })
    }

    /// Returns an OU by name with the state of the policy `policy_name`, or `None` if there is no such OU.
    pub async fn guarded_ou(&self, ou_name: &str, policy_name: &str) -> Result<Option<GuardedOu>> {
        let parent = self.parent_of_ous().await?;
        let ou = self.ous_in(&parent).await?.into_iter().find(|(name, _)| name == ou_name);
        let Some((_, ou_id)) = ou else { return Ok(None) };
        let attached = self.policies_on(&ou_id).await?.into_iter().find(|(name, _)| name == policy_name);
        let policy = match attached {
            Some((_, id)) => PolicyAttachment::Attached(self.policy_content(&id).await?),
            None if self.policy_exists(policy_name).await? => PolicyAttachment::Detached,
            None => PolicyAttachment::Missing,
        };
        Ok(Some(GuardedOu { ou_id, policy }))
    }

    async fn policy_exists(&self, policy_name: &str) -> Result<bool> {
        let session = self.control_session().await?;
        let mut token = None;
        loop {
            let request =
                client(&session).list_policies().filter(PolicyType::ServiceControlPolicy).set_next_token(token);
            let page = self.send(&session, "organizations:ListPolicies", request.send()).await?;
            if page.policies.unwrap_or_default().iter().any(|policy| policy.name.as_deref() == Some(policy_name)) {
                return Ok(true);
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(false);
            }
        }
    }

    /// Returns a page of the accounts in which a permission set is provisioned.
    pub async fn accounts_with_permission_set(
        &self,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<AwsAccountId>> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .list_accounts_for_provisioned_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(permission_set_arn)
            .max_results(MAX_PAGE_SIZE)
            .set_next_token(page.map(str::to_owned));
        let response = self.send(&sso.session, "sso:ListAccountsForProvisionedPermissionSet", request.send()).await?;
        let accounts = response.account_ids.unwrap_or_default().into_iter();
        Ok(Page { items: accounts.filter_map(|id| id.parse().ok()).collect(), next: response.next_token })
    }

    /// Returns a page of the principals with a permission set in an account.
    pub async fn assignment_principals(
        &self,
        account: &Target,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<Principal>> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .list_account_assignments()
            .instance_arn(&sso.instance.arn)
            .account_id(account.id().as_str())
            .permission_set_arn(permission_set_arn)
            .max_results(MAX_PAGE_SIZE)
            .set_next_token(page.map(str::to_owned));
        let response = self.send(&sso.session, "sso:ListAccountAssignments", request.send()).await?;
        let assignments = response.account_assignments.unwrap_or_default().into_iter();
        let principals = assignments.filter_map(|assignment| {
            Some(Principal { kind: assignment.principal_type?.as_str().to_owned(), id: assignment.principal_id? })
        });
        Ok(Page { items: principals.collect(), next: response.next_token })
    }
}
