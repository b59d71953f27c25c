//! Grants people access to the account: permission sets to groups of Identity Center, and where the tier says so, to a
//! group of the tenant's own with its admin in it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::TenantId;
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::StepResult;
use super::shared::account_request;
use super::shared::failure_tables::{FailureAction, assignment_failure};
use crate::cloud::{Assignment, AssignmentState, Grant, Person, Target};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// How often an assignment may fail before a person is asked.
const TRIES: u32 = 4;

/// How far one grant has come; the fact `grants` holds them by permission set and group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    #[serde(flatten)]
    grant: Grant,
    request_id: Option<String>,
    #[serde(rename = "asked_at")]
    asked_at: Option<DateTime<Utc>>,
    done: bool,
    failures: u32,
    /// Failures that only a fresh account has; they do not count.
    #[serde(default)]
    early_failures: u32,
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let account = context.account()?;
    let mut grants = match context.step_fact::<BTreeMap<String, Progress>>("grants") {
        Some(grants) => grants,
        None => declared(context).await?,
    };
    reset_late_grants(context, &mut grants);
    let mut asked: Vec<String> = context.pending_intent().map(|(asked, _)| asked).unwrap_or_default();
    let (mut released, mut not_yet) = (Vec::new(), None);
    for (name, progress) in grants.iter_mut().filter(|(_, progress)| !progress.done) {
        match advance(context, &account, name, progress, &mut asked).await {
            Ok(Request::Open) => {}
            Ok(Request::Ended) => released.push(context.slot(Quota::Assignments, name)),
            // The others go on.
            Err(error @ StepError::Blocked { .. }) => not_yet = Some(error),
            // What the others have come to is kept.
            Err(error) => return Ok(kept(StepOutcome::failed(error), released, &grants)),
        }
    }
    let since = grants.values().filter_map(|progress| progress.asked_at).min();
    let outcome = if grants.values().all(|progress| progress.done) {
        let outcome = StepOutcome::done();
        since.map_or_else(StepOutcome::done, |since| outcome.with("took_seconds", context.took_seconds(since)))
    } else if let Some(since) = grants.values().filter(|grant| !grant.done).filter_map(Progress::outstanding).min() {
        let (usually, at_most) =
            (context.config().expected_durations.assignment_seconds, context.config().timeouts.assignment_seconds);
        let outcome = context.wait_for_shared_poll("access to be assigned", since, usually, at_most).await?;
        match not_yet {
            // One is in line, or AWS did not let us look at it.
            Some(StepError::Blocked { until: Some(until), .. }) => outcome.no_later_than(until),
            _ => outcome,
        }
    } else {
        // Each is in line, or failed and is asked for again.
        let early = grants.values().map(|progress| progress.early_failures).max().unwrap_or(0);
        let until = context.now() + TimeDelta::seconds(15 * i64::from(early.clamp(1, 8)));
        let again =
            StepError::Blocked { why: "another try at assigning access".to_owned(), until: Some(until), at_most: None };
        StepOutcome::failed(not_yet.unwrap_or(again))
    };
    Ok(kept(outcome, released, &grants))
}

fn kept(outcome: StepOutcome, released: Vec<QuotaSlot>, grants: &BTreeMap<String, Progress>) -> StepOutcome {
    StepOutcome { released, ..outcome }.with("grants", json!(grants))
}

/// Whoever has it tried again wants to know first what is there by now, and not what became of the old request.
fn reset_late_grants(context: &StepContext, grants: &mut BTreeMap<String, Progress>) {
    let retried = context.entry().and_then(|entry| entry.retried_at);
    for progress in grants.values_mut().filter(|progress| !progress.done && progress.asked_at < retried) {
        progress.request_id = None;
    }
}

/// How far the grants of the latest operation before this one have come.
pub(super) fn of_earlier(context: &StepContext) -> BTreeMap<String, Progress> {
    let facts = context.earlier_entries(StepName::GrantAccess).find_map(|entry| entry.facts.get("grants"));
    facts.and_then(|grants| serde_json::from_value(grants.clone()).ok()).unwrap_or_default()
}

impl Progress {
    /// Whether the grant is there.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The request for it that is outstanding, and since when.
    pub(super) fn request(&self) -> Option<(&str, DateTime<Utc>)> {
        Some((self.request_id.as_deref()?, self.asked_at?))
    }

    /// Which permission set.
    pub(super) fn permission_set_arn(&self) -> &str {
        &self.grant.permission_set_arn
    }

    /// Since when a request for it is outstanding, if one is.
    fn outstanding(&self) -> Option<DateTime<Utc>> {
        self.request_id.as_ref().and(self.asked_at)
    }
}

/// Whether a request for an assignment still counts as outstanding.
enum Request {
    Open,
    Ended,
}

