//! Converts rollouts to their form in responses.

use chrono::{DateTime, Utc};
use freehold_tenancy::WaveName;
use freehold_tenancy::rollout::{self, MemberState, RolloutAction, RolloutState, RolloutWave, Wave};

use super::schema::{self, ReleaseCount, Rollout, RolloutEnvironment, RolloutFailure};

/// Returns a rollout without its waves. `waves` are the waves of the sentence on its next event, if they are known.
pub(super) fn summary(rollout: &rollout::Rollout, waves: &[RolloutWave]) -> Rollout {
    Rollout {
        id: rollout.id.to_string(),
        release_id: rollout.release_id.to_string(),
        plan: rollout.plan_name.clone(),
        state: rollout.state.to_string(),
        reason: rollout.reason.clone(),
        next: next(rollout, waves),
        actions: actions(rollout.state),
        since: rollout.since,
        wave: wave_name(rollout, rollout.wave),
        respect_windows: rollout.plan.respect_windows,
        makes_default: rollout.plan.makes_default,
        created_by: rollout.created_by.subject.clone(),
        created_at: rollout.created_at,
        updated_at: rollout.updated_at,
        finished_at: rollout.finished_at,
        waves: None,
        failures: None,
        releases: None,
    }
}

/// Returns a rollout with its waves, failures and releases.
pub(super) fn details(
    rollout: &rollout::Rollout,
    waves: &[RolloutWave],
    failures: Vec<(String, i64)>,
    releases: Vec<rollout::ReleaseCount>,
) -> Rollout {
    let failures = failures.into_iter().map(|(reason, environments)| RolloutFailure { reason, environments });
    let releases = releases.into_iter().map(|count| ReleaseCount {
        region: count.region.to_string(),
        release_id: count.release.map(|id| id.to_string()),
        environments: count.environments,
    });
    Rollout {
        waves: Some(waves.iter().filter_map(|wave| of_wave(rollout, wave)).collect()),
        failures: Some(failures.collect()),
        releases: Some(releases.collect()),
        ..summary(rollout, waves)
    }
}

fn of_wave(rollout: &rollout::Rollout, wave: &RolloutWave) -> Option<schema::RolloutWave> {
    let planned = rollout.plan.wave(wave.number)?;
    let approval = wave.approval.as_ref();
    Some(schema::RolloutWave {
        name: wave.name.to_string(),
        environments: wave.counts.iter().map(|(state, count)| (state.to_string(), *count)).collect(),
        max_concurrent: planned.max_concurrent,
        max_failures: planned.max_failures,
        concurrency_mode: planned.concurrency_mode.to_string(),
        effective_concurrency: planned.effective_concurrency(),
        concurrency_limit: concurrency_limit(&planned).to_owned(),
        bake_seconds: planned.bake_seconds,
        approval_sha256: wave.approval_sha256.clone(),
        approved_by: approval.map(|approval| approval.by.subject.clone()),
        approved_at: approval.map(|approval| approval.at),
        started_at: wave.started_at,
        updated_at: wave.updated_at,
        bake_until: wave.bake_until,
        promotion_reason: wave.promotion_reason.clone(),
        finished_at: wave.finished_at,
    })
}

pub(super) fn environment(rollout: &rollout::Rollout, member: rollout::RolloutMember) -> RolloutEnvironment {
    RolloutEnvironment {
        environment_id: member.environment_id.to_string(),
        environment: member.environment_name.to_string(),
        tenant_id: member.tenant_id.to_string(),
        wave: wave_name(rollout, member.wave),
        state: member.state.to_string(),
        reason: member.reason,
        operation_id: member.operation_id.map(|id| id.to_string()),
        previous_release_id: member.previous_release_id.map(|id| id.to_string()),
        started_at: member.started_at,
        finished_at: member.finished_at,
    }
}

/// Returns the name of the setting that limits the concurrent updates of a wave.
pub(super) fn concurrency_limit(wave: &Wave) -> &'static str {
    if wave.effective_concurrency() < wave.max_concurrent { "max_failures" } else { "max_concurrent" }
}

/// Returns the number of the wave `name`, or `None` if the rollout has no such wave.
pub(super) fn wave_number(rollout: &rollout::Rollout, name: &WaveName) -> Option<usize> {
    (0..=rollout.plan.waves.len()).find(|number| rollout.plan.wave(*number).is_some_and(|wave| wave.name == *name))
}

fn wave_name(rollout: &rollout::Rollout, number: usize) -> String {
    rollout.plan.wave(number).map(|wave| wave.name.to_string()).unwrap_or_default()
}

/// Returns the requests that a rollout in this state allows, as in their paths.
pub(super) fn actions(state: RolloutState) -> Vec<String> {
    RolloutAction::ALL.iter().filter(|action| state.allows(**action)).map(|action| path_of(*action)).collect()
}

/// Returns the last part of the path of an action.
pub(super) fn path_of(action: RolloutAction) -> String {
    action.as_str().replace('_', "-")
}

/// Describes the next event of a rollout.
fn next(rollout: &rollout::Rollout, waves: &[RolloutWave]) -> String {
    let wave = wave_name(rollout, rollout.wave);
    let current = waves.iter().find(|one| one.number == rollout.wave);
    let count = |state: MemberState| {
        let counts = waves.iter().flat_map(|wave| &wave.counts);
        counts.filter(|(one, _)| *one == state).map(|(_, count)| *count).sum::<i64>()
    };
    let (waiting, updating) = (count(MemberState::Waiting), count(MemberState::Updating));
    match rollout.state {
        RolloutState::Pending => format!("A worker starts the wave {wave} within seconds."),
        RolloutState::Running if waves.is_empty() => format!("The updates of the wave {wave} continue."),
        RolloutState::Running => {
            format!("The updates of the wave {wave} continue; {updating} run, {waiting} wait in all waves.")
        }
        RolloutState::AwaitingApproval => {
            format!("Another person than {} approves the wave {wave}; then it starts.", rollout.created_by.subject)
        }
        RolloutState::Baking if rollout.reason.is_some() => {
            format!("The bake of the wave {wave} ends once the alarms could be read, or by a promotion.")
        }
        RolloutState::Baking => match current.and_then(|wave| wave.bake_until) {
            Some(until) => format!(
                "The bake of the wave {wave} ends at {}; then the next wave starts, unless environments have failed.",
                time(until)
            ),
            None => format!("The next wave starts after the bake of the wave {wave}."),
        },
        RolloutState::Paused => "Nothing starts until a person resumes the rollout.".to_owned(),
        RolloutState::Halted => {
            "Nothing starts until a person acts: retry the failed environments, roll back, or abort.".to_owned()
        }
        RolloutState::RollingBack => "The environments get back their releases, the last wave first.".to_owned(),
        RolloutState::Aborted if rollout.finished_at.is_none() => "The updates in progress finish.".to_owned(),
        RolloutState::RolledBack | RolloutState::Succeeded | RolloutState::Aborted => {
            "Nothing; the rollout has ended.".to_owned()
        }
    }
}

fn time(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M UTC")
}
