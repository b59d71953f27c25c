//! Shortest possible duration of a rollout: each update starts as soon as the limits of its wave allow, and each end of
//! an update is known at once.
//!
//! If all updates take the same time and none fails, this is Σ ⌈n/c⌉·(update + verification) plus the bakes, for waves
//! of n environments with c concurrent updates.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::TimeDelta;
use freehold_tenancy::rollout::RolloutPlan;

/// Update of one environment, as AWS takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdealUpdate {
    pub(crate) duration: TimeDelta,
    pub(crate) fails: bool,
}

/// Returns the shortest duration of a rollout until it has finished or is halted. `waves` are the updates of each wave
/// in their order.
pub(crate) fn ideal_duration(plan: &RolloutPlan, waves: &[Vec<IdealUpdate>]) -> TimeDelta {
    let mut now = TimeDelta::zero();
    for (number, updates) in waves.iter().enumerate() {
        let wave = plan.wave(number).expect("a wave of the plan");
        let (mut next, mut failures, mut running) = (0, 0, BinaryHeap::new());
        loop {
            while next < updates.len() && running.len() < usize::try_from(wave.max_running(failures)).unwrap_or(0) {
                running.push(Reverse((now + updates[next].duration, updates[next].fails)));
                next += 1;
            }
            let Some(Reverse((end, fails))) = running.pop() else { break };
            now = end;
            failures += u32::from(fails);
            if failures > wave.max_failures {
                return now;
            }
        }
        if number + 1 < waves.len() {
            now += TimeDelta::seconds(i64::try_from(wave.bake_seconds).unwrap_or(0));
        }
    }
    now
}
