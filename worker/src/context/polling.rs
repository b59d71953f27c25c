//! Waiting for what AWS has accepted: when to look again, and when it is late.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::Attention;
use freehold_tenancy::clock::seconds;

use super::attention::{deadline_passed, format_duration};
use super::{StepContext, seconds_of};
use crate::poll_schedule;
use crate::step_outcome::{StepError, StepOutcome};

/// The longest pause between two looks at what is late.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

impl StepContext {
    /// Waits for work that AWS accepted at `since` and that takes about `usually` seconds. How long such work has taken
    /// before decides when it looks again.
    ///
    /// After `at_most` seconds it is late: a person is asked, and it goes on looking.
    pub async fn poll_later(
        &self,
        why: &str,
        since: DateTime<Utc>,
        usually: u64,
        at_most: u64,
    ) -> Result<StepOutcome, StepError> {
        let expected = self.services.durations.expected(self.step, usually, self.now()).await;
        Ok(self.waits(why, since, at_most, poll_schedule::next_poll_delay(self.now() - since, expected)))
    }

    /// Waits likewise for work that is looked after for everybody at once: whose end is told by whoever looks, and which is
    /// looked at from here only should nobody have.
    pub async fn wait_for_shared_poll(
        &self,
        why: &str,
        since: DateTime<Utc>,
        usually: u64,
        at_most: u64,
    ) -> Result<StepOutcome, StepError> {
        let expected = self.services.durations.expected(self.step, usually, self.now()).await;
        Ok(self.waits(why, since, at_most, poll_schedule::no_later_than(self.now() - since, expected)))
    }

    /// Looks again after `pause`; once the deadline has passed, a person is asked as well.
    fn waits(&self, why: &str, since: DateTime<Utc>, at_most: u64, pause: TimeDelta) -> StepOutcome {
        let (now, deadline) = (self.now(), self.deadline(since, at_most));
        let looked = |check_at| StepOutcome::wait(why, check_at).with("looked_at", now.to_rfc3339());
        if now < deadline {
            return looked((now + pause).min(deadline));
        }
        let (waited, allowed) = (format_duration(now - since), format_duration(seconds_of(at_most)));
        let late = deadline_passed(&format!("Still waiting for {why} after {waited}; {allowed} is allowed"));
        StepOutcome { late: Some(late), ..looked(now + pause.min(LONGEST_PAUSE)) }
    }

    /// When a person is asked about something that is waited for since `since` and may take `at_most` seconds; who has
    /// tried again after that has given it as long once more.
    pub fn deadline(&self, since: DateTime<Utc>, at_most: u64) -> DateTime<Utc> {
        let retried = self.entry().and_then(|entry| entry.retried_at);
        retried.map_or(since, |at| at.max(since)) + seconds_of(at_most)
    }

    /// Whether a first look would be wasted: hardly any such work has ended so soon after it began, at `since`.
    pub async fn is_too_early_to_poll(&self, since: DateTime<Utc>, usually: u64) -> bool {
        let now = self.now();
        let looked = self.entry().is_some_and(|entry| entry.facts.contains_key("looked_at"));
        !looked && self.services.durations.expected(self.step, usually, now).await.is_too_soon(now - since)
    }

    /// About how many seconds the work took that was accepted at `since` and is now found done: between the last look
    /// that found it under way and this one.
    pub fn took_seconds(&self, since: DateTime<Utc>) -> f64 {
        let elapsed = (self.now() - since).as_seconds_f64();
        let looked: Option<DateTime<Utc>> = self.step_fact("looked_at");
        let before = looked.filter(|at| *at > since).map_or(0.0, |at| (at - since).as_seconds_f64());
        f64::midpoint(before.max(0.3 * elapsed), elapsed)
    }

    /// Returns an attention if AWS has refused the step for longer than `at_most`.
    pub(crate) fn blocked_too_long(&self, why: &str, at_most: Option<TimeDelta>) -> Option<Attention> {
        let blocked = self.now() - self.entry()?.blocked_since?;
        let at_most = at_most.filter(|at_most| blocked > *at_most)?;
        Some(deadline_passed(&format!(
            "Still waiting for {why} after {}; {} is allowed",
            format_duration(blocked),
            format_duration(at_most)
        )))
    }

    /// Returns a pause of 15 s to five minutes, which grows with the time since the first refusal.
    pub(crate) fn pause_while_blocked(&self) -> TimeDelta {
        let blocked = self
            .entry()
            .and_then(|entry| entry.blocked_since)
            .map_or(0.0, |since| (self.now() - since).as_seconds_f64());
        seconds((blocked / 4.0).clamp(15.0, 300.0) * (1.0 + 0.1 * rand::random::<f64>()))
    }

    pub(crate) fn attempts_without_progress(&self) -> u32 {
        self.entry().map_or(0, |entry| entry.attempts_without_progress)
    }
}
