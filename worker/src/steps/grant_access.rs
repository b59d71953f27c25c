//! Assigns permission sets in the account to groups of Identity Center. Depending on the tier, the tenant gets a group
//! of its own that contains the tenant's admin. A former admin is removed from it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::access_grant::{AccessChanges, Assignment as Assigned, PrincipalKind};
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tenancy::tenant::OWN_GROUP;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::StepResult;
use super::shared::account_request;
use super::shared::failure_tables::{FailureAction, assignment_failure};
use super::shared::tenant_group;
use crate::cloud::{Assignment, AssignmentState, Grant, Target};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Number of failures of one assignment after which the operation needs attention.
const MAX_ASSIGNMENT_ATTEMPTS: u32 = 4;

/// Progress of one grant, stored in the fact `grants` by permission set and group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GrantProgress {
    #[serde(flatten)]
    grant: Grant,
    request_id: Option<String>,
    #[serde(rename = "asked_at")]
    asked_at: Option<DateTime<Utc>>,
    done: bool,
    failures: u32,
    /// Number of failures that occur only in a new account. They do not count as attempts.
    #[serde(default)]
    early_failures: u32,
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let account = context.account()?;
    let mut grants = match context.step_fact::<BTreeMap<String, GrantProgress>>("grants") {
        Some(grants) => grants,
        None => declared_grants(context).await?,
    };
    reset_late_grants(context, &mut grants);
    let mut requested: Vec<String> = context.pending_intent().map(|(requested, _)| requested).unwrap_or_default();
    let (mut released, mut blocked) = (Vec::new(), None);
    for (name, progress) in grants.iter_mut().filter(|(_, progress)| !progress.done) {
        match advance(context, &account, name, progress, &mut requested).await {
            Ok(RequestState::Open) => {}
            Ok(RequestState::Finished) => released.push(context.slot(Quota::Assignments, name)),
            // Continue with the other grants.
            Err(error @ StepError::Blocked { .. }) => blocked = Some(error),
            // Keep the progress of the other grants.
            Err(error) => return Ok(with_grants(context, StepOutcome::failed(error), released, &grants)),
        }
    }
    if grants.values().all(|progress| progress.done)
        && let Err(error) = tenant_group::remove_former_admins(context).await
    {
        return Ok(with_grants(context, StepOutcome::failed(error), released, &grants));
    }
    let since = grants.values().filter_map(|progress| progress.asked_at).min();
    let outcome = if grants.is_empty() {
        StepOutcome::skipped(format!("neither the configuration nor tier `{}` grants access", context.tenant().tier))
    } else if grants.values().all(|progress| progress.done) {
        let outcome = StepOutcome::done();
        since.map_or_else(StepOutcome::done, |since| {
            outcome.with("took_seconds", context.estimated_duration_seconds(since))
        })
    } else if let Some(since) =
        grants.values().filter(|grant| !grant.done).filter_map(GrantProgress::outstanding_since).min()
    {
        let (expected, at_most) =
            (context.config().expected_durations.assignment_seconds, context.config().timeouts.assignment_seconds);
        let outcome = context.wait_for_shared_poll(WaitReason::AccessAssignment, since, expected, at_most).await?;
        match blocked {
            // At least one grant is queued, or its status could not be read.
            Some(StepError::Blocked { until: Some(until), .. }) => outcome.no_later_than(until),
            _ => outcome,
        }
    } else {
        // Each grant is queued, or failed and is requested again.
        let early = grants.values().map(|progress| progress.early_failures).max().unwrap_or(0);
        let until = context.now() + TimeDelta::seconds(15 * i64::from(early.clamp(1, 8)));
        let reason = WaitReason::RepeatedRequest(RequestedWork::Assignment);
        let retry = StepError::Blocked { reason, until: Some(until), at_most: None };
        StepOutcome::failed(blocked.unwrap_or(retry))
    };
    Ok(with_grants(context, outcome, released, &grants))
}

fn with_grants(
    context: &StepContext,
    outcome: StepOutcome,
    released: Vec<QuotaSlot>,
    grants: &BTreeMap<String, GrantProgress>,
) -> StepOutcome {
    let done = grants.iter().filter(|(_, progress)| progress.done);
    let granted = done.filter_map(|(name, progress)| progress.to_assignment(context, name)).collect();
    let access = context.account_id().map(|account| AccessChanges { granted, ..AccessChanges::of(account) });
    StepOutcome { released, access, ..outcome }.with("grants", json!(grants))
}

