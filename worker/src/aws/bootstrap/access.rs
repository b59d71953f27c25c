//! AWS calls of `freehold bootstrap` that read, create, change and provision permission sets.

use std::collections::BTreeSet;

use aws_sdk_ssoadmin::types::{ProvisionTargetType, ProvisioningStatus, StatusValues, Tag};

use super::super::Aws;
use super::super::call::{missing_field, none_if, ok_if_conflict};
use crate::cloud::{AssignmentState, Result};

/// Tag of the permission sets that bootstrap manages. The policy of the control role requires it for an assignment.
pub(crate) const PERMISSION_SET_TAG: &str = "freehold:permission-set";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PermissionSetFacts {
    pub(crate) description: String,
    /// Session duration in ISO 8601 format, such as `PT8H`.
    pub(crate) session_duration: String,
    pub(crate) managed_policies: BTreeSet<String>,
    /// Inline policy; empty if the permission set has none.
    pub(crate) inline_policy: String,
    /// Whether the permission set is provisioned in any account.
    pub(crate) provisioned: bool,
    /// Whether the permission set has the tag that lets the control role assign it.
    pub(crate) tagged: bool,
    /// Whether any account has an outdated version of the permission set.
    pub(crate) outdated: bool,
}

// Calls that only read.
impl Aws {
    pub(crate) async fn permission_set_facts(&self, arn: &str) -> Result<PermissionSetFacts> {
        const CALL: &str = "sso:DescribePermissionSet";
        let sso = self.sso().await?;
        let request = sso.client.describe_permission_set().instance_arn(&sso.instance.arn).permission_set_arn(arn);
        let set = self.send(&sso.session, CALL, request.send()).await?.permission_set;
        let set = set.ok_or_else(|| missing_field(CALL, "permission set"))?;
        Ok(PermissionSetFacts {
            description: set.description.unwrap_or_default(),
            session_duration: set.session_duration.unwrap_or_default(),
            managed_policies: self.managed_policies(arn).await?,
            tagged: self.has_permission_set_tag(arn).await?,
            inline_policy: self.inline_policy(arn).await?,
            provisioned: self.is_provisioned(arn, None).await?,
            outdated: self.is_provisioned(arn, Some(ProvisioningStatus::LatestPermissionSetNotProvisioned)).await?,
        })
    }

    async fn managed_policies(&self, arn: &str) -> Result<BTreeSet<String>> {
        let sso = self.sso().await?;
        let mut policies = BTreeSet::new();
        let mut token = None;
        loop {
            let request = sso
                .client
                .list_managed_policies_in_permission_set()
                .instance_arn(&sso.instance.arn)
                .permission_set_arn(arn)
                .set_next_token(token);
            let page = self.send(&sso.session, "sso:ListManagedPoliciesInPermissionSet", request.send()).await?;
            let attached = page.attached_managed_policies.unwrap_or_default().into_iter();
            policies.extend(attached.filter_map(|policy| policy.arn));
            token = page.next_token;
            if token.is_none() {
                return Ok(policies);
            }
        }
    }

    async fn has_permission_set_tag(&self, arn: &str) -> Result<bool> {
        let sso = self.sso().await?;
        let mut token = None;
        loop {
            let request = sso
                .client
                .list_tags_for_resource()
                .instance_arn(&sso.instance.arn)
                .resource_arn(arn)
                .set_next_token(token);
            let page = self.send(&sso.session, "sso:ListTagsForResource", request.send()).await?;
            if page.tags.unwrap_or_default().iter().any(|tag| tag.key == PERMISSION_SET_TAG) {
                return Ok(true);
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(false);
            }
        }
    }

    async fn inline_policy(&self, arn: &str) -> Result<String> {
        let sso = self.sso().await?;
        let request =
            sso.client.get_inline_policy_for_permission_set().instance_arn(&sso.instance.arn).permission_set_arn(arn);
        let response = self.send(&sso.session, "sso:GetInlinePolicyForPermissionSet", request.send()).await;
        let response = none_if(response, "ResourceNotFoundException")?;
        Ok(response.and_then(|response| response.inline_policy).unwrap_or_default())
    }

    async fn is_provisioned(&self, arn: &str, status: Option<ProvisioningStatus>) -> Result<bool> {
        let sso = self.sso().await?;
        let mut token = None;
        loop {
            let request = sso
                .client
                .list_accounts_for_provisioned_permission_set()
                .instance_arn(&sso.instance.arn)
                .permission_set_arn(arn)
                .set_provisioning_status(status.clone())
                .set_next_token(token);
            let page = self.send(&sso.session, "sso:ListAccountsForProvisionedPermissionSet", request.send()).await?;
            if page.account_ids.is_some_and(|accounts| !accounts.is_empty()) {
                return Ok(true);
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(false);
            }
        }
    }

