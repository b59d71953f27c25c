//! Body of a request for a rollout.

use freehold_tenancy::rollout::{RolloutPlan, Wave};
use freehold_tenancy::{Config, PlanName, ReleaseId};
use serde_json::Value;

use crate::extract::Fields;
use crate::problem::ApiError;

/// Parsed body of a request for a rollout.
pub(super) struct RolloutRequest {
    pub(super) release: ReleaseId,
    /// Name of the configured plan; `None` if the request has waves of its own.
    pub(super) plan_name: Option<PlanName>,
    /// Plan of the rollout, which is valid.
    pub(super) plan: RolloutPlan,
}

/// Parses the body of a request for a rollout. The errors name the fields of the waves.
pub(super) fn parse(mut fields: Fields, config: &Config) -> Result<RolloutRequest, ApiError> {
    let release: Option<ReleaseId> = fields.required("release");
    let plan_name: Option<PlanName> = fields.optional("plan");
    let waves = fields.take("waves").map(|value| parse_waves(&mut fields, value));
    let respect_windows = fields.optional_bool("respect_windows");
    let makes_default = fields.optional_bool("makes_default");
    let plan = match (&plan_name, waves) {
        (Some(_), Some(_)) => {
            fields.error("waves", "conflict", "must not be set together with plan");
            None
        }
        (Some(name), None) => {
            let plan = config.rollout_plan(name);
            if plan.is_none() {
                let known: Vec<_> = config.rollout_plans.iter().map(|plan| plan.name.as_str()).collect();
                let message = match known.as_slice() {
                    [] => "the configuration has no rollout_plans; send waves instead".to_owned(),
                    known => format!("must be a plan of the configuration: {}", known.join(", ")),
                };
                fields.error("plan", "unknown", message);
            }
            plan.map(freehold_tenancy::config::RolloutPlanConfig::plan)
        }
        (None, Some(waves)) => waves.map(|waves| RolloutPlan { waves, respect_windows: true, makes_default: false }),
        (None, None) => {
            fields.error("plan", "required", "either plan or waves must be set");
            None
        }
    };
    let plan = plan.map(|plan| RolloutPlan {
        respect_windows: respect_windows.unwrap_or(plan.respect_windows),
        makes_default: makes_default.unwrap_or(plan.makes_default),
        ..plan
    });
    for problem in plan.iter().flat_map(RolloutPlan::problems) {
        fields.error(problem.field, "invalid", problem.problem);
    }
    let parsed = release.zip(plan).map(|(release, plan)| RolloutRequest { release, plan_name, plan });
    fields.finish(parsed)
}

fn parse_waves(fields: &mut Fields, value: Value) -> Option<Vec<Wave>> {
    let Value::Array(values) = value else {
        fields.error("waves", "wrong_type", "must be a list of waves");
        return None;
    };
    let count = values.len();
    let mut waves = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match serde_json::from_value(value) {
            Ok(wave) => waves.push(wave),
            Err(error) => fields.error(format!("waves[{index}]"), "invalid", error.to_string()),
        }
    }
    (waves.len() == count).then_some(waves)
}
