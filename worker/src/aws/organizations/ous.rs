//! AWS Organizations calls for OUs and the service control policies attached to them.

use aws_sdk_organizations::types::PolicyType;
use chrono::TimeDelta;
use freehold_tenancy::config::Residency;

use super::client;
use crate::aws::Aws;
use crate::aws::cache::{PARTIAL_RESULT_TTL, STATE_TTL};
use crate::aws::call::missing_field;
use crate::cloud::{CloudError, CloudErrorKind, ResidencyOu, Result};
use crate::guardrail;

/// Cache lifetime of the root's id, which never changes.
const ROOT_TTL: TimeDelta = TimeDelta::hours(1);

impl Aws {
    /// Returns the OU of a residency, or `None` before `freehold bootstrap` has created it.
    pub async fn residency_ou(&self, residency: &Residency) -> Result<Option<ResidencyOu>> {
        let Some(ou_id) = self.ou(&residency.ou_name()).await? else { return Ok(None) };
        let guarded = self.caches.guarded.get_or_fetch(&ou_id, &self.clock, async {
            let attached = self.policy_on(&ou_id, &residency.guardrail_name()).await?;
            let wanted = guardrail::residency_guardrail(residency, &self.config.organization).map_err(|too_long| {
                let (call, message) = ("organizations:DescribePolicy", too_long.to_string());
                CloudError::from_freehold(CloudErrorKind::Failed, call, "GuardrailTooLong", message)
            })?;
            let same = attached.is_some_and(|attached| guardrail::is_same_json(&attached, &wanted));
            Ok(same.then(|| ((), self.clock.now() + STATE_TTL)))
        });
        let guarded = guarded.await?.is_some();
        Ok(Some(ResidencyOu { ou_id, guarded }))
    }

    /// Returns the id of the quarantine OU, or `None` before `freehold bootstrap` has created it.
    pub async fn quarantine_ou(&self) -> Result<Option<String>> {
        self.ou(&self.config.organization.quarantine_ou).await
    }

    /// Removes the id of a deleted OU from the cache.
    pub fn forget_ou(&self, name: &str) {
        self.caches.ous.invalidate(&name.to_owned());
    }

    /// Returns the id of Freehold's OU `name`, or `None` if it does not exist.
    async fn ou(&self, name: &str) -> Result<Option<String>> {
        let fetch = async {
            let parent = self.parent_of_ous().await?;
            let found = self.ous_in(&parent).await?.into_iter().find(|(known, _)| known == name);
            Ok(found.map(|(_, id)| (id, self.clock.now() + STATE_TTL)))
        };
        self.caches.ous.get_or_fetch(&name.to_owned(), &self.clock, fetch).await
    }

    /// Returns the id of the OU or root that contains Freehold's OUs.
    pub(crate) async fn parent_of_ous(&self) -> Result<String> {
        match &self.config.organization.parent_ou {
            Some(parent) => Ok(parent.clone()),
            None => self.root().await,
        }
    }

    pub(crate) async fn root(&self) -> Result<String> {
        const CALL: &str = "organizations:ListRoots";
        let fetch = async {
            let session = self.control_session().await?;
            let mut token = None;
            loop {
                let page =
                    self.send(&session, CALL, client(&session).list_roots().set_next_token(token).send()).await?;
                let root = page.roots.unwrap_or_default().into_iter().next().and_then(|root| root.id);
                token = page.next_token;
                if root.is_some() || token.is_none() {
                    return Ok(root.map(|id| (id, self.clock.now() + ROOT_TTL)));
                }
            }
        };
        self.caches.root.get_or_fetch(&(), &self.clock, fetch).await?.ok_or_else(|| missing_field(CALL, "root"))
    }

    /// Returns the name and the id of each OU directly in `parent`.
    pub(crate) async fn ous_in(&self, parent: &str) -> Result<Vec<(String, String)>> {
        const CALL: &str = "organizations:ListOrganizationalUnitsForParent";
        let session = self.control_session().await?;
        let mut ous = Vec::new();
        let mut token = None;
        loop {
            let request =
                client(&session).list_organizational_units_for_parent().parent_id(parent).set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            let units = page.organizational_units.unwrap_or_default().into_iter();
            ous.extend(units.filter_map(|unit| unit.name.zip(unit.id)));
            token = page.next_token;
            if token.is_none() {
                return Ok(ous);
            }
        }
    }

    /// Returns the content of the service control policy `name` attached to `target`, or `None` if it is not attached.
    async fn policy_on(&self, target: &str, name: &str) -> Result<Option<String>> {
        let fetch = async { Ok(Some((self.policies_on(target).await?, self.clock.now() + PARTIAL_RESULT_TTL))) };
        let attached = self.caches.attached_policies.get_or_fetch(&target.to_owned(), &self.clock, fetch).await?;
        let content = match attached.unwrap_or_default().into_iter().find(|(known, _)| known == name) {
            Some((_, id)) => self.policy_content(&id).await.map(Some),
            None => Ok(None),
        };
        // The list is cached only if a rate limit interrupted the read, because a detached guardrail must be noticed
        // quickly.
        if !content.as_ref().is_err_and(|error| matches!(error.kind, CloudErrorKind::Throttled { .. })) {
            self.caches.attached_policies.invalidate(&target.to_owned());
        }
        content
    }

    /// Returns the name and the id of each service control policy attached directly to `target`.
    pub(crate) async fn policies_on(&self, target: &str) -> Result<Vec<(String, String)>> {
        const CALL: &str = "organizations:ListPoliciesForTarget";
        let session = self.control_session().await?;
        let mut policies = Vec::new();
        let mut token = None;
        loop {
            let request = client(&session)
                .list_policies_for_target()
                .target_id(target)
                .filter(PolicyType::ServiceControlPolicy)
                .set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            let summaries = page.policies.unwrap_or_default().into_iter();
            policies.extend(summaries.filter_map(|summary| summary.name.zip(summary.id)));
            token = page.next_token;
            if token.is_none() {
                return Ok(policies);
            }
        }
    }

    pub(crate) async fn policy_content(&self, policy_id: &str) -> Result<String> {
        const CALL: &str = "organizations:DescribePolicy";
        let session = self.control_session().await?;
        let request = client(&session).describe_policy().policy_id(policy_id);
        let policy = self.send(&session, CALL, request.send()).await?.policy;
        policy.and_then(|policy| policy.content).ok_or_else(|| missing_field(CALL, "content"))
    }
}
