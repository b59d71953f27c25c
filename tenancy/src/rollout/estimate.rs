//! Estimates the duration of a rollout. This module accesses no clock and no database.

use super::plan::{RolloutPlan, Wave};
use crate::WaveName;

/// Estimate of one wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveEstimate {
    pub name: WaveName,
    /// Number of environments in the wave.
    pub environments: usize,
    /// Number of updates that run at the same time while none has failed.
    pub effective_concurrency: u32,
    /// Duration with the bake, without the time until an approval.
    pub seconds: u64,
}

/// Estimates each wave of a plan. `sizes` are the numbers of environments of the waves, and an update with its
/// verification takes `update_seconds`.
pub fn estimate(plan: &RolloutPlan, sizes: &[usize], update_seconds: u64) -> Vec<WaveEstimate> {
    let last = plan.waves.len().saturating_sub(1);
    let of_wave = |(number, (wave, environments)): (usize, (&Wave, &usize))| {
        let effective_concurrency = wave.effective_concurrency().max(1);
        let batches = u64::try_from(*environments).unwrap_or(u64::MAX).div_ceil(u64::from(effective_concurrency));
        let bake = if number == last { 0 } else { wave.bake_seconds };
        WaveEstimate {
            name: wave.name.clone(),
            environments: *environments,
            effective_concurrency,
            seconds: batches.saturating_mul(update_seconds).saturating_add(bake),
        }
    };
    plan.waves.iter().zip(sizes).enumerate().map(of_wave).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seconds(max_failures: u32, mode: &str) -> u64 {
        let wave = |number: usize| {
            json!({
                "name": format!("w{number}"), "max_concurrent": 100, "max_failures": max_failures,
                "concurrency_mode": mode, "bake_seconds": 600,
            })
        };
        let plan = json!({ "waves": (0..4).map(wave).collect::<Vec<_>>() });
        let plan: RolloutPlan = serde_json::from_value(plan).unwrap();
        estimate(&plan, &[10, 90, 400, 500], 65).iter().map(|wave| wave.seconds).sum()
    }

    #[test]
    fn a_low_tolerance_makes_a_strict_rollout_slow() {
        assert_eq!(seconds(99, "strict"), 2_515);
        assert_eq!(seconds(2, "strict"), 23_575);
        assert_eq!(seconds(2, "soft"), 2_515);
    }
}
