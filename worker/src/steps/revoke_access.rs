//! Revokes access to the account. An offboarding of the last environment of a tenant also deletes the users created for
//! the tenant.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use freehold_tenancy::access_grant::AccessChanges;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::StepResult;
use super::grant_access::{self, is_granted};
use super::shared::account_request::RETRY_REQUEST_AFTER;
use super::shared::{NO_ACCOUNT, preconditions, tenant_group};
use crate::aws::{GROUP_NOT_OWN, PERMISSION_SET_TAG};
use crate::cloud::{Assignment, AssignmentState, CloudError, CloudErrorKind, Grant, Target};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Number of failures of one revocation after which the operation needs attention.
const MAX_REVOCATION_ATTEMPTS: u32 = 4;

/// Progress of the revocation of one assignment.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Revocation {
    #[serde(flatten)]
    grant: Grant,
    request_id: Option<String>,
    #[serde(rename = "asked_at")]
    asked_at: Option<DateTime<Utc>>,
    done: bool,
    failures: u32,
}

impl Revocation {
    fn of(grant: Grant) -> Self {
        Self { grant, request_id: None, asked_at: None, done: false, failures: 0 }
    }
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let Some(account) = context.account_if_any()? else { return Ok(StepOutcome::skipped(NO_ACCOUNT)) };
    let mut revocations = match context.step_fact::<BTreeMap<String, Revocation>>("revocations") {
        Some(revocations) => revocations,
        None => match unfinished_grants(context).await? {
            Some(outcome) => return Ok(outcome),
            // AWS deletes the assignments of an account that leaves the organisation.
            None if preconditions::has_left(context) => BTreeMap::new(),
            None => assignments(context, &account).await?,
        },
    };
    let mut blocked = None;
    for (name, revocation) in revocations.iter_mut().filter(|(_, revocation)| !revocation.done) {
        match advance(context, &account, name, revocation).await {
            Ok(()) => {}
            Err(error @ StepError::Blocked { .. }) => blocked = Some(error),
            Err(error) => return Ok(with_revocations(context, StepOutcome::failed(error), &account, &revocations)),
        }
    }
    let with_revocations = |outcome| with_revocations(context, outcome, &account, &revocations);
    let since =
        revocations.values().filter(|one| !one.done).filter_map(|one| one.request_id.as_ref().and(one.asked_at)).min();
    if let Some(since) = since {
        let at_most = context.config().timeouts.assignment_seconds;
        return Ok(with_revocations(
            context
                .poll_later(
                    WaitReason::AccessRevocation,
                    since,
                    context.config().expected_durations.assignment_seconds,
                    at_most,
                )
                .await?,
        ));
    }
    if revocations.values().any(|revocation| !revocation.done) {
        let retry = || StepError::Blocked {
            reason: WaitReason::RepeatedRequest(RequestedWork::Revocation),
            until: None,
            at_most: Some(chrono::TimeDelta::hours(1)),
        };
        return Ok(with_revocations(StepOutcome::failed(blocked.unwrap_or_else(retry))));
    }
    // A suspended tenant keeps its users, because it is expected to return.
    if context.operation_kind() == OperationKind::Offboard && is_last_environment(context) {
        remove_tenant_users(context).await?;
    }
    Ok(release_slots(with_revocations(StepOutcome::done()), context))
}

fn with_revocations(
    context: &StepContext,
    outcome: StepOutcome,
    account: &Target,
    revocations: &BTreeMap<String, Revocation>,
) -> StepOutcome {
    let done = revocations.values().filter(|revocation| revocation.done).map(|revocation| &revocation.grant);
    let revoked = done.map(|grant| (grant.permission_set_arn.clone(), grant.group_id.clone())).collect();
    let has_left = preconditions::has_left(context);
    let access = AccessChanges { revoked, has_left, ..AccessChanges::of(account.id().clone()) };
    StepOutcome { access: Some(access), ..outcome }.with("revocations", json!(revocations))
}

/// Releases the slots that the onboarding acquired for assignments.
fn release_slots(mut outcome: StepOutcome, context: &StepContext) -> StepOutcome {
    let granted = grant_access::earlier_progress(context).into_keys();
    outcome.released.extend(granted.map(|name| context.slot(Quota::Assignments, name)));
    outcome
}

/// Waits for the requests of earlier operations, because an assignment that finishes later would not be revoked.
async fn unfinished_grants(context: &StepContext) -> Result<Option<StepOutcome>, StepError> {
    for progress in grant_access::earlier_progress(context).into_values().filter(|progress| !progress.is_done()) {
        if let Some((request, since)) = progress.request()
            && context.aws().assignment_status(request).await? == AssignmentState::InProgress
        {
            let at_most = context.config().timeouts.assignment_seconds;
            let reason = WaitReason::AccessAssignmentBeforeRevocation;
            return context
                .poll_later(reason, since, context.config().expected_durations.assignment_seconds, at_most)
                .await
                .map(Some);
        }
    }
    let pending_intent = context.earlier_entries(StepName::GrantAccess).filter_map(|entry| entry.intent_at).max();
    let certain_at = pending_intent.map(|at| at + RETRY_REQUEST_AFTER).filter(|at| context.now() < *at);
    Ok(certain_at.map(|at| StepOutcome::wait(WaitReason::LostResponse(RequestedWork::Assignment), at)))
}

