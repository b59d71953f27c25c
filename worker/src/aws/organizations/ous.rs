//! AWS Organizations calls for OUs and the service control policies attached to them.

use aws_sdk_organizations::types::PolicyType;
use chrono::TimeDelta;
use freehold_tenancy::config::Residency;

use super::client;
use crate::aws::Aws;
use crate::aws::cache::{PARTIAL_TTL, STATE_TTL};
use crate::aws::call::missing_field;
use crate::cloud::{CloudError, CloudErrorKind, ResidencyOu, Result};
use crate::guardrail;

/// Cache lifetime of the root's id, which never changes.
const ROOT_TTL: TimeDelta = TimeDelta::hours(1);

pub(in crate::aws) async fn residency_ou(aws: &Aws, residency: &Residency) -> Result<Option<ResidencyOu>> {
    let Some(ou_id) = ou(aws, &residency.ou_name()).await? else { return Ok(None) };
    let guarded = aws.known.guarded.get_or_fetch(&ou_id, &aws.clock, async {
        let attached = policy_on(aws, &ou_id, &residency.guardrail_name()).await?;
        let wanted = guardrail::of_residency(residency, &aws.config.organization).map_err(|too_long| CloudError {
            kind: CloudErrorKind::Failed,
            call: "organizations:DescribePolicy",
            code: "GuardrailTooLong".to_owned(),
            message: too_long.to_string(),
            request_id: None,
        })?;
        let same = attached.is_some_and(|attached| guardrail::same(&attached, &wanted));
        Ok(same.then(|| ((), aws.clock.now() + STATE_TTL)))
    });
    let guarded = guarded.await?.is_some();
    Ok(Some(ResidencyOu { ou_id, guarded }))
}

pub(in crate::aws) async fn quarantine_ou(aws: &Aws) -> Result<Option<String>> {
    ou(aws, &aws.config.organization.quarantine_ou).await
}

/// Returns the id of Freehold's OU `name`, or `None` if it does not exist.
async fn ou(aws: &Aws, name: &str) -> Result<Option<String>> {
    let fetch = async {
        let parent = parent_of_ous(aws).await?;
        let found = ous_in(aws, &parent).await?.into_iter().find(|(known, _)| known == name);
        Ok(found.map(|(_, id)| (id, aws.clock.now() + STATE_TTL)))
    };
    aws.known.ous.get_or_fetch(&name.to_owned(), &aws.clock, fetch).await
}

/// Returns the id of the OU or root that contains Freehold's OUs.
pub(in crate::aws) async fn parent_of_ous(aws: &Aws) -> Result<String> {
    match &aws.config.organization.parent_ou {
        Some(parent) => Ok(parent.clone()),
        None => root(aws).await,
    }
}

async fn root(aws: &Aws) -> Result<String> {
    const CALL: &str = "organizations:ListRoots";
    let fetch = async {
        let control = aws.control().await?;
        let mut token = None;
        loop {
            let page = aws.send(&control, CALL, client(&control).list_roots().set_next_token(token).send()).await?;
            let root = page.roots.unwrap_or_default().into_iter().next().and_then(|root| root.id);
            token = page.next_token;
            if root.is_some() || token.is_none() {
                return Ok(root.map(|id| (id, aws.clock.now() + ROOT_TTL)));
            }
        }
    };
    aws.known.root.get_or_fetch(&(), &aws.clock, fetch).await?.ok_or_else(|| missing_field(CALL, "root"))
}

/// Returns the name and the id of each OU directly in `parent`.
pub(in crate::aws) async fn ous_in(aws: &Aws, parent: &str) -> Result<Vec<(String, String)>> {
    const CALL: &str = "organizations:ListOrganizationalUnitsForParent";
    let control = aws.control().await?;
    let mut ous = Vec::new();
    let mut token = None;
    loop {
        let request = client(&control).list_organizational_units_for_parent().parent_id(parent).set_next_token(token);
        let page = aws.send(&control, CALL, request.send()).await?;
        let units = page.organizational_units.unwrap_or_default().into_iter();
        ous.extend(units.filter_map(|unit| unit.name.zip(unit.id)));
        token = page.next_token;
        if token.is_none() {
            return Ok(ous);
        }
    }
}

/// Returns the content of the service control policy `name` attached to `target`, or `None` if it is not attached.
async fn policy_on(aws: &Aws, target: &str, name: &str) -> Result<Option<String>> {
    let fetch = async { Ok(Some((policies_on(aws, target).await?, aws.clock.now() + PARTIAL_TTL))) };
    let attached = aws.known.attached_policies.get_or_fetch(&target.to_owned(), &aws.clock, fetch).await?;
    let content = match attached.unwrap_or_default().into_iter().find(|(known, _)| known == name) {
        Some((_, id)) => policy_content(aws, &id).await.map(Some),
        None => Ok(None),
    };
    // The list is cached only if a rate limit interrupted the read, because a detached guardrail must be noticed
    // quickly.
    if !content.as_ref().is_err_and(|error| matches!(error.kind, CloudErrorKind::Throttled { .. })) {
        aws.known.attached_policies.forget(&target.to_owned());
    }
    content
}

/// Returns the name and the id of each service control policy attached directly to `target`.
pub(in crate::aws) async fn policies_on(aws: &Aws, target: &str) -> Result<Vec<(String, String)>> {
    const CALL: &str = "organizations:ListPoliciesForTarget";
    let control = aws.control().await?;
    let mut policies = Vec::new();
    let mut token = None;
    loop {
        let request = client(&control)
            .list_policies_for_target()
            .target_id(target)
            .filter(PolicyType::ServiceControlPolicy)
            .set_next_token(token);
        let page = aws.send(&control, CALL, request.send()).await?;
        let summaries = page.policies.unwrap_or_default().into_iter();
        policies.extend(summaries.filter_map(|summary| summary.name.zip(summary.id)));
        token = page.next_token;
        if token.is_none() {
            return Ok(policies);
        }
    }
}

pub(in crate::aws) async fn policy_content(aws: &Aws, policy_id: &str) -> Result<String> {
    const CALL: &str = "organizations:DescribePolicy";
    let control = aws.control().await?;
    let request = client(&control).describe_policy().policy_id(policy_id);
    let policy = aws.send(&control, CALL, request.send()).await?.policy;
    policy.and_then(|policy| policy.content).ok_or_else(|| missing_field(CALL, "content"))
}
