mod simulation;

use serde_json::{Value, json};

use super::*;

fn noon() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(12)
}

fn at(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}

/// Returns a plan whose waves have these fields in addition to their names.
fn plan(waves: &[Value]) -> RolloutPlan {
    let named = |(number, wave): (usize, &Value)| {
        let mut wave = wave.clone();
        wave["name"] = json!(format!("w{number}"));
        wave
    };
    let waves: Vec<_> = waves.iter().enumerate().map(named).collect();
    serde_json::from_value(json!({ "waves": waves })).expect("a plan")
}

fn strict() -> RolloutPlan {
    plan(&[json!({ "max_concurrent": 5, "max_failures": 2, "bake_seconds": 60 }), json!({})])
}

fn running() -> RolloutProgress {
    RolloutProgress { has_next_wave: true, started_at: Some(noon()), ..RolloutProgress::default() }
}

#[test]
fn a_wave_starts_as_many_updates_as_it_may_run() {
    let progress = RolloutProgress { waiting: 9, startable: 9, ..running() };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Begin { count: 3 });
    let progress = RolloutProgress { updating: 2, ..progress };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Begin { count: 1 });
    let soft = plan(&[json!({ "max_concurrent": 5, "concurrency_mode": "soft" })]);
    assert_eq!(decide(&soft, &progress, noon()), Decision::Begin { count: 3 });
}

#[test]
fn a_strict_wave_starts_fewer_updates_after_a_failure() {
    let progress = RolloutProgress { waiting: 9, startable: 9, failed: 2, ..running() };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Begin { count: 1 });
    let progress = RolloutProgress { updating: 1, ..progress };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Wait { until: None });
}

#[test]
fn a_rollout_halts_exactly_after_the_tolerated_failures() {
    let progress = |failed| RolloutProgress { waiting: 9, startable: 9, updating: 1, failed, ..running() };
    assert_eq!(decide(&strict(), &progress(2), noon()), Decision::Wait { until: None });
    let Decision::Halt { reason } = decide(&strict(), &progress(3), noon()) else { panic!("no halt") };
    assert_eq!(reason, "3 updates have failed in the wave w0, which tolerates 2");
}

#[test]
fn failures_in_the_bake_count_separately() {
    let progress = RolloutProgress { failed: 2, failed_in_bake: 2, bake_until: Some(at(9)), ..running() };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Bake { until: at(9) });
    let progress = RolloutProgress { failed: 0, failed_in_bake: 3, ..progress };
    assert!(matches!(decide(&strict(), &progress, noon()), Decision::Halt { .. }));
}

#[test]
fn a_wave_waits_for_its_approval_before_it_starts() {
    let plan = plan(&[json!({ "approval": true })]);
    let progress = RolloutProgress { waiting: 1, startable: 1, ..running() };
    assert_eq!(decide(&plan, &progress, noon()), Decision::AwaitApproval);
    let progress = RolloutProgress { is_approved: true, ..progress };
    assert_eq!(decide(&plan, &progress, noon()), Decision::Begin { count: 1 });
}

#[test]
fn the_deadline_of_a_wave_skips_the_rest() {
    let plan = plan(&[json!({ "window_deadline_seconds": 100 })]);
    let progress = RolloutProgress { waiting: 2, next_check_at: Some(at(500)), ..running() };
    assert_eq!(decide(&plan, &progress, at(99)), Decision::Wait { until: Some(at(100)) });
    assert!(matches!(decide(&plan, &progress, at(100)), Decision::SkipRest { .. }));
    let progress = RolloutProgress { waiting: 0, updating: 1, next_check_at: None, ..progress };
    assert_eq!(decide(&plan, &progress, at(100)), Decision::Wait { until: None });
}

#[test]
fn an_environment_that_cannot_start_yet_is_waited_for() {
    let progress = RolloutProgress { waiting: 1, next_check_at: Some(at(30)), ..running() };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Wait { until: Some(at(30)) });
    let progress = RolloutProgress { next_check_at: None, ..progress };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Wait { until: None });
}

#[test]
fn nothing_starts_during_a_change_freeze() {
    let progress = RolloutProgress { waiting: 9, startable: 9, frozen_until: Some(at(60)), ..running() };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Wait { until: Some(at(60)) });
    let progress = RolloutProgress { is_rolling_back: true, ..progress };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::Wait { until: Some(at(60)) });
}

#[test]
fn a_bake_follows_every_wave_but_the_last() {
    assert_eq!(decide(&strict(), &running(), noon()), Decision::Bake { until: at(60) });
    let baking = RolloutProgress { bake_until: Some(at(60)), ..running() };
    assert_eq!(decide(&strict(), &baking, at(59)), Decision::Bake { until: at(60) });
    assert_eq!(decide(&strict(), &baking, at(60)), Decision::NextWave);
    let last = RolloutProgress { has_next_wave: false, ..running() };
    assert_eq!(decide(&strict(), &last, noon()), Decision::Finish);
}

#[test]
fn a_bake_goes_on_until_the_alarms_have_been_read() {
    let progress = RolloutProgress { bake_until: Some(at(60)), unread_alarms: 2, ..running() };
    assert_eq!(decide(&strict(), &progress, at(60)), Decision::AwaitAlarms { environments: 2 });
    let progress = RolloutProgress { failed_in_bake: 3, ..progress };
    assert!(matches!(decide(&strict(), &progress, at(60)), Decision::Halt { .. }));
}

#[test]
fn a_wave_without_a_bake_is_followed_at_once() {
    let plan = plan(&[json!({}), json!({})]);
    assert_eq!(decide(&plan, &running(), noon()), Decision::NextWave);
}

#[test]
fn a_wave_that_had_ended_before_a_retry_does_not_bake_again() {
    let progress = RolloutProgress { finished_at: Some(at(0)), ..running() };
    assert_eq!(decide(&strict(), &progress, noon()), Decision::NextWave);
}

#[test]
fn a_rollback_ignores_failures_and_approvals() {
    let plan = plan(&[json!({ "max_concurrent": 4, "approval": true })]);
    let progress = RolloutProgress { is_rolling_back: true, waiting: 9, startable: 9, failed: 50, ..running() };
    assert_eq!(decide(&plan, &progress, noon()), Decision::Begin { count: 4 });
    let progress = RolloutProgress { updating: 4, ..progress };
    assert_eq!(decide(&plan, &progress, noon()), Decision::Wait { until: None });
    let progress = RolloutProgress { updating: 0, waiting: 0, startable: 0, ..progress };
    assert_eq!(decide(&plan, &progress, noon()), Decision::Finish);
}

#[test]
fn a_wave_that_the_plan_lacks_halts_the_rollout() {
    let progress = RolloutProgress { wave: 7, waiting: 1, startable: 1, ..running() };
    assert!(matches!(decide(&strict(), &progress, noon()), Decision::Halt { .. }));
}
