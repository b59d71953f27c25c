//! Every step of the list, found by walking the list, at every one of its calls: whatever goes wrong, the end is the same.

use chrono::TimeDelta;
use freehold_tenancy::operation::OperationState;
use freehold_tests::fixture::Freehold;
use freehold_tests::step_faults::StepFault;
use freehold_tests::world_snapshot;
use freehold_worker::onboarding::ONBOARDING;

/// More calls than any step makes.
const MOST_CALLS: usize = 40;

/// An enterprise tenant in an opt-in region, which gives every step something to do.
async fn onboard(freehold: &Freehold) -> Vec<String> {
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    for worker in 1.. {
        let worker = freehold.worker(&format!("worker-{worker}"));
        tokio::select! {
            () = freehold.settle(&worker, TimeDelta::days(1)) => break,
            // What the dead worker had claimed is free when its lease is over.
            () = freehold.mishaps.died() => {}
        }
    }
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    world_snapshot::of(&freehold.world)
}

async fn whatever_goes_wrong_the_end_is_the_same(mishap: StepFault) {
    let expected = onboard(&Freehold::instant().await).await;
    let mut calls = 0;
    for step in ONBOARDING {
        for spared in 0..MOST_CALLS {
            let freehold = Freehold::instant().await;
            freehold.mishaps.plan(step.name.as_str(), spared, mishap);
            let found = onboard(&freehold).await;
            if !freehold.mishaps.happened() {
                break;
            }
            calls += 1;
            let call = spared + 1;
            assert_eq!(found, expected, "{mishap:?} at call {call} of {} changed the end", step.name);
            let asked = world_snapshot::accounts_asked_for(&freehold.world);
            assert_eq!(asked, 1, "{mishap:?} at call {call} of {} asked for {asked} accounts", step.name);
        }
    }
    assert!(calls > 2 * ONBOARDING.len(), "only {calls} calls were tried");
}

#[tokio::test]
async fn a_call_that_fails_before_its_effect_is_made_again() {
    whatever_goes_wrong_the_end_is_the_same(StepFault::FailsBefore).await;
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_not_made_twice_over() {
    whatever_goes_wrong_the_end_is_the_same(StepFault::AnswerLost).await;
}

#[tokio::test]
async fn a_worker_that_dies_before_a_call_is_replaced() {
    whatever_goes_wrong_the_end_is_the_same(StepFault::DiesBefore).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_a_call_is_replaced() {
    whatever_goes_wrong_the_end_is_the_same(StepFault::DiesAfter).await;
}
