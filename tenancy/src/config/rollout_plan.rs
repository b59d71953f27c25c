//! Configuration of the plans of rollouts.

use serde::Deserialize;

use crate::PlanName;
use crate::rollout::{RolloutPlan, Wave};

/// Entry of `[[rollout_plans]]`: waves that a rollout can use by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPlanConfig {
    pub name: PlanName,
    pub waves: Vec<Wave>,
    /// Whether updates start only in the maintenance windows of the tenants.
    #[serde(default = "yes")]
    pub respect_windows: bool,
    /// Whether new environments get the release after the last wave.
    #[serde(default)]
    pub makes_default: bool,
}

fn yes() -> bool {
    true
}

impl RolloutPlanConfig {
    /// Returns the plan without its name, as a rollout stores it.
    pub fn plan(&self) -> RolloutPlan {
        let (respect_windows, makes_default) = (self.respect_windows, self.makes_default);
        RolloutPlan { waves: self.waves.clone(), respect_windows, makes_default }
    }
}
