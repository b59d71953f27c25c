//! Faults at each AWS call of the updates of a rollout: the worker dies after it, its answer is lost, or AWS throttles
//! it. Each environment is updated once, or its failure halts the rollout.

use std::collections::BTreeSet;

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_tenancy::db::lifecycle::RolloutRequest;
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::release::ReleaseContent;
use freehold_tenancy::rollout::RolloutState;
use freehold_tenancy::{EnvironmentId, RolloutId};
use freehold_tests::fixture::CONFIG;
use freehold_tests::step_faults::StepFault;
use serde_json::json;

use super::fixture::Fixture;
use crate::releases::{content, create_approved};

/// Upper bound of the number of calls of a step, or of a throttled service in one rollout.
const MAX_CALLS: usize = 60;

const ENVIRONMENTS: usize = 3;

/// Step with the update of a stack. The walks of single updates try the calls of the other steps.
const STEP: &str = "update-stack";

/// Faults at a call. The walks of single updates try those before a call, too.
const FAULTS: [StepFault; 2] = [StepFault::ResetAfterCall, StepFault::CrashAfterCall];

/// Fleet whose rollouts alternate between two releases, so that each one updates all environments.
struct Walk {
    fixture: Fixture,
    contents: [ReleaseContent; 2],
}

impl Walk {
    async fn new() -> Self {
        let contents = [content(60), content(90)];
        let mut fixture = Fixture::in_aws(Settings::instant(), CONFIG, ENVIRONMENTS, &contents[0]).await;
        fixture.old = create_approved(&fixture.freehold, &fixture.worker, &contents[1]).await;
        Self { fixture, contents }
    }

    /// Rolls out the other release in two waves, and asserts that each environment is updated once.
    async fn roll_out(&mut self, fault: &str) {
        let waves = [
            json!({ "select": { "percent": 34 }, "bake_seconds": 60 }),
            json!({ "max_concurrent": 2, "max_failures": 1 }),
        ];
        let fixture = &self.fixture;
        let before: usize = fixture.stacks().iter().map(|stack| stack.updates).sum();
        let id = fixture.create_waves(&waves).await;
        fixture.run_with_other_workers().await;
        let rollout = fixture.rollout(id).await;
        assert_eq!(rollout.state, RolloutState::Succeeded, "{fault}: {:?}", fixture.reasons(id).await);
        assert_eq!(fixture.counts(id).await, format!("succeeded {ENVIRONMENTS}"), "{fault}");
        assert_started_once(fixture, id, fault).await;
        let stacks = fixture.stacks();
        let after: usize = stacks.iter().map(|stack| stack.updates).sum();
        assert_eq!(after - before, ENVIRONMENTS, "{fault}: {stacks:#?}");
        let template = self.contents[0].template.as_ref().expect("a template");
        assert!(stacks.iter().all(|stack| stack.template == *template), "{fault}: another template");
        let expected = [Some(fixture.new); ENVIRONMENTS];
        assert_eq!(fixture.releases_on_record().await, expected, "{fault}");
        (self.fixture.old, self.fixture.new) = (self.fixture.new, self.fixture.old);
        self.contents.reverse();
    }
}

/// Asserts that no environment has two updates of the rollout.
async fn assert_started_once(fixture: &Fixture, id: RolloutId, fault: &str) {
    let updates = fixture.updates_of(id).await;
    let environments: BTreeSet<EnvironmentId> = updates.iter().map(|(environment, _)| *environment).collect();
    assert_eq!(environments.len(), updates.len(), "{fault}: {updates:#?}");
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_rollout_updates_each_environment_once() {
    let mut walk = Walk::new().await;
    let mut calls = 0;
    for fault in FAULTS {
        for skip in 0..MAX_CALLS {
            walk.fixture.freehold.step_faults.plan(STEP, skip, fault);
            walk.roll_out(&format!("{fault:?} at call {}", skip + 1)).await;
            if !walk.fixture.freehold.step_faults.was_injected() {
                break;
            }
            calls += 1;
        }
    }
    // An update takes at least five calls: read, create, describe, execute, read.
    assert!(calls >= 5 * FAULTS.len(), "only {calls} calls were tried");
}

#[tokio::test]
async fn throttled_calls_of_a_rollout_update_each_environment_once() {
    let mut walk = Walk::new().await;
    // Every third call, so that each kind of call is throttled in one of the environments.
    for nth in (1..MAX_CALLS as u64).step_by(3) {
        let hits = walk.fixture.freehold.faulty_client.hits().len();
        let throttle = WireRule::on("cloudformation", "*", WireEffect::Throttle);
        walk.fixture.freehold.faulty_client.inject(throttle.nth(nth));
        walk.roll_out(&format!("throttled at call {nth}")).await;
        if walk.fixture.freehold.faulty_client.hits().len() == hits {
            assert!(nth > 5 * ENVIRONMENTS as u64, "only {nth} calls were tried");
            return;
        }
    }
    panic!("a rollout takes more than {MAX_CALLS} calls");
}

#[tokio::test]
async fn nothing_starts_after_a_halt_despite_other_faults() {
    let fixture = Fixture::in_aws(Settings::instant(), CONFIG, ENVIRONMENTS, &content(60)).await;
    let before = fixture.releases_on_record().await;
    let mut calls = 0;
    for fault in FAULTS {
        for skip in 0..MAX_CALLS {
            // The update of the first environment fails for good, after another fault at one of its calls.
            let reason = "Resource handler returned message: the log group is broken";
            fixture.freehold.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", Fault::failed(reason)));
            fixture.freehold.step_faults.plan(STEP, skip, fault);
            let id = fixture.create_waves(&[json!({ "select": { "percent": 50 } }), json!({})]).await;
            fixture.run_with_other_workers().await;
            fixture.freehold.world.clear_faults();
            fixture.advance(86_400).await;
            fixture.run_with_other_workers().await;
            let was_injected = fixture.freehold.step_faults.was_injected();
            let name = format!("{fault:?} at call {}", skip + 1);
            assert_eq!(fixture.state(id).await, RolloutState::Halted, "{name}");
            let [(_, update)] = &fixture.updates_of(id).await[..] else { panic!("{name}: not one update") };
            assert_eq!(update.state, OperationState::Failed, "{name}: {update:#?}");
            let reasons = fixture.reasons(id).await;
            assert!(
                reasons[0].starts_with("failed: The update of the stack") && reasons[0].contains(reason),
                "{reasons:?}"
            );
            assert_eq!(reasons[1..], ["waiting: ", "waiting: "], "{name}");
            assert_eq!(fixture.releases_on_record().await, before, "{name}");
            fixture.change(id, RolloutRequest::Abort { reason: None }).await;
            if !was_injected {
                break;
            }
            calls += 1;
        }
    }
    assert!(calls >= 5 * FAULTS.len(), "only {calls} calls were tried");
}
