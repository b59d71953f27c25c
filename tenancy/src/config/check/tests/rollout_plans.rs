//! Tests of the rules for `[[rollout_plans]]`.

use super::assert_problem_of;

#[test]
fn a_rollout_plan_names_the_wave_of_a_problem() {
    let plan = |wave: &str| format!("\n[[rollout_plans]]\nname = \"weekly\"\nwaves = [{{ name = \"all\", {wave} }}]\n");
    assert_problem_of(&plan("max_concurrent = 0"), "rollout_plans.weekly.waves.all.max_concurrent: must be from 1");
    assert_problem_of(&plan("select = { tiers = [\"gold\"] }"), "rollout_plans.weekly.waves.all.select.tiers: must");
    let regions = plan("select = { home_regions = [\"sa-east-1\"] }");
    assert_problem_of(&regions, "rollout_plans.weekly.waves.all.select.home_regions: must");
    assert_problem_of("\n[[rollout_plans]]\nname = \"weekly\"\n", "rollout_plans.weekly.waves: must be set");
}
