//! Plan of a rollout: its waves with their limits. The same types are used in requests, in the configuration and in the
//! database.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;
use crate::tenant::Labels;
use crate::{EnvironmentName, Region, TenantId, Tier, WaveName};

/// Maximum number of waves of a plan.
pub const MAX_WAVES: usize = 20;

/// Maximum number of concurrent updates of a wave.
pub const MAX_CONCURRENT: u32 = 1_000;

/// Maximum number of tolerated failures of a wave.
pub const MAX_FAILURES: u32 = 10_000;

/// Maximum duration of a bake.
pub const MAX_BAKE_SECONDS: u64 = 7 * 24 * 60 * 60;

/// Minimum and maximum time after which the rest of a wave is skipped.
pub const WINDOW_DEADLINE_SECONDS: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 60 * 60;

/// Maximum number of entries of each list of a selection.
pub const MAX_SELECTED: usize = 1_000;

/// Name of the wave that a rollout adds when it makes its release the default.
pub const CATCH_UP_WAVE: &str = "catch-up";

string_enum! {
    /// Rule that limits the concurrent updates of a wave.
    ConcurrencyMode {
        /// At most `max_failures + 1 - failures` updates run, so that at most `max_failures + 1` fail.
        Strict = "strict",
        /// At most `max_concurrent` updates run, so that at most `max_failures + max_concurrent` fail.
        Soft = "soft",
    }
}

/// Waves of a rollout, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPlan {
    pub waves: Vec<Wave>,
    /// Whether updates start only in the maintenance windows of the tenants.
    #[serde(default = "yes")]
    pub respect_windows: bool,
    /// Whether new environments get the release after the last wave. Environments that were created meanwhile are then
    /// updated in a wave of their own.
    #[serde(default)]
    pub makes_default: bool,
}

/// One batch of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    pub name: WaveName,
    /// Environments of the wave, except those that an earlier wave has; all by default.
    #[serde(default)]
    pub select: Selection,
    #[serde(default = "ten")]
    pub max_concurrent: u32,
    /// Number of failures that do not halt the rollout.
    #[serde(default)]
    pub max_failures: u32,
    #[serde(default = "strict")]
    pub concurrency_mode: ConcurrencyMode,
    /// Time between the last update of the wave and the next wave. The last wave has none.
    #[serde(default)]
    pub bake_seconds: u64,
    /// Whether another person than the author of the rollout must approve the wave before it starts.
    #[serde(default)]
    pub approval: bool,
    /// Time after the start of the wave at which environments that still wait are skipped; `None` means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_deadline_seconds: Option<u64>,
}

/// Conditions on the environments of a wave, all of which must be met. An empty list is met by each environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Names, such as `staging`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<EnvironmentName>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tiers: BTreeSet<Tier>,
    /// Labels that the tenant must have, each with its value.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tenants: BTreeSet<TenantId>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub home_regions: BTreeSet<Region>,
    /// Share of the environments that meet the other conditions; `None` means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
}

fn yes() -> bool {
    true
}

fn ten() -> u32 {
    10
}

fn strict() -> ConcurrencyMode {
    ConcurrencyMode::Strict
}

/// Problem of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblem {
    /// Field, such as `waves.canary.max_concurrent`.
    pub field: String,
    pub problem: String,
}

impl RolloutPlan {
    /// Returns the wave `number`, counted from 0. The wave after the last one is the catch-up wave, which has the
    /// limits of the last wave.
    pub fn wave(&self, number: usize) -> Option<Wave> {
        let catch_up = || {
            let last = self.waves.last().filter(|_| number == self.waves.len())?;
            Some(Wave {
                name: CATCH_UP_WAVE.parse().ok()?,
                select: Selection::default(),
                bake_seconds: 0,
                approval: false,
                window_deadline_seconds: None,
                ..last.clone()
            })
        };
        self.waves.get(number).cloned().or_else(catch_up)
    }

    /// Returns the problems of the plan; an empty list if it is valid.
    pub fn problems(&self) -> Vec<PlanProblem> {
        let mut problems = Vec::new();
        let mut add = |field: String, problem: String| problems.push(PlanProblem { field, problem });
        if self.waves.is_empty() || self.waves.len() > MAX_WAVES {
            let count = self.waves.len();
            add("waves".to_owned(), format!("must contain 1 to {MAX_WAVES} waves, not {count}"));
        }
        let mut names = BTreeSet::new();
        for wave in &self.waves {
            let field = |name: &str| format!("waves.{}.{name}", wave.name);
            if !names.insert(&wave.name) {
                add(field("name"), "must be the name of one wave only".to_owned());
            }
            if wave.name.as_str() == CATCH_UP_WAVE {
                add(field("name"), format!("must not be {CATCH_UP_WAVE}, which is the wave that a rollout adds"));
            }
            if !(1..=MAX_CONCURRENT).contains(&wave.max_concurrent) {
                let found = wave.max_concurrent;
                add(field("max_concurrent"), format!("must be from 1 to {MAX_CONCURRENT}, not {found}"));
            }
            if wave.max_failures > MAX_FAILURES {
                let found = wave.max_failures;
                add(field("max_failures"), format!("must be at most {MAX_FAILURES}, not {found}"));
            }
            if wave.bake_seconds > MAX_BAKE_SECONDS {
                let found = wave.bake_seconds;
                add(field("bake_seconds"), format!("must be at most {MAX_BAKE_SECONDS} (7 days), not {found}"));
            }
            if let Some(found) = wave.window_deadline_seconds
                && !WINDOW_DEADLINE_SECONDS.contains(&found)
            {
                let (min, max) = (WINDOW_DEADLINE_SECONDS.start(), WINDOW_DEADLINE_SECONDS.end());
                add(field("window_deadline_seconds"), format!("must be from {min} to {max} (30 days), not {found}"));
            }
            let select = &wave.select;
            if let Some(found) = select.percent
                && !(1..=100).contains(&found)
            {
                add(field("select.percent"), format!("must be from 1 to 100, not {found}"));
            }
            for (name, count) in [
                ("environments", select.environments.len()),
                ("tiers", select.tiers.len()),
                ("labels", select.labels.len()),
                ("tenants", select.tenants.len()),
                ("home_regions", select.home_regions.len()),
            ] {
                if count > MAX_SELECTED {
                    let problem = format!("must contain at most {MAX_SELECTED} entries, not {count}");
                    add(field(&format!("select.{name}")), problem);
                }
            }
        }
        problems
    }
}

impl Wave {
    /// Returns the number of updates that can run at the same time while none has failed.
    pub fn effective_concurrency(&self) -> u32 {
        self.max_running(0)
    }

    /// Returns the number of updates that may run at the same time after `failures` updates have failed.
    pub fn max_running(&self, failures: u32) -> u32 {
        match self.concurrency_mode {
            ConcurrencyMode::Soft => self.max_concurrent,
            ConcurrencyMode::Strict => {
                self.max_concurrent.min(self.max_failures.saturating_add(1).saturating_sub(failures))
            }
        }
    }
}

#[cfg(test)]
mod tests;
