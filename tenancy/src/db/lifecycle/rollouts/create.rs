//! Creates a rollout with its waves and members, or forecasts one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::candidates::candidates;
use crate::db::rollout_waves::InsertedWave;
use crate::db::rollouts::InsertedRollout;
use crate::db::{
    PgPool, Result, change_freeze, events, finish_transaction, releases, rollout_members, rollout_waves, rollouts,
};
use crate::feed::FeedType;
use crate::operation::Requester;
use crate::release::ReleaseState;
use crate::rollout::{EmptyWave, LeftOut, Membership, RolloutPlan, WaveEstimate, approval_sha256, assign, estimate};
use crate::{EnvironmentName, PlanName, ReleaseId, RolloutId, WaveName};

/// Request for a rollout.
#[derive(Debug, Clone, Copy)]
pub struct NewRollout<'a> {
    pub release: ReleaseId,
    /// Name of the configured plan; `None` if the request has waves of its own.
    pub plan_name: Option<&'a PlanName>,
    /// Valid plan, see [`RolloutPlan::problems`].
    pub plan: &'a RolloutPlan,
    pub by: &'a Requester,
    /// Names of environments that may get a release without an approval.
    pub non_production: &'a [EnvironmentName],
}

/// Expected course of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutForecast {
    pub waves: Vec<WaveEstimate>,
    /// Environments that a wave selects, but that are no members.
    pub left_out: Vec<LeftOut>,
}

/// Result of a request to [`create_rollout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateRolloutResult {
    Created(RolloutId),
    /// This rollout has not finished.
    InProgress(RolloutId),
    /// No update starts in any environment for this reason.
    Frozen {
        reason: String,
        until: Option<DateTime<Utc>>,
    },
    Refused(PlanRolloutResult),
}

/// Result of a dry run by [`plan_rollout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanRolloutResult {
    Planned(RolloutForecast),
    ReleaseNotFound,
    /// The release is not ready.
    ReleaseNotReady(ReleaseState),
    /// No second person has approved the release, and the rollout has production environments or makes it the default.
    ReleaseNotApproved,
    /// This wave has no environment.
    EmptyWave(WaveName),
}

/// Forecasts a rollout without creating it, also while another one is in progress or changes are frozen.
/// `update_seconds` is the usual duration of an update.
pub async fn plan_rollout(
    pool: &PgPool,
    new: &NewRollout<'_>,
    update_seconds: u64,
    now: DateTime<Utc>,
) -> Result<PlanRolloutResult> {
    let planned = find_members(&mut *pool.acquire().await?, new, now).await?;
    Ok(planned.map_or_else(
        |refusal| refusal,
        |membership| {
            let sizes: Vec<_> = membership.waves.iter().map(Vec::len).collect();
            let waves = estimate(new.plan, &sizes, update_seconds);
            PlanRolloutResult::Planned(RolloutForecast { waves, left_out: membership.left_out })
        },
    ))
}

/// Creates a rollout that a worker starts at once. Its members are those of this moment.
pub async fn create_rollout(pool: &PgPool, new: &NewRollout<'_>, now: DateTime<Utc>) -> Result<CreateRolloutResult> {
    let mut tx = pool.begin().await?;
    let result = create_in_tx(&mut tx, new, now).await;
    finish_transaction(tx, result, |result| matches!(result, CreateRolloutResult::Created(_))).await
}

async fn create_in_tx(tx: &mut PgConnection, new: &NewRollout<'_>, now: DateTime<Utc>) -> Result<CreateRolloutResult> {
    if let Some(id) = rollouts::unfinished_in_tx(tx).await? {
        return Ok(CreateRolloutResult::InProgress(id));
    }
    if let Some(freeze) = change_freeze::in_force(tx, now).await? {
        return Ok(CreateRolloutResult::Frozen { reason: freeze.reason, until: freeze.until });
    }
    let membership = match find_members(tx, new, now).await? {
        Ok(membership) => membership,
        Err(refusal) => return Ok(CreateRolloutResult::Refused(refusal)),
    };
    let id = RolloutId::new(now);
    let (release, plan_name) = (new.release, new.plan_name);
    let inserted = InsertedRollout { id, release, plan_name, plan: new.plan, by: new.by };
    if !rollouts::insert(tx, &inserted, now).await? {
        // Another request has created a rollout at the same time.
        let other = rollouts::unfinished_in_tx(tx).await?;
        return Ok(CreateRolloutResult::InProgress(other.unwrap_or(id)));
    }
    for (number, (wave, members)) in new.plan.waves.iter().zip(&membership.waves).enumerate() {
        let environments: Vec<_> = members.iter().map(|member| member.environment_id).collect();
        let hash = wave.approval.then(|| approval_sha256(new.release, number, &environments));
        let wave = InsertedWave { number, name: &wave.name, approval_sha256: hash.as_deref() };
        rollout_waves::insert(tx, id, &wave).await?;
        rollout_members::insert(tx, id, number, members).await?;
    }
    let data = json!({ "rollout_id": id, "release_id": new.release });
    events::append_fleet_event(tx, FeedType::RolloutStarted, &data, now).await?;
    Ok(CreateRolloutResult::Created(id))
}

/// Returns the members of a rollout, or the reason why it is refused.
async fn find_members(
    tx: &mut PgConnection,
    new: &NewRollout<'_>,
    now: DateTime<Utc>,
) -> Result<std::result::Result<Membership, PlanRolloutResult>> {
    let release = match releases::find_in_tx(tx, new.release).await? {
        None => return Ok(Err(PlanRolloutResult::ReleaseNotFound)),
        Some(release) if release.state != ReleaseState::Ready => {
            return Ok(Err(PlanRolloutResult::ReleaseNotReady(release.state)));
        }
        Some(release) => release,
    };
    let candidates = candidates(tx, new.release, now).await?;
    let membership = match assign(new.plan, &candidates) {
        Ok(membership) => membership,
        Err(EmptyWave(name)) => return Ok(Err(PlanRolloutResult::EmptyWave(name))),
    };
    let members: BTreeSet<_> = membership.waves.iter().flatten().map(|member| member.environment_id).collect();
    let mut names = candidates.iter().filter(|one| members.contains(&one.environment_id)).map(|one| &one.name);
    let may_lack_approval = !new.plan.makes_default && names.all(|name| new.non_production.contains(name));
    if !release.is_approved() && !may_lack_approval {
        return Ok(Err(PlanRolloutResult::ReleaseNotApproved));
    }
    Ok(Ok(membership))
}