/// Discards requests made before the last manual retry, so that the step reads the existing grants first.
fn reset_late_grants(context: &StepContext, grants: &mut BTreeMap<String, GrantProgress>) {
    let retried = context.entry().and_then(|entry| entry.retried_at);
    for progress in grants.values_mut().filter(|progress| !progress.done && progress.asked_at < retried) {
        progress.request_id = None;
    }
}

/// Returns the progress of the grants of the latest earlier operation on the environment.
pub(super) fn earlier_progress(context: &StepContext) -> BTreeMap<String, GrantProgress> {
    let facts = context.earlier_entries(StepName::GrantAccess).find_map(|entry| entry.facts.get("grants"));
    facts.and_then(|grants| serde_json::from_value(grants.clone()).ok()).unwrap_or_default()
}

impl GrantProgress {
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Returns the id and the time of the request in progress, or `None` without a request.
    pub(super) fn request(&self) -> Option<(&str, DateTime<Utc>)> {
        Some((self.request_id.as_deref()?, self.asked_at?))
    }

    pub(super) fn permission_set_arn(&self) -> &str {
        &self.grant.permission_set_arn
    }

    /// Returns the assignment of a grant with the key `name`, which [`declared_grants`] builds.
    fn to_assignment(&self, context: &StepContext, name: &str) -> Option<Assigned> {
        let (permission_set, group) = name.split_once(" to ")?;
        let (principal_kind, principal_name) = match group {
            OWN_GROUP => (PrincipalKind::TenantGroup, tenant_group::name(context.tenant().id)),
            _ => (PrincipalKind::ConfiguredGroup, group.to_owned()),
        };
        Some(Assigned {
            permission_set: permission_set.to_owned(),
            permission_set_arn: self.grant.permission_set_arn.clone(),
            principal_kind,
            principal_id: self.grant.group_id.clone(),
            principal_name: Some(principal_name),
        })
    }

    /// Returns the time of the request in progress, or `None` without a request.
    fn outstanding_since(&self) -> Option<DateTime<Utc>> {
        self.request_id.as_ref().and(self.asked_at)
    }
}

enum RequestState {
    Open,
    Finished,
}

/// Requests one grant, or reads the status of its request.
async fn advance(
    context: &StepContext,
    account: &Target,
    name: &str,
    progress: &mut GrantProgress,
    requested: &mut Vec<String>,
) -> Result<RequestState, StepError> {
    let aws = context.aws();
    let may_be_requested = progress.request_id.is_none() && requested.iter().any(|one| one == name);
    let state = if let Some(request) = &progress.request_id {
        aws.assignment_status(request).await?
    } else if may_be_requested && let Some(request) = find_lost_request(context, account, name, &progress.grant).await?
    {
        // The response was lost, and AWS is working on the request.
        record_request(context, name, progress, request).await?;
        AssignmentState::InProgress
    } else if may_be_requested && is_granted(context, account, &progress.grant).await? {
        // The response was lost, and AWS has finished the request.
        AssignmentState::Succeeded
    } else {
        context.acquire_slot(&context.slot(Quota::Assignments, name), context.config().quotas.assignments).await?;
        if !requested.iter().any(|one| one == name) {
            requested.push(name.to_owned());
            context.record_intent(requested).await?;
        }
        let Assignment { request_id, state } = match aws.assign(account, &progress.grant).await {
            Ok(assignment) => assignment,
            Err(error) => {
                if error.had_no_effect() {
                    // The call had no effect, so the next run does not have to search for a lost request.
                    requested.retain(|one| one != name);
                    context.record_intent(requested).await?;
                }
                return Err(error.into());
            }
        };
        record_request(context, name, progress, request_id).await?;
        state
    };
    match state {
        AssignmentState::InProgress => Ok(RequestState::Open),
        AssignmentState::Succeeded => {
            progress.done = true;
            Ok(RequestState::Finished)
        }
        AssignmentState::Failed(reason)
            if assignment_failure(&reason) == FailureAction::RetryWhileNew && is_new(context) =>
        {
            progress.request_id = None;
            progress.early_failures += 1;
            Ok(RequestState::Finished)
        }
        AssignmentState::Failed(_) if progress.failures + 1 < MAX_ASSIGNMENT_ATTEMPTS => {
            progress.request_id = None;
            progress.failures += 1;
            Ok(RequestState::Finished)
        }
        AssignmentState::Failed(reason) => {
            account_request::check_active(context).await?;
            // After a manual retry, all attempts are available again.
            *progress = new(progress.grant.clone());
            Err(StepError::needs_attention(
                AttentionCode::AssignmentFailed,
                format!("Identity Center could not assign {name}: {reason}. Fix the cause, then retry."),
            ))
        }
    }
}

