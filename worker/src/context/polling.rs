//! Polling of work that AWS has accepted, and the deadlines of that work.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::Attention;
use freehold_tenancy::clock::seconds;
use freehold_tenancy::jitter;
use freehold_tenancy::wait_reason::WaitReason;

use super::attention::{deadline_passed, format_duration};
use super::{StepContext, seconds_of};
use crate::poll_schedule::{self, DurationEstimate, PolledWork};
use crate::step_outcome::{StepError, StepOutcome};

/// Maximum interval between two polls of late work.
const MAX_PAUSE: TimeDelta = TimeDelta::hours(1);

impl StepContext {
    /// Returns an outcome that makes the step poll again later for work that AWS accepted at `since`. The time of the
    /// poll depends on earlier durations of the same step, or on `expected_seconds` if there are too few.
    ///
    /// After `at_most` seconds the step is late: the operation needs attention, and polling continues.
    pub async fn poll_later(
        &self,
        reason: WaitReason,
        since: DateTime<Utc>,
        expected_seconds: u64,
        at_most: u64,
    ) -> Result<StepOutcome, StepError> {
        self.poll_work_later(PolledWork::Usual, reason, since, expected_seconds, at_most).await
    }

    /// Returns an outcome like [`Self::poll_later`], with the poll schedule of `work`.
    pub(crate) async fn poll_work_later(
        &self,
        work: PolledWork,
        reason: WaitReason,
        since: DateTime<Utc>,
        expected_seconds: u64,
        at_most: u64,
    ) -> Result<StepOutcome, StepError> {
        let expected = self.expected(work, expected_seconds).await;
        let pause = poll_schedule::next_poll_delay(self.now() - since, expected, work);
        Ok(self.wait_for(reason, since, at_most, pause))
    }

    /// Returns an outcome like [`Self::poll_later`], for work that a shared poll reports. The shared poll wakes the
    /// operation; the step polls by itself only if that does not happen.
    pub async fn wait_for_shared_poll(
        &self,
        reason: WaitReason,
        since: DateTime<Utc>,
        expected_seconds: u64,
        at_most: u64,
    ) -> Result<StepOutcome, StepError> {
        let expected = self.expected(PolledWork::Usual, expected_seconds).await;
        Ok(self.wait_for(reason, since, at_most, poll_schedule::no_later_than(self.now() - since, expected)))
    }

    /// Returns an outcome that waits for `pause`, at most until the deadline. After the deadline, the outcome also
    /// contains an [`Attention`].
    fn wait_for(&self, reason: WaitReason, since: DateTime<Utc>, at_most: u64, pause: TimeDelta) -> StepOutcome {
        let (now, deadline) = (self.now(), self.deadline(since, at_most));
        let (late, check_at) = if now < deadline {
            (None, (now + pause).min(deadline))
        } else {
            let (waited, allowed) = (format_duration(now - since), format_duration(seconds_of(at_most)));
            let problem = format!("Still waiting for {reason} after {waited}; the limit is {allowed}");
            (Some(deadline_passed(&problem)), now + pause.min(MAX_PAUSE))
        };
        StepOutcome { late, ..StepOutcome::wait(reason, check_at) }.with("looked_at", now.to_rfc3339())
    }

    /// Returns the deadline of work that AWS accepted at `since` and that may take `at_most` seconds. A manual retry
    /// starts a new deadline.
    pub fn deadline(&self, since: DateTime<Utc>, at_most: u64) -> DateTime<Utc> {
        let retried = self.entry().and_then(|entry| entry.retried_at);
        retried.map_or(since, |at| at.max(since)) + seconds_of(at_most)
    }

    /// Returns whether the first poll would be too early, because such work rarely finishes so soon after `since`.
    pub async fn is_too_early_to_poll(&self, since: DateTime<Utc>, expected_seconds: u64) -> bool {
        let was_polled = self.entry().is_some_and(|entry| entry.facts.contains_key("looked_at"));
        !was_polled && self.expected(PolledWork::Usual, expected_seconds).await.is_too_soon(self.now() - since)
    }

    async fn expected(&self, work: PolledWork, expected_seconds: u64) -> DurationEstimate {
        self.services.durations.expected(self.step, work, expected_seconds, self.now()).await
    }

    /// Estimates the duration of finished work in seconds. The work finished between the previous poll and this one.
    pub fn estimated_duration_seconds(&self, since: DateTime<Utc>) -> f64 {
        let (seen, elapsed) = self.last_polls(since);
        f64::midpoint(seen.max(0.3 * elapsed), elapsed)
    }

    /// Estimates the duration of finished work like [`Self::estimated_duration_seconds`], but assumes that it was near
    /// the expected duration, so that one poll right after the end does not make the work appear shorter.
    pub(crate) async fn likely_duration_seconds(
        &self,
        work: PolledWork,
        since: DateTime<Utc>,
        expected_seconds: u64,
    ) -> f64 {
        let (seen, elapsed) = self.last_polls(since);
        let expected = self.expected(work, expected_seconds).await.given(self.now() - since);
        expected.median_between(seen, elapsed).max(0.3 * elapsed)
    }

    /// Returns the ages of work that AWS accepted at `since`, in seconds: at the previous poll, which is 0 if there was
    /// none, and now.
    fn last_polls(&self, since: DateTime<Utc>) -> (f64, f64) {
        let last_poll: Option<DateTime<Utc>> = self.step_fact("looked_at");
        let seen = last_poll.filter(|at| *at > since).map_or(0.0, |at| (at - since).as_seconds_f64());
        (seen, (self.now() - since).as_seconds_f64())
    }

    /// Returns an [`Attention`] if AWS has blocked the step for longer than `at_most`.
    pub(crate) fn attention_if_blocked_too_long(
        &self,
        reason: &WaitReason,
        at_most: Option<TimeDelta>,
    ) -> Option<Attention> {
        let blocked = self.now() - self.entry()?.blocked_since?;
        let at_most = at_most.filter(|at_most| blocked > *at_most)?;
        Some(deadline_passed(&format!(
            "Still waiting for {reason} after {}; the limit is {}",
            format_duration(blocked),
            format_duration(at_most)
        )))
    }

    /// Returns a pause of 15 s to five minutes. The pause grows with the time since the first refusal.
    pub(crate) fn pause_while_blocked(&self) -> TimeDelta {
        let blocked = self
            .entry()
            .and_then(|entry| entry.blocked_since)
            .map_or(0.0, |since| (self.now() - since).as_seconds_f64());
        seconds((blocked / 4.0).clamp(15.0, 300.0) * jitter::factor(1.0..1.1))
    }

    pub(crate) fn attempts_without_progress(&self) -> u32 {
        self.entry().map_or(0, |entry| entry.attempts_without_progress)
    }
}
