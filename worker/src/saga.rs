//! Decides on the next action of an operation from its workflow and journal. This module accesses no clock, no database
//! and no AWS.

use chrono::{DateTime, Utc};
use freehold_tenancy::step::{JournalEntry, StepName, StepState};

use crate::step::Step;

/// Next action of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Run these steps concurrently.
    Run(Vec<&'static Step>),
    /// Wait until this time.
    Wait(DateTime<Utc>),
    /// Wait until a person has acted.
    Park,
    /// End the operation as failed, because a step has failed for good.
    Fail,
    /// Finish, because all steps are done or skipped.
    Finish,
}

/// Returns the next action of an operation with the steps `list` at the time `now`. A step does not wait for a step
/// that the operation does not have.
pub fn decide(list: &[&'static Step], journal: &[JournalEntry], now: DateTime<Utc>) -> Decision {
    let state =
        |name: StepName| journal.iter().find(|entry| entry.name == name).map_or(StepState::Pending, |e| e.state);
    if list.iter().all(|step| state(step.name).is_complete()) {
        return Decision::Finish;
    }
    if list.iter().any(|step| state(step.name) == StepState::Failed) {
        return Decision::Fail;
    }
    let has = |name: StepName| list.iter().any(|step| step.name == name);
    let next_check = |name: StepName| journal.iter().find(|entry| entry.name == name).and_then(|entry| entry.check_at);
    let ready: Vec<_> = list
        .iter()
        .filter(|step| step.after.iter().all(|before| !has(*before) || state(*before).is_complete()))
        .filter(|step| match state(step.name) {
            StepState::Pending | StepState::Running => true,
            StepState::Waiting => next_check(step.name).is_none_or(|at| at <= now),
            StepState::Parked | StepState::Failed | StepState::Done | StepState::Skipped => false,
        })
        .copied()
        .collect();
    if !ready.is_empty() {
        return Decision::Run(ready);
    }
    let waiting = list.iter().filter(|step| state(step.name) == StepState::Waiting);
    waiting.filter_map(|step| next_check(step.name)).min().map_or(Decision::Park, Decision::Wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Undo;
    use crate::step_outcome::StepOutcome;

    const TOP_STEP: StepName = StepName::RequestAccount;
    const LEFT_STEP: StepName = StepName::PlaceAccount;
    const RIGHT_STEP: StepName = StepName::EnableRegions;
    const BOTTOM_STEP: StepName = StepName::Verify;

    const fn step(name: StepName, after: &'static [StepName]) -> Step {
        Step {
            name,
            after,
            quota: None,
            run: |_| Box::pin(async { Ok(StepOutcome::done()) }),
            undo: Undo::NotNeeded("a test"),
        }
    }

    static DIAMOND_WORKFLOW: &[Step] = &[
        step(TOP_STEP, &[]),
        step(LEFT_STEP, &[TOP_STEP]),
        step(RIGHT_STEP, &[TOP_STEP]),
        step(BOTTOM_STEP, &[LEFT_STEP, RIGHT_STEP]),
    ];

    fn diamond_workflow() -> Vec<&'static Step> {
        DIAMOND_WORKFLOW.iter().collect()
    }

    fn noon() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(12)
    }

    fn entry(name: StepName, state: StepState, check_in: Option<i64>) -> JournalEntry {
        JournalEntry {
            name: name.to_string(),
            after: vec![],
            state,
            intent: None,
            intent_at: None,
            facts: serde_json::Map::new(),
            attempts: 1,
            attempts_without_progress: 0,
            waits_for: None,
            attention: None,
            blocked_since: None,
            skip_reason: None,
            check_at: check_in.map(|seconds| noon() + chrono::TimeDelta::seconds(seconds)),
            last_error: None,
            last_error_aws_request_id: None,
            started_at: None,
            retried_at: None,
            finished_at: None,
        }
    }

    fn names(decision: Decision) -> Vec<StepName> {
        match decision {
            Decision::Run(steps) => steps.iter().map(|step| step.name).collect(),
            other => panic!("{other:?} is not a run"),
        }
    }

    #[test]
    fn an_operation_starts_with_the_first_step() {
        assert_eq!(names(decide(&diamond_workflow(), &[], noon())), [TOP_STEP]);
    }

    #[test]
    fn independent_steps_run_concurrently() {
        let journal = [entry(TOP_STEP, StepState::Done, None)];
        assert_eq!(names(decide(&diamond_workflow(), &journal, noon())), [LEFT_STEP, RIGHT_STEP]);
    }

    #[test]
    fn a_step_of_a_dead_worker_runs_again() {
        let journal = [entry(TOP_STEP, StepState::Running, None)];
        assert_eq!(names(decide(&diamond_workflow(), &journal, noon())), [TOP_STEP]);
    }

    #[test]
    fn an_operation_waits_until_its_first_check() {
        let journal = [
            entry(TOP_STEP, StepState::Done, None),
            entry(LEFT_STEP, StepState::Waiting, Some(30)),
            entry(RIGHT_STEP, StepState::Waiting, Some(10)),
        ];
        assert_eq!(
            decide(&diamond_workflow(), &journal, noon()),
            Decision::Wait(noon() + chrono::TimeDelta::seconds(10))
        );
        assert_eq!(names(decide(&diamond_workflow(), &journal, noon() + chrono::TimeDelta::seconds(10))), [RIGHT_STEP]);
    }

    #[test]
    fn a_parked_step_does_not_stop_other_steps() {
        let journal = [entry(TOP_STEP, StepState::Done, None), entry(LEFT_STEP, StepState::Parked, None)];
        assert_eq!(names(decide(&diamond_workflow(), &journal, noon())), [RIGHT_STEP]);
        let journal = [journal[0].clone(), journal[1].clone(), entry(RIGHT_STEP, StepState::Done, None)];
        assert_eq!(decide(&diamond_workflow(), &journal, noon()), Decision::Park);
    }

    #[test]
    fn a_failed_step_ends_the_operation_in_any_state_of_others() {
        for other in [StepState::Waiting, StepState::Parked, StepState::Done] {
            let journal = [
                entry(TOP_STEP, StepState::Done, None),
                entry(LEFT_STEP, StepState::Failed, None),
                entry(RIGHT_STEP, other, Some(10)),
            ];
            assert_eq!(decide(&diamond_workflow(), &journal, noon()), Decision::Fail);
        }
    }

    #[test]
    fn a_skipped_step_counts_as_done() {
        let journal = [entry(TOP_STEP, StepState::Done, None), entry(LEFT_STEP, StepState::Skipped, None)];
        assert_eq!(names(decide(&diamond_workflow(), &journal, noon())), [RIGHT_STEP]);
        let journal: Vec<_> = DIAMOND_WORKFLOW.iter().map(|step| entry(step.name, StepState::Skipped, None)).collect();
        assert_eq!(names(decide(&diamond_workflow(), &journal[..3], noon())), [BOTTOM_STEP]);
        assert_eq!(decide(&diamond_workflow(), &journal, noon()), Decision::Finish);
    }

    #[test]
    fn an_operation_finishes_only_when_every_step_is_done() {
        let mut journal: Vec<_> = DIAMOND_WORKFLOW.iter().map(|step| entry(step.name, StepState::Done, None)).collect();
        assert_eq!(decide(&diamond_workflow(), &journal, noon()), Decision::Finish);
        journal.pop();
        assert_eq!(names(decide(&diamond_workflow(), &journal, noon())), [BOTTOM_STEP]);
    }

    #[test]
    fn a_step_does_not_wait_for_a_step_that_the_operation_lacks() {
        let list: Vec<_> = DIAMOND_WORKFLOW.iter().filter(|step| step.name != LEFT_STEP).collect();
        let journal = [entry(TOP_STEP, StepState::Done, None), entry(RIGHT_STEP, StepState::Done, None)];
        assert_eq!(names(decide(&list, &journal, noon())), [BOTTOM_STEP]);
    }
}
