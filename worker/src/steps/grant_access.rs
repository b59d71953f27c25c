//! Grants people access to the account: permission sets to groups of Identity Center, and where the tier says so, to a
//! group of the tenant's own with its admin in it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::StepResult;
use crate::cloud::{Assignment, AssignmentState, Grant, Person, Target};
use crate::context::StepContext;
use crate::step::{Outcome, StepError};

/// Assignments take seconds to a minute.
const USUALLY_SECONDS: u64 = 20;

/// CreateAccountAssignment in progress: 15 at a time ("IAM Identity Center quotas").
const QUOTA: &str = "assignments";

/// How often an assignment may fail before a person is asked.
const TRIES: u32 = 4;

/// How far one grant has come; the fact `grants` holds them by permission set and group.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    #[serde(flatten)]
    grant: Grant,
    request_id: Option<String>,
    asked_at: Option<DateTime<Utc>>,
    done: bool,
    failures: u32,
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let account = context.account()?;
    let mut grants = match context.remembered::<BTreeMap<String, Progress>>("grants") {
        Some(grants) => grants,
        None => declared(context).await?,
    };
    let asked_before: Vec<String> = context.intended().map(|(asked, _)| asked).unwrap_or_default();
    let mut released = Vec::new();
    let mut not_yet = None;
    for (name, progress) in grants.iter_mut().filter(|(_, progress)| !progress.done) {
        let place = context.place(QUOTA, name);
        let step = advance(context, &account, name, progress, &asked_before).await;
        match step {
            Ok(true) => released.push(place),
            Ok(false) => {}
            // The others go on.
            Err(error @ StepError::NotYet { .. }) => not_yet = Some(error),
            Err(error) => return Err(error),
        }
    }
    let open: Vec<_> = grants.values().filter(|progress| !progress.done).collect();
    let outcome = match (open.iter().filter_map(|progress| progress.asked_at).min(), not_yet) {
        _ if open.is_empty() => Outcome::done(),
        (Some(since), _) => {
            let at_most = context.config().waits.assignment_seconds;
            context.look_again("access to be assigned", since, USUALLY_SECONDS, at_most).await?
        }
        (None, Some(StepError::NotYet { why, until })) => {
            let soon = context.now() + chrono::TimeDelta::seconds(10);
            Outcome::wait(why, until.unwrap_or(soon))
        }
        (None, _) => Outcome::wait("access to be assigned", context.now() + chrono::TimeDelta::seconds(10)),
    };
    let outcome = match grants.values().filter_map(|progress| progress.asked_at).min() {
        Some(since) if open.is_empty() => outcome.with("took_seconds", context.took_seconds(since)),
        _ => outcome,
    };
    Ok(Outcome { released, ..outcome }.with("grants", json!(grants)))
}

/// Takes one grant a step further and answers whether it is done.
async fn advance(
    context: &StepContext,
    account: &Target,
    name: &str,
    progress: &mut Progress,
    asked_before: &[String],
) -> Result<bool, StepError> {
    let cloud = context.cloud();
    let state = if let Some(request) = &progress.request_id {
        cloud.assignment(request).await?
    } else {
        // Where it was asked for and the answer was lost, it may be there already.
        let asked = asked_before.iter().any(|asked| asked == name);
        if asked && holds(context, account, &progress.grant).await? {
            AssignmentState::Succeeded
        } else {
            context.take(&context.place(QUOTA, name), context.config().quotas.assignments).await?;
            if !asked {
                let mut asked_now = asked_before.to_vec();
                asked_now.push(name.to_owned());
                context.intend(&asked_now).await?;
            }
            let Assignment { request_id, state } = cloud.assign(account, &progress.grant).await?;
            progress.request_id = Some(request_id);
            progress.asked_at = Some(context.now());
            state
        }
    };
    match state {
        AssignmentState::InProgress => {}
        AssignmentState::Succeeded => progress.done = true,
        AssignmentState::Failed(reason) => {
            progress.request_id = None;
            progress.failures += 1;
            if progress.failures >= TRIES {
                return Err(StepError::park(
                    "assignment_failed",
                    format!("Identity Center could not assign {name}: {reason}. Remove the cause, then retry."),
                ));
            }
        }
    }
    Ok(progress.done)
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
            StepError::park(
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
        grants.insert(format!("{set} to the tenant's own group"), new(Grant { permission_set_arn, group_id }));
    }
    Ok(grants)
}

fn new(grant: Grant) -> Progress {
    Progress { grant, request_id: None, asked_at: None, done: false, failures: 0 }
}

async fn permission_set(context: &StepContext, name: &str) -> Result<String, StepError> {
    context.cloud().permission_set(name).await?.ok_or_else(|| {
        StepError::park(
            "permission_set_missing",
            format!("Identity Center has no permission set `{name}`. Run `freehold bootstrap`, then retry."),
        )
    })
}

/// The tenant's own group, with its admin in it.
async fn tenant_group(context: &StepContext) -> Result<String, StepError> {
    let tenant = context.tenant();
    let cloud = context.cloud();
    let group = cloud.ensure_group(&format!("freehold-{}", tenant.id), "The people of one tenant").await?;
    let admin = Person { email: tenant.admin_email.as_str(), display_name: tenant.company_name.as_str() };
    let user = cloud.ensure_user(&admin).await?;
    cloud.ensure_member(&group, &user).await?;
    Ok(group)
}

/// Revokes what was granted; done when none of it is left.
pub(crate) async fn undo(context: &StepContext) -> StepResult {
    let account = context.account()?;
    let grants: BTreeMap<String, Progress> = context.known("grants").unwrap_or_default();
    let mut left = false;
    for progress in grants.values() {
        if holds(context, &account, &progress.grant).await? {
            left = true;
            context.cloud().unassign(&account, &progress.grant).await?;
        }
    }
    if !left {
        return Ok(Outcome::done());
    }
    Ok(Outcome::wait("access to be revoked", context.now() + chrono::TimeDelta::seconds(20)))
}
