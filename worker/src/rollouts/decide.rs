//! Decides on the next action of a rollout from its plan and progress. This module accesses no clock, no database
//! and no AWS.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::rollout::{Decision, RolloutPlan, RolloutProgress, Wave};

/// Returns the next action of a rollout at the time `now`.
pub(crate) fn decide(plan: &RolloutPlan, progress: &RolloutProgress, now: DateTime<Utc>) -> Decision {
    match plan.wave(progress.wave) {
        None => Decision::Halt { reason: "the plan has no such wave".to_owned() },
        Some(wave) if progress.is_rolling_back => decide_rollback(&wave, progress),
        Some(wave) => decide_wave(plan, &wave, progress, now),
    }
}

#[rustfmt::skip]
fn decide_wave(plan: &RolloutPlan, wave: &Wave, progress: &RolloutProgress, now: DateTime<Utc>) -> Decision {
    let (failed, in_bake, tolerated) = (progress.failed, progress.failed_in_bake, wave.max_failures);
    let unread_alarms = progress.unread_alarms;
    let free = wave.max_running(failed).saturating_sub(progress.updating);
    let deadline = progress.started_at.zip(wave.window_deadline_seconds).map(|(start, after)| start + seconds(after));
    let is_waiting = progress.waiting > 0;
    // Not before the catch-up wave, which follows the last wave of the plan.
    let is_followed = progress.has_next_wave && progress.wave + 1 < plan.waves.len();
    let bakes = is_followed && wave.bake_seconds > 0 && progress.finished_at.is_none();
    let bake = bakes.then_some(wave.bake_seconds);

    // Too many failures: nothing starts any more.
    if failed > tolerated              { return halt(wave, failed, ["update has failed", "updates have failed"]); }
    if in_bake > tolerated             { return halt(wave, in_bake, AFTER_UPDATE); }
    // The wave has not started.
    if wave.approval && !progress.is_approved       { return Decision::AwaitApproval; }
    // Updates wait or run.
    if is_waiting && progress.frozen_until.is_some()       { return wait([progress.frozen_until, None]); }
    if is_waiting && deadline.is_some_and(|at| at <= now)  { return skip_rest(wave); }
    if progress.startable > 0 && free > 0  { return Decision::Begin { count: progress.startable.min(free) }; }
    if is_waiting                      { return wait([progress.next_check_at, deadline]); }
    if progress.updating > 0           { return wait([None, None]); }
    // All updates of the wave have ended.
    match (progress.bake_until, bake) {
        (Some(until), _) if until > now   => Decision::Bake { until },
        (None, Some(bake))                => Decision::Bake { until: now + seconds(bake) },
        _ if unread_alarms > 0            => Decision::AwaitAlarms { environments: unread_alarms },
        _ if progress.has_next_wave       => Decision::NextWave,
        _                                 => Decision::Finish,
    }
}

/// Starts updates back to the releases before the rollout. Failures do not stop them.
fn decide_rollback(wave: &Wave, progress: &RolloutProgress) -> Decision {
    let free = wave.max_concurrent.saturating_sub(progress.updating);
    if progress.waiting > 0 && progress.frozen_until.is_some() {
        wait([progress.frozen_until, None])
    } else if progress.startable > 0 && free > 0 {
        Decision::Begin { count: progress.startable.min(free) }
    } else if progress.waiting > 0 || progress.updating > 0 {
        wait([progress.next_check_at, None])
    } else {
        Decision::Finish
    }
}

fn wait(times: [Option<DateTime<Utc>>; 2]) -> Decision {
    Decision::Wait { until: times.into_iter().flatten().min() }
}

/// Singular and plural of the reason of a halt for failures in a bake.
const AFTER_UPDATE: [&str; 2] =
    ["environment has failed after its update", "environments have failed after their updates"];

fn halt(wave: &Wave, failures: u32, [one, many]: [&str; 2]) -> Decision {
    let (name, tolerated) = (&wave.name, wave.max_failures);
    let what = if failures == 1 { one } else { many };
    Decision::Halt { reason: format!("{failures} {what} in the wave {name}, which tolerates {tolerated}") }
}

fn skip_rest(wave: &Wave) -> Decision {
    Decision::SkipRest { reason: format!("not started before the deadline of the wave {}", wave.name) }
}

/// Converts a number of seconds that the validation of plans limits to a few weeks.
fn seconds(seconds: u64) -> TimeDelta {
    i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::zero())
}

#[cfg(test)]
mod tests;
