//! Validation of the section `[[rollout_plans]]`.

use super::Problems;
use crate::config::Config;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    problems.check_unique("rollout_plans", config.rollout_plans.iter().map(|plan| &plan.name));
    for named in &config.rollout_plans {
        let plan = named.plan();
        for one in plan.problems() {
            problems.add(format_args!("rollout_plans.{}.{}", named.name, one.field), one.problem);
        }
        for wave in &plan.waves {
            let field = |name: &str| format!("rollout_plans.{}.waves.{}.select.{name}", named.name, wave.name);
            for tier in wave.select.tiers.iter().filter(|tier| config.tier(tier).is_none()) {
                problems.add(field("tiers"), format_args!("must contain names of [[tiers]], not `{tier}`"));
            }
            for region in wave.select.home_regions.iter().filter(|region| config.residency_of(**region).is_none()) {
                problems.add(
                    field("home_regions"),
                    format_args!("must contain regions of [[residencies]], not `{region}`"),
                );
            }
        }
    }
}
