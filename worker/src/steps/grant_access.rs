//! Grants people access to the account: permission sets to groups of Identity Center, and where the tier says so, to a
//! group of the tenant's own with its admin in it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::quotas::Place;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::StepResult;
use crate::cloud::{Assignment, AssignmentState, Grant, Person, Target};
use crate::context::StepContext;
use crate::quota::ASSIGNMENTS;
use crate::step::{Outcome, StepError};

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
    let mut asked: Vec<String> = context.intended().map(|(asked, _)| asked).unwrap_or_default();
    let (mut released, mut not_yet) = (Vec::new(), None);
    for (name, progress) in grants.iter_mut().filter(|(_, progress)| !progress.done) {
        match advance(context, &account, name, progress, &mut asked).await {
            Ok(Request::Open) => {}
            Ok(Request::Ended) => released.push(context.place(ASSIGNMENTS, name)),
            // The others go on.
            Err(error @ StepError::NotYet { .. }) => not_yet = Some(error),
            // What the others have come to is kept.
            Err(error) => return Ok(kept(Outcome::failed(error), released, &grants)),
        }
    }
    let since = grants.values().filter_map(|progress| progress.asked_at).min();
    let outcome = if grants.values().all(|progress| progress.done) {
        let outcome = Outcome::done();
        since.map_or_else(Outcome::done, |since| outcome.with("took_seconds", context.took_seconds(since)))
    } else if let Some(since) = grants.values().filter(|grant| !grant.done).filter_map(Progress::outstanding).min() {
        let (usually, at_most) = (context.config().usual.assignment_seconds, context.config().waits.assignment_seconds);
        let looking = context.wait_to_be_told("access to be assigned", since, usually, at_most).await;
        looking.unwrap_or_else(|late| {
            // Whoever has it tried again wants to know first what is there by then.
            for progress in grants.values_mut().filter(|progress| !progress.done) {
                progress.request_id = None;
            }
            Outcome::failed(late)
        })
    } else {
        // Each is in line, or failed and is asked for again.
        let again = StepError::NotYet { why: "another try at assigning access".to_owned(), until: None };
        Outcome::failed(not_yet.unwrap_or(again))
    };
    Ok(kept(outcome, released, &grants))
}

fn kept(outcome: Outcome, released: Vec<Place>, grants: &BTreeMap<String, Progress>) -> Outcome {
    Outcome { released, ..outcome }.with("grants", json!(grants))
}

impl Progress {
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
    let state = if let Some(request) = &progress.request_id {
        cloud.assignment(request).await?
    } else if asked.iter().any(|one| one == name) && holds(context, account, &progress.grant).await? {
        // It was asked for, and the answer was lost.
        AssignmentState::Succeeded
    } else {
        context.take(&context.place(ASSIGNMENTS, name), context.config().quotas.assignments).await?;
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
        context.asked(&context.place(ASSIGNMENTS, name), &request_id, "grant-access").await?;
        progress.request_id = Some(request_id);
        progress.asked_at = Some(context.now());
        state
    };
    match state {
        AssignmentState::InProgress => Ok(Request::Open),
        AssignmentState::Succeeded => {
            progress.done = true;
            Ok(Request::Ended)
        }
        AssignmentState::Failed(_) if progress.failures + 1 < TRIES => {
            progress.request_id = None;
            progress.failures += 1;
            Ok(Request::Ended)
        }
        AssignmentState::Failed(reason) => {
            // Who has it tried again starts with a clean slate.
            *progress = new(progress.grant.clone());
            Err(StepError::park(
                "assignment_failed",
                format!("Identity Center could not assign {name}: {reason}. Remove the cause, then retry."),
            ))
        }
    }
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
