//! Paginated AWS reads of the reconciler.

use aws_sdk_organizations::types::PolicyType;
use freehold_tenancy::AwsAccountId;

use super::Aws;
use super::organizations::{client, listed, ous_in, parent_of_ous, policies_on, policy_content};
use super::ssoadmin::sso;
use crate::cloud::{GuardedOu, ListedAccount, Page, PolicyAttachment, Principal, Result, Target};

/// Maximum page size of Identity Center (`MaxResults`). The default page size may be smaller.
const MAX_PAGE_SIZE: i32 = 100;

pub(super) async fn accounts(aws: &Aws, page: Option<&str>) -> Result<Page<ListedAccount>> {
    let control = aws.control().await?;
    let request = client(&control).list_accounts().set_next_token(page.map(str::to_owned));
    let response = aws.send(&control, "organizations:ListAccounts", request.send()).await?;
    let accounts = response.accounts.unwrap_or_default().into_iter();
    Ok(Page { items: accounts.filter_map(listed).collect(), next: response.next_token })
}

pub(super) async fn accounts_in(aws: &Aws, parent: &str, page: Option<&str>) -> Result<Page<AwsAccountId>> {
    let control = aws.control().await?;
    let request = client(&control).list_accounts_for_parent().parent_id(parent).set_next_token(page.map(str::to_owned));
    let response = aws.send(&control, "organizations:ListAccountsForParent", request.send()).await?;
    let accounts = response.accounts.unwrap_or_default().into_iter();
    Ok(Page { items: accounts.filter_map(|account| account.id?.parse().ok()).collect(), next: response.next_token })
}

pub(super) async fn guarded_ou(aws: &Aws, ou_name: &str, policy_name: &str) -> Result<Option<GuardedOu>> {
    let parent = parent_of_ous(aws).await?;
    let ou = ous_in(aws, &parent).await?.into_iter().find(|(name, _)| name == ou_name);
    let Some((_, ou_id)) = ou else { return Ok(None) };
    let attached = policies_on(aws, &ou_id).await?.into_iter().find(|(name, _)| name == policy_name);
    let policy = match attached {
        Some((_, id)) => PolicyAttachment::Attached(policy_content(aws, &id).await?),
        None if policy_exists(aws, policy_name).await? => PolicyAttachment::Detached,
        None => PolicyAttachment::Missing,
    };
    Ok(Some(GuardedOu { ou_id, policy }))
}

async fn policy_exists(aws: &Aws, policy_name: &str) -> Result<bool> {
    let control = aws.control().await?;
    let mut token = None;
    loop {
        let request = client(&control).list_policies().filter(PolicyType::ServiceControlPolicy).set_next_token(token);
        let page = aws.send(&control, "organizations:ListPolicies", request.send()).await?;
        if page.policies.unwrap_or_default().iter().any(|policy| policy.name.as_deref() == Some(policy_name)) {
            return Ok(true);
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(false);
        }
    }
}

pub(super) async fn accounts_with_permission_set(
    aws: &Aws,
    permission_set_arn: &str,
    page: Option<&str>,
) -> Result<Page<AwsAccountId>> {
    let sso = sso(aws).await?;
    let request = sso
        .client
        .list_accounts_for_provisioned_permission_set()
        .instance_arn(&sso.instance.arn)
        .permission_set_arn(permission_set_arn)
        .max_results(MAX_PAGE_SIZE)
        .set_next_token(page.map(str::to_owned));
    let response = aws.send(&sso.session, "sso:ListAccountsForProvisionedPermissionSet", request.send()).await?;
    let accounts = response.account_ids.unwrap_or_default().into_iter();
    Ok(Page { items: accounts.filter_map(|id| id.parse().ok()).collect(), next: response.next_token })
}

pub(super) async fn assignment_principals(
    aws: &Aws,
    account: &Target,
    permission_set_arn: &str,
    page: Option<&str>,
) -> Result<Page<Principal>> {
    let sso = sso(aws).await?;
    let request = sso
        .client
        .list_account_assignments()
        .instance_arn(&sso.instance.arn)
        .account_id(account.id().as_str())
        .permission_set_arn(permission_set_arn)
        .max_results(MAX_PAGE_SIZE)
        .set_next_token(page.map(str::to_owned));
    let response = aws.send(&sso.session, "sso:ListAccountAssignments", request.send()).await?;
    let assignments = response.account_assignments.unwrap_or_default().into_iter();
    let principals = assignments.filter_map(|assignment| {
        Some(Principal { kind: assignment.principal_type?.as_str().to_owned(), id: assignment.principal_id? })
    });
    Ok(Page { items: principals.collect(), next: response.next_token })
}