/// Records the id of the assignment request that AWS has returned.
async fn record_request(
    context: &StepContext,
    name: &str,
    progress: &mut GrantProgress,
    request: String,
) -> Result<(), StepError> {
    context.record_request_id(&context.slot(Quota::Assignments, name), &request, StepName::GrantAccess).await?;
    progress.request_id = Some(request);
    progress.asked_at = Some(context.now());
    Ok(())
}

/// Returns the request for this grant that is in progress at AWS but missing from the journal.
async fn find_lost_request(
    context: &StepContext,
    account: &Target,
    name: &str,
    grant: &Grant,
) -> Result<Option<String>, StepError> {
    let aws = context.aws();
    let in_progress = aws.assignments_in_progress().await?;
    for request in context.unclaimed_requests(&context.slot(Quota::Assignments, name), &in_progress).await? {
        if aws.is_request_for(&request, account, grant).await? {
            return Ok(Some(request));
        }
    }
    Ok(None)
}

/// Returns whether the account is so new that Identity Center may not have access to it yet.
fn is_new(context: &StepContext) -> bool {
    let since = context.fact("created_at").or_else(|| context.step_finished_at(StepName::AwaitAccount));
    since.is_some_and(|since| context.now() < context.deadline(since, context.config().timeouts.account_usable_seconds))
}

/// Returns whether the permission set is assigned to the group in the account.
pub(super) async fn is_granted(context: &StepContext, account: &Target, grant: &Grant) -> Result<bool, StepError> {
    let groups = context.aws().assigned_groups(account, &grant.permission_set_arn).await?;
    Ok(groups.contains(&grant.group_id))
}

/// Returns the grants that the configuration and the tier declare. If a group or permission set is missing, the
/// operation needs attention.
async fn declared_grants(context: &StepContext) -> Result<BTreeMap<String, GrantProgress>, StepError> {
    let mut grants = BTreeMap::new();
    for access in &context.config().access {
        let group_id = context.aws().group(&access.group).await?.ok_or_else(|| {
            StepError::needs_attention(
                AttentionCode::GroupMissing,
                format!(
                    "Identity Center has no group `{}`. Create it or synchronise it from your identity provider, then \
                     retry.",
                    access.group
                ),
            )
        })?;
        let permission_set_arn = permission_set(context, &access.permission_set).await?;
        let name = format!("{} to {}", access.permission_set, access.group);
        grants.insert(name, new(Grant { permission_set_arn, group_id }));
    }
    let tier = context.config().tier(&context.tenant().tier);
    if let Some(set) = tier.and_then(|tier| tier.tenant_group_permission_set.as_ref()) {
        let permission_set_arn = permission_set(context, set).await?;
        let group_id = tenant_group::ensure_with_admin(context).await?.group.id().to_owned();
        grants.insert(own_group_grant(set), new(Grant { permission_set_arn, group_id }));
    }
    Ok(grants)
}

/// Returns the key under which the journal stores the grant to the tenant's own group.
pub(crate) fn own_group_grant(permission_set: &str) -> String {
    format!("{permission_set} to {OWN_GROUP}")
}

fn new(grant: Grant) -> GrantProgress {
    GrantProgress { grant, request_id: None, asked_at: None, done: false, failures: 0, early_failures: 0 }
}

async fn permission_set(context: &StepContext, name: &str) -> Result<String, StepError> {
    context.aws().permission_set(name).await?.ok_or_else(|| {
        StepError::needs_attention(
            AttentionCode::PermissionSetMissing,
            format!("Identity Center has no permission set `{name}`. Run `freehold bootstrap`, then retry."),
        )
    })
}
