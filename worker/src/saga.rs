//! Decides, from the list and the journal alone, what an operation does next. Pure: no clock, no database, no cloud.

use chrono::{DateTime, Utc};
use freehold_tenancy::step::{JournalEntry, StepName, StepState};

use crate::step::Step;

/// What an operation does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Run these steps, side by side.
    Run(Vec<&'static Step>),
    /// Nothing can be done before then.
    Wait(DateTime<Utc>),
    /// Nothing can be done before a person has looked at it.
    Park,
    /// Every step is done.
    Finish,
}

/// What an operation that walks `list` and has come as far as `journal` says does at `now`.
pub fn decide(list: &'static [Step], journal: &[JournalEntry], now: DateTime<Utc>) -> Decision {
    let state =
        |name: StepName| journal.iter().find(|entry| entry.name == name).map_or(StepState::Pending, |e| e.state);
    if list.iter().all(|step| state(step.name) == StepState::Done) {
        return Decision::Finish;
    }
    let looks_again = |name: StepName| journal.iter().find(|entry| entry.name == name).and_then(|entry| entry.check_at);
    let ready: Vec<_> = list
        .iter()
        .filter(|step| step.after.iter().all(|before| state(*before) == StepState::Done))
        .filter(|step| match state(step.name) {
            StepState::Pending | StepState::Running => true,
            StepState::Waiting => looks_again(step.name).is_none_or(|at| at <= now),
            StepState::Parked | StepState::Done => false,
        })
        .collect();
    if !ready.is_empty() {
        return Decision::Run(ready);
    }
    let waiting = list.iter().filter(|step| state(step.name) == StepState::Waiting);
    waiting.filter_map(|step| looks_again(step.name)).min().map_or(Decision::Park, Decision::Wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Undo;
    use crate::step_outcome::StepOutcome;

    const TOP: StepName = StepName::RequestAccount;
    const LEFT: StepName = StepName::PlaceAccount;
    const RIGHT: StepName = StepName::EnableRegions;
    const BOTTOM: StepName = StepName::Verify;

    const fn step(name: StepName, after: &'static [StepName]) -> Step {
        Step {
            name,
            after,
            quota: None,
            run: |_| Box::pin(async { Ok(StepOutcome::done()) }),
            undo: Undo::NotNeeded("a test"),
        }
    }

    static DIAMOND: &[Step] = &[step(TOP, &[]), step(LEFT, &[TOP]), step(RIGHT, &[TOP]), step(BOTTOM, &[LEFT, RIGHT])];

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
            check_at: check_in.map(|seconds| noon() + chrono::TimeDelta::seconds(seconds)),
            last_error: None,
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
    fn it_begins_at_the_top() {
        assert_eq!(names(decide(DIAMOND, &[], noon())), [TOP]);
    }

    #[test]
    fn steps_that_wait_for_nothing_else_run_side_by_side() {
        let journal = [entry(TOP, StepState::Done, None)];
        assert_eq!(names(decide(DIAMOND, &journal, noon())), [LEFT, RIGHT]);
    }

    #[test]
    fn a_step_that_was_running_when_its_worker_died_is_run_again() {
        let journal = [entry(TOP, StepState::Running, None)];
        assert_eq!(names(decide(DIAMOND, &journal, noon())), [TOP]);
    }

    #[test]
    fn it_sleeps_until_the_first_look() {
        let journal = [
            entry(TOP, StepState::Done, None),
            entry(LEFT, StepState::Waiting, Some(30)),
            entry(RIGHT, StepState::Waiting, Some(10)),
        ];
        assert_eq!(decide(DIAMOND, &journal, noon()), Decision::Wait(noon() + chrono::TimeDelta::seconds(10)));
        assert_eq!(names(decide(DIAMOND, &journal, noon() + chrono::TimeDelta::seconds(10))), [RIGHT]);
    }

    #[test]
    fn one_parked_step_does_not_hold_up_the_others() {
        let journal = [entry(TOP, StepState::Done, None), entry(LEFT, StepState::Parked, None)];
        assert_eq!(names(decide(DIAMOND, &journal, noon())), [RIGHT]);
        let journal = [journal[0].clone(), journal[1].clone(), entry(RIGHT, StepState::Done, None)];
        assert_eq!(decide(DIAMOND, &journal, noon()), Decision::Park);
    }

    #[test]
    fn it_finishes_when_every_step_is_done_and_not_before() {
        let mut journal: Vec<_> = DIAMOND.iter().map(|step| entry(step.name, StepState::Done, None)).collect();
        assert_eq!(decide(DIAMOND, &journal, noon()), Decision::Finish);
        journal.pop();
        assert_eq!(names(decide(DIAMOND, &journal, noon())), [BOTTOM]);
    }
}
