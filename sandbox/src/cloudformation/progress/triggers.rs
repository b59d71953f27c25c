//! Rollback of an operation because of an alarm or at the request of a caller.

use chrono::{DateTime, Utc};

use super::super::Stacks;
use super::super::stack::{Phase, StackOperation, TaskState};
use super::run::StackProcessor;
use crate::cloudwatch::AlarmState;
use crate::policy::ConditionKeys;
use crate::world::permissions;

impl StackProcessor<'_> {
    /// Returns the time from which the operation must be rolled back and the reason, or `None` if it may continue.
    pub(super) fn rollback_request(&self, work: &StackOperation) -> Option<(DateTime<Utc>, String)> {
        if !matches!(work.phase, Phase::Create | Phase::Update) {
            return None;
        }
        if work.is_cancelled {
            return Some((work.time, "User Initiated".to_owned()));
        }
        let timeout =
            work.deadline.map(|deadline| (deadline, "Stack creation time exceeded the specified timeout.".to_owned()));
        let requests = self.stack.rollback.triggers.iter().filter_map(|trigger| {
            permissions::record_stack_action(&self.ctx.caller, "cloudwatch:DescribeAlarms");
            let keys = ConditionKeys::default();
            if let Err(error) = self.state.authorize_with(&self.ctx, "cloudwatch:DescribeAlarms", &trigger.arn, keys) {
                return Some((work.time, error.message));
            }
            let (region, account, name) = trigger.parts()?;
            let is_here = (region, account) == (self.ctx.region.as_str(), self.ctx.caller.account.as_str());
            let region = self.state.accounts.get(account).and_then(|account| account.regions.get(region));
            match region.filter(|_| is_here).and_then(|region| region.alarms.get(name)) {
                None => Some((work.time, format!("The rollback trigger {} does not exist.", trigger.arn))),
                Some(alarm) if alarm.state == AlarmState::Alarm => {
                    Some((alarm.changed_at, format!("The rollback trigger {} is in ALARM state.", trigger.arn)))
                }
                Some(_) => None,
            }
        });
        requests.chain(timeout).min_by_key(|(at, _)| *at)
    }

    /// Cancels the unfinished tasks of a creation or update and rolls it back.
    pub(super) fn roll_back(&mut self, mut work: StackOperation, reason: String) {
        self.cancel_tasks(&mut work);
        match work.phase {
            Phase::Create => self.handle_create_failure(work, reason),
            _ => self.start_update_rollback(work, reason),
        }
    }

    /// Starts the monitoring time after a creation or update. Returns the operation if there is none, or if it is over.
    pub(super) fn start_monitoring(&mut self, mut work: StackOperation) -> Option<StackOperation> {
        let duration = self.stack.rollback.monitoring_time();
        if work.monitored_until.is_some() || duration.is_zero() {
            return Some(work);
        }
        debug_assert!(work.tasks.iter().all(|task| task.state == TaskState::Done));
        work.monitored_until = Some(work.time + duration);
        self.stack.work = Some(work);
        None
    }
}

impl Stacks {
    /// Makes the next call check the rollback triggers of the operations in progress, because an alarm has changed.
    pub(crate) fn check_triggers(&mut self, now: DateTime<Utc>) {
        let is_watched = self.by_id.values().any(|stack| stack.work.is_some() && !stack.rollback.triggers.is_empty());
        if is_watched {
            self.next_due = Some(self.next_due.map_or(now, |due| due.min(now)));
        }
    }
}
