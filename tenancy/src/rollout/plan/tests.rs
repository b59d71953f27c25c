use serde_json::json;

use super::*;

fn plan(waves: serde_json::Value) -> RolloutPlan {
    serde_json::from_value(json!({ "waves": waves })).unwrap()
}

#[test]
fn a_wave_needs_only_a_name() {
    let plan = plan(json!([{ "name": "all" }]));
    let wave = &plan.waves[0];
    assert_eq!((wave.max_concurrent, wave.max_failures, wave.bake_seconds), (10, 0, 0));
    assert_eq!((wave.concurrency_mode, wave.approval), (ConcurrencyMode::Strict, false));
    assert!(plan.respect_windows && !plan.makes_default);
    assert_eq!(plan.problems(), []);
    let stored: RolloutPlan = serde_json::from_value(json!(plan)).unwrap();
    assert_eq!(stored, plan);
}

#[test]
fn a_problem_names_the_field_of_the_wave() {
    for (wave, field) in [
        (json!({ "name": "a", "max_concurrent": 0 }), "waves.a.max_concurrent"),
        (json!({ "name": "a", "max_concurrent": 1001 }), "waves.a.max_concurrent"),
        (json!({ "name": "a", "max_failures": 10_001 }), "waves.a.max_failures"),
        (json!({ "name": "a", "bake_seconds": 604_801 }), "waves.a.bake_seconds"),
        (json!({ "name": "a", "window_deadline_seconds": 59 }), "waves.a.window_deadline_seconds"),
        (json!({ "name": "a", "select": { "percent": 0 } }), "waves.a.select.percent"),
        (json!({ "name": "a", "select": { "percent": 101 } }), "waves.a.select.percent"),
        (json!({ "name": "catch-up" }), "waves.catch-up.name"),
    ] {
        let fields: Vec<_> = plan(json!([wave])).problems().into_iter().map(|one| one.field).collect();
        assert_eq!(fields, [field]);
    }
}

#[test]
fn a_plan_has_1_to_20_waves_with_different_names() {
    let named = |count: usize| (0..count).map(|number| json!({ "name": format!("w{number}") })).collect();
    for (waves, valid) in [(named(0), false), (named(1), true), (named(20), true), (named(21), false)] {
        assert_eq!(plan(serde_json::Value::Array(waves)).problems().is_empty(), valid);
    }
    assert_eq!(plan(json!([{ "name": "a" }, { "name": "a" }])).problems()[0].field, "waves.a.name");
}

#[test]
fn a_strict_wave_runs_fewer_updates_after_each_failure() {
    let wave =
        |mode: &str| plan(json!([{ "name": "a", "max_concurrent": 5, "max_failures": 7, "concurrency_mode": mode }]));
    let running = |mode: &str| [0, 3, 4, 7, 8, 9].map(|failures| wave(mode).waves[0].max_running(failures));
    assert_eq!(running("strict"), [5, 5, 4, 1, 0, 0]);
    assert_eq!(running("soft"), [5; 6]);
}

#[test]
fn the_catch_up_wave_has_the_limits_of_the_last_wave() {
    let plan =
        plan(json!([{ "name": "a" }, { "name": "b", "max_concurrent": 7, "approval": true, "bake_seconds": 9 }]));
    let wave = plan.wave(2).unwrap();
    assert_eq!((wave.name.as_str(), wave.max_concurrent, wave.approval, wave.bake_seconds), ("catch-up", 7, false, 0));
    assert_eq!(plan.wave(1).unwrap().name.as_str(), "b");
    assert_eq!(plan.wave(3), None);
}