    /// Returns the status of a request to provision a permission set.
    pub(crate) async fn provisioning_status(&self, request_id: &str) -> Result<AssignmentState> {
        const CALL: &str = "sso:DescribePermissionSetProvisioningStatus";
        let sso = self.sso().await?;
        let request = sso
            .client
            .describe_permission_set_provisioning_status()
            .instance_arn(&sso.instance.arn)
            .provision_permission_set_request_id(request_id);
        let status = self.send(&sso.session, CALL, request.send()).await?.permission_set_provisioning_status;
        let status = status.ok_or_else(|| missing_field(CALL, "status"))?;
        Ok(match status.status {
            Some(StatusValues::Succeeded) => AssignmentState::Succeeded,
            Some(StatusValues::Failed) => AssignmentState::Failed(status.failure_reason.unwrap_or_default()),
            _ => AssignmentState::InProgress,
        })
    }
}

// Calls that change something.
impl Aws {
    pub(crate) async fn create_permission_set(&self, name: &str, description: &str, duration: &str) -> Result<String> {
        const CALL: &str = "sso:CreatePermissionSet";
        let sso = self.sso().await?;
        let request = sso
            .client
            .create_permission_set()
            .instance_arn(&sso.instance.arn)
            .name(name)
            .set_description(not_empty(description))
            .session_duration(duration)
            .set_tags(Some(permission_set_tags(name)));
        let set = self.send(&sso.session, CALL, request.send()).await?.permission_set;
        set.and_then(|set| set.permission_set_arn).ok_or_else(|| missing_field(CALL, "ARN"))
    }

    /// Adds the tag that lets the control role assign the permission set.
    pub(crate) async fn tag_permission_set(&self, arn: &str, name: &str) -> Result<()> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .tag_resource()
            .instance_arn(&sso.instance.arn)
            .resource_arn(arn)
            .set_tags(Some(permission_set_tags(name)));
        self.send(&sso.session, "sso:TagResource", request.send()).await.map(drop)
    }

    pub(crate) async fn update_permission_set(&self, arn: &str, description: &str, duration: &str) -> Result<()> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .update_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(arn)
            .set_description(not_empty(description))
            .session_duration(duration);
        self.send(&sso.session, "sso:UpdatePermissionSet", request.send()).await.map(drop)
    }

    pub(crate) async fn attach_managed_policy(&self, arn: &str, policy: &str) -> Result<()> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .attach_managed_policy_to_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(arn)
            .managed_policy_arn(policy);
        ok_if_conflict(self.send(&sso.session, "sso:AttachManagedPolicyToPermissionSet", request.send()).await)
    }

    pub(crate) async fn detach_managed_policy(&self, arn: &str, policy: &str) -> Result<()> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .detach_managed_policy_from_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(arn)
            .managed_policy_arn(policy);
        self.send(&sso.session, "sso:DetachManagedPolicyFromPermissionSet", request.send()).await.map(drop)
    }

    pub(crate) async fn put_inline_policy(&self, arn: &str, policy: &str) -> Result<()> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .put_inline_policy_to_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(arn)
            .inline_policy(policy);
        self.send(&sso.session, "sso:PutInlinePolicyToPermissionSet", request.send()).await.map(drop)
    }

    pub(crate) async fn delete_inline_policy(&self, arn: &str) -> Result<()> {
        let sso = self.sso().await?;
        let request = sso
            .client
            .delete_inline_policy_from_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(arn);
        self.send(&sso.session, "sso:DeleteInlinePolicyFromPermissionSet", request.send()).await.map(drop)
    }

    /// Provisions a permission set again in every account that already has it. Returns the id of the request.
    pub(crate) async fn provision_permission_set(&self, arn: &str) -> Result<String> {
        const CALL: &str = "sso:ProvisionPermissionSet";
        let sso = self.sso().await?;
        let request = sso
            .client
            .provision_permission_set()
            .instance_arn(&sso.instance.arn)
            .permission_set_arn(arn)
            .target_type(ProvisionTargetType::AllProvisionedAccounts);
        let status = self.send(&sso.session, CALL, request.send()).await?.permission_set_provisioning_status;
        status.and_then(|status| status.request_id).ok_or_else(|| missing_field(CALL, "request id"))
    }
}

/// Converts an empty text to `None`, because AWS rejects an empty description but accepts a missing one.
fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn permission_set_tags(name: &str) -> Vec<Tag> {
    Tag::builder().key(PERMISSION_SET_TAG).value(name).build().into_iter().collect()
}