/// Returns all assignments of Freehold's permission sets in the account, including those that other programs created.
/// Freehold's permission sets are the configured ones and those with which earlier operations made assignments.
async fn assignments(context: &StepContext, account: &Target) -> Result<BTreeMap<String, Revocation>, StepError> {
    let config = context.config();
    let mut sets: BTreeSet<String> = grant_access::earlier_progress(context)
        .into_values()
        .map(|progress| progress.permission_set_arn().to_owned())
        .collect();
    for set in &config.permission_sets {
        sets.extend(context.aws().permission_set(&set.name).await?);
    }
    let known = context.own_assignments().await?;
    let former: BTreeSet<_> = known.iter().map(|(arn, _)| arn.clone()).filter(|arn| !sets.contains(arn)).collect();
    let mut revocations = BTreeMap::new();
    for (permission_set_arn, group_id) in known {
        // AWS may not have this assignment any more.
        let grant = Grant { permission_set_arn, group_id };
        revocations.insert(key(&grant), Revocation { done: true, ..Revocation::of(grant) });
    }
    for permission_set_arn in sets.iter().chain(&former) {
        let groups = match context.aws().assigned_groups(account, permission_set_arn).await {
            // A permission set that was deleted has no assignments.
            Err(error) if error.code == "ResourceNotFoundException" && former.contains(permission_set_arn) => continue,
            groups => groups?,
        };
        for group_id in groups {
            let grant = Grant { permission_set_arn: permission_set_arn.clone(), group_id };
            revocations.insert(key(&grant), Revocation::of(grant));
        }
    }
    Ok(revocations)
}

/// Returns the key under which the journal stores the revocation of a grant.
fn key(grant: &Grant) -> String {
    format!("{} to {}", grant.permission_set_arn, grant.group_id)
}

/// Requests one revocation, or reads the status of its request.
async fn advance(
    context: &StepContext,
    account: &Target,
    name: &str,
    revocation: &mut Revocation,
) -> Result<(), StepError> {
    let state = if let Some(request) = &revocation.request_id {
        context.aws().unassignment_status(request).await?
    } else {
        preconditions::check_ownership(context, account).await?;
        if is_granted(context, account, &revocation.grant).await? {
            let requested = context.aws().unassign(account, &revocation.grant).await;
            let Assignment { request_id, state } =
                requested.map_err(|error| explain_denial(&revocation.grant.permission_set_arn, error))?;
            revocation.request_id = Some(request_id);
            revocation.asked_at = Some(context.now());
            state
        } else {
            // The assignment no longer exists, for example because the response to the last request was lost.
            AssignmentState::Succeeded
        }
    };
    match state {
        AssignmentState::InProgress => {}
        AssignmentState::Succeeded => revocation.done = true,
        AssignmentState::Failed(_) if revocation.failures + 1 < MAX_REVOCATION_ATTEMPTS => {
            revocation.request_id = None;
            revocation.failures += 1;
        }
        AssignmentState::Failed(reason) => {
            revocation.request_id = None;
            revocation.failures = 0;
            return Err(StepError::needs_attention(
                AttentionCode::RevocationFailed,
                format!("Identity Center could not revoke {name}: {reason}. Fix the cause, then retry."),
            ));
        }
    }
    Ok(())
}

/// Adds to a denial that the permission set may lack the tag with which `freehold bootstrap` marks the configured sets.
fn explain_denial(permission_set_arn: &str, error: CloudError) -> StepError {
    let instance = permission_set_arn.split('/').nth(1).unwrap_or_default();
    if !matches!(error.kind, CloudErrorKind::Denied { .. }) {
        return error.into();
    }
    let message = format!(
        "AWS denied the revocation. If the permission set is no longer configured, it may lack Freehold's tag: an \
         administrator of the organisation adds it, then retry: aws sso-admin tag-resource --instance-arn \
         arn:aws:sso:::instance/{instance} --resource-arn {permission_set_arn} --tags Key={PERMISSION_SET_TAG},Value=\
         former. Otherwise grant the permission to Freehold's role, then retry. {error}"
    );
    StepError::needs_attention(AttentionCode::AwsAccessDenied, message).caused_by(&error)
}

/// Returns whether every other environment of the tenant is offboarding or offboarded.
fn is_last_environment(context: &StepContext) -> bool {
    let leaves = |state| matches!(state, EnvironmentState::Offboarding | EnvironmentState::Offboarded);
    let others = context.tenant().environments.iter().filter(|other| other.id != context.environment().id);
    others.into_iter().all(|other| leaves(other.state))
}

/// Deletes the tenant's own group and its users. Keeps users that Freehold did not create or that have another use.
async fn remove_tenant_users(context: &StepContext) -> Result<(), StepError> {
    let aws = context.aws();
    let group = match aws.own_group(context.tenant().id).await {
        // Another group has the name, which has stopped the onboarding before it used the group.
        Err(error) if error.code == GROUP_NOT_OWN && !context.has_used_tenant_group().await? => return Ok(()),
        group => group?,
    };
    let Some(group) = group else { return Ok(()) };
    for membership in aws.members(group.id()).await? {
        tenant_group::remove_user(aws, &group, &membership).await?;
    }
    aws.delete_group(&group).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_revocation_names_the_command_that_tags_the_set() {
        let (kind, call) = (CloudErrorKind::Denied { explicit_deny: false }, "sso:DeleteAccountAssignment");
        let denied = CloudError::from_freehold(kind, call, "AccessDeniedException", "denied".to_owned());
        let error = explain_denial("arn:aws:sso:::permissionSet/ssoins-1/ps-2", denied);
        let StepError::NeedsAttention(attention) = error else { panic!("{error:?}") };
        assert_eq!(attention.code, AttentionCode::AwsAccessDenied.as_str());
        let command = "aws sso-admin tag-resource --instance-arn arn:aws:sso:::instance/ssoins-1 --resource-arn \
                       arn:aws:sso:::permissionSet/ssoins-1/ps-2 --tags Key=freehold:permission-set,Value=former";
        assert!(attention.message.contains(command), "{}", attention.message);
    }
}
