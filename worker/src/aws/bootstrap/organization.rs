//! AWS calls of `freehold bootstrap` for the organisation: its features, OUs, policies and trusted services.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_organizations::types::{OrganizationFeatureSet, PolicyType, PolicyTypeStatus};

use super::super::Aws;
use super::super::call::{missing_field, ok_if_conflict};
use super::super::organizations::client;
use crate::cloud::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrganizationFacts {
    /// Id of the organisation: `o-…`.
    pub(crate) id: String,
    pub(crate) management_account_id: String,
    /// Whether the organisation has all features. Policies are not available with consolidated billing only.
    pub(crate) all_features: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootFacts {
    pub(crate) id: String,
    pub(crate) scps_enabled: bool,
}

// Calls that only read.
impl Aws {
    pub(crate) async fn organization_facts(&self) -> Result<OrganizationFacts> {
        const CALL: &str = "organizations:DescribeOrganization";
        let session = self.control_session().await?;
        let response = self.send(&session, CALL, client(&session).describe_organization().send()).await?;
        let organization = response.organization.ok_or_else(|| missing_field(CALL, "organisation"))?;
        Ok(OrganizationFacts {
            id: organization.id.unwrap_or_default(),
            management_account_id: organization.master_account_id.unwrap_or_default(),
            all_features: organization.feature_set == Some(OrganizationFeatureSet::All),
        })
    }

    pub(crate) async fn root_facts(&self) -> Result<RootFacts> {
        const CALL: &str = "organizations:ListRoots";
        let session = self.control_session().await?;
        let mut token = None;
        let root = loop {
            let page = self.send(&session, CALL, client(&session).list_roots().set_next_token(token).send()).await?;
            match page.roots.unwrap_or_default().into_iter().next() {
                Some(root) => break root,
                None => token = Some(page.next_token.ok_or_else(|| missing_field(CALL, "root"))?),
            }
        };
        let scps_enabled = root.policy_types.unwrap_or_default().iter().any(|summary| {
            summary.r#type == Some(PolicyType::ServiceControlPolicy)
                && matches!(summary.status, Some(PolicyTypeStatus::Enabled | PolicyTypeStatus::PendingEnable))
        });
        Ok(RootFacts { id: root.id.ok_or_else(|| missing_field(CALL, "root"))?, scps_enabled })
    }

    /// Returns the services with trusted access to the organisation's accounts, such as `account.amazonaws.com`.
    pub(crate) async fn trusted_services(&self) -> Result<BTreeSet<String>> {
        const CALL: &str = "organizations:ListAWSServiceAccessForOrganization";
        let session = self.control_session().await?;
        let mut services = BTreeSet::new();
        let mut token = None;
        loop {
            let request = client(&session).list_aws_service_access_for_organization().set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            let enabled = page.enabled_service_principals.unwrap_or_default().into_iter();
            services.extend(enabled.filter_map(|enabled| enabled.service_principal));
            token = page.next_token;
            if token.is_none() {
                return Ok(services);
            }
        }
    }

    /// Returns the number of accounts, including the management account and closed accounts.
    pub(crate) async fn count_accounts(&self) -> Result<usize> {
        const CALL: &str = "organizations:ListAccounts";
        let session = self.control_session().await?;
        let mut count = 0;
        let mut token = None;
        loop {
            let page = self.send(&session, CALL, client(&session).list_accounts().set_next_token(token).send()).await?;
            count += page.accounts.unwrap_or_default().len();
            token = page.next_token;
            if token.is_none() {
                return Ok(count);
            }
        }
    }

    /// Returns a map from the name to the id of each OU directly in `parent`.
    pub(crate) async fn ous(&self, parent: &str) -> Result<BTreeMap<String, String>> {
        Ok(self.ous_in(parent).await?.into_iter().collect())
    }

    /// Returns a map from the name to the id of each service control policy.
    pub(crate) async fn policies(&self) -> Result<BTreeMap<String, String>> {
        const CALL: &str = "organizations:ListPolicies";
        let session = self.control_session().await?;
        let mut policies = BTreeMap::new();
        let mut token = None;
        loop {
            let request =
                client(&session).list_policies().filter(PolicyType::ServiceControlPolicy).set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            let summaries = page.policies.unwrap_or_default().into_iter();
            policies.extend(summaries.filter_map(|summary| summary.name.zip(summary.id)));
            token = page.next_token;
            if token.is_none() {
                return Ok(policies);
            }
        }
    }

    /// Returns the ids of the service control policies attached directly to an OU.
    pub(crate) async fn policy_ids_on(&self, target: &str) -> Result<BTreeSet<String>> {
        Ok(self.policies_on(target).await?.into_iter().map(|(_, id)| id).collect())
    }
}

// Calls that change something.
impl Aws {
    pub(crate) async fn enable_scps(&self, root: &str) -> Result<()> {
        let session = self.control_session().await?;
        let request = client(&session).enable_policy_type().root_id(root).policy_type(PolicyType::ServiceControlPolicy);
        ok_if_conflict(self.send(&session, "organizations:EnablePolicyType", request.send()).await)
    }

    pub(crate) async fn enable_trusted_access(&self, service: &str) -> Result<()> {
        let session = self.control_session().await?;
        let request = client(&session).enable_aws_service_access().service_principal(service);
        self.send(&session, "organizations:EnableAWSServiceAccess", request.send()).await.map(drop)
    }

    pub(crate) async fn create_ou(&self, parent: &str, name: &str) -> Result<String> {
        const CALL: &str = "organizations:CreateOrganizationalUnit";
        let session = self.control_session().await?;
        let request = client(&session).create_organizational_unit().parent_id(parent).name(name);
        let unit = self.send(&session, CALL, request.send()).await?.organizational_unit;
        unit.and_then(|unit| unit.id).ok_or_else(|| missing_field(CALL, "id"))
    }

    pub(crate) async fn create_policy(&self, name: &str, description: &str, content: &str) -> Result<String> {
        const CALL: &str = "organizations:CreatePolicy";
        let session = self.control_session().await?;
        let request = client(&session)
            .create_policy()
            .name(name)
            .description(description)
            .content(content)
            .r#type(PolicyType::ServiceControlPolicy);
        let policy = self.send(&session, CALL, request.send()).await?.policy;
        policy.and_then(|policy| policy.policy_summary?.id).ok_or_else(|| missing_field(CALL, "id"))
    }

    pub(crate) async fn update_policy(&self, policy_id: &str, content: &str) -> Result<()> {
        let session = self.control_session().await?;
        let request = client(&session).update_policy().policy_id(policy_id).content(content);
        self.send(&session, "organizations:UpdatePolicy", request.send()).await.map(drop)
    }

    pub(crate) async fn attach_policy(&self, policy_id: &str, target: &str) -> Result<()> {
        let session = self.control_session().await?;
        let request = client(&session).attach_policy().policy_id(policy_id).target_id(target);
        ok_if_conflict(self.send(&session, "organizations:AttachPolicy", request.send()).await)
    }
}