/// Takes one grant a step further.
async fn advance(
    context: &StepContext,
    account: &Target,
    name: &str,
    progress: &mut Progress,
    asked: &mut Vec<String>,
) -> Result<Request, StepError> {
    let cloud = context.cloud();
    let was_asked = progress.request_id.is_none() && asked.iter().any(|one| one == name);
    let state = if let Some(request) = &progress.request_id {
        cloud.assignment_status(request).await?
    } else if was_asked && let Some(request) = under_way(context, account, name, &progress.grant).await? {
        // The answer was lost, and AWS is at it.
        note(context, name, progress, request).await?;
        AssignmentState::InProgress
    } else if was_asked && holds(context, account, &progress.grant).await? {
        // The answer was lost, and AWS has done it.
        AssignmentState::Succeeded
    } else {
        context.acquire_slot(&context.slot(Quota::Assignments, name), context.config().quotas.assignments).await?;
        if !asked.iter().any(|one| one == name) {
            asked.push(name.to_owned());
            context.intend(asked).await?;
        }
        let Assignment { request_id, state } = match cloud.assign(account, &progress.grant).await {
            Ok(assignment) => assignment,
            Err(error) => {
                if error.had_no_effect() {
                    // Nothing was asked, so that there is nothing to look for the next time.
                    asked.retain(|one| one != name);
                    context.intend(asked).await?;
                }
                return Err(error.into());
            }
        };
        note(context, name, progress, request_id).await?;
        state
    };
    match state {
        AssignmentState::InProgress => Ok(Request::Open),
        AssignmentState::Succeeded => {
            progress.done = true;
            Ok(Request::Ended)
        }
        AssignmentState::Failed(reason)
            if assignment_failure(&reason) == FailureAction::RetryWhileNew && is_fresh(context) =>
        {
            progress.request_id = None;
            progress.early_failures += 1;
            Ok(Request::Ended)
        }
        AssignmentState::Failed(_) if progress.failures + 1 < TRIES => {
            progress.request_id = None;
            progress.failures += 1;
            Ok(Request::Ended)
        }
        AssignmentState::Failed(reason) => {
            account_request::check_active(context).await?;
            // Who has it tried again starts with a clean slate.
            *progress = new(progress.grant.clone());
            Err(StepError::needs_attention(
                "assignment_failed",
                format!("Identity Center could not assign {name}: {reason}. Remove the cause, then retry."),
            ))
        }
    }
}

/// Remembers what AWS calls the request.
async fn note(context: &StepContext, name: &str, progress: &mut Progress, request: String) -> Result<(), StepError> {
    context.record_request_id(&context.slot(Quota::Assignments, name), &request, StepName::GrantAccess).await?;
    progress.request_id = Some(request);
    progress.asked_at = Some(context.now());
    Ok(())
}

/// The request for the grant that AWS is at though the journal does not know it.
async fn under_way(
    context: &StepContext,
    account: &Target,
    name: &str,
    grant: &Grant,
) -> Result<Option<String>, StepError> {
    let cloud = context.cloud();
    let in_progress = cloud.assignments_in_progress().await?;
    for request in context.unclaimed(&context.slot(Quota::Assignments, name), &in_progress).await? {
        if cloud.is_request_for(&request, account, grant).await? {
            return Ok(Some(request));
        }
    }
    Ok(None)
}

/// Whether the account is so young that Identity Center may not be let into it yet.
fn is_fresh(context: &StepContext) -> bool {
    let since = context.fact("created_at").or_else(|| context.done_at(StepName::AwaitAccount));
    since.is_some_and(|since| context.now() < context.deadline(since, context.config().timeouts.account_usable_seconds))
}

/// Whether the account has the grant.
pub(super) async fn holds(context: &StepContext, account: &Target, grant: &Grant) -> Result<bool, StepError> {
    let groups = context.cloud().assigned_groups(account, &grant.permission_set_arn).await?;
    Ok(groups.contains(&grant.group_id))
}

/// What the configuration and the tier declare, looked up in Identity Center.
async fn declared(context: &StepContext) -> Result<BTreeMap<String, Progress>, StepError> {
    let mut grants = BTreeMap::new();
    for access in &context.config().access {
        let group_id = context.cloud().group(&access.group).await?.ok_or_else(|| {
            StepError::needs_attention(
                "group_missing",
                format!(
                    "Identity Center has no group `{}`. Create it or let your identity provider bring it, then retry.",
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
        let group_id = tenant_group(context).await?;
        grants.insert(own_group_grant(set), new(Grant { permission_set_arn, group_id }));
    }
    Ok(grants)
}

/// What the grant to the tenant's own group is called in the journal.
pub(crate) fn own_group_grant(permission_set: &str) -> String {
    format!("{permission_set} to the tenant's own group")
}

fn new(grant: Grant) -> Progress {
    Progress { grant, request_id: None, asked_at: None, done: false, failures: 0, early_failures: 0 }
}

async fn permission_set(context: &StepContext, name: &str) -> Result<String, StepError> {
    context.cloud().permission_set(name).await?.ok_or_else(|| {
        StepError::needs_attention(
            "permission_set_missing",
            format!("Identity Center has no permission set `{name}`. Run `freehold bootstrap`, then retry."),
        )
    })
}

/// What the tenant's own group is called.
pub(super) fn group_of(tenant: TenantId) -> String {
    format!("freehold-{tenant}")
}

/// The tenant's own group, with its admin in it.
async fn tenant_group(context: &StepContext) -> Result<String, StepError> {
    let tenant = context.tenant();
    let cloud = context.cloud();
    let group = cloud.ensure_group(&group_of(tenant.id), "The people of one tenant").await?;
    if let Some(email) = &tenant.admin_email {
        let admin = Person { email: email.as_str(), display_name: tenant.company_name.as_str() };
        let user = cloud.ensure_user(&admin).await?;
        cloud.ensure_member(&group, &user).await?;
    }
    Ok(group)
}
