//! Activity of a connection, which determines the time at which the connection must be closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Version;
use freehold_tenancy::config::ApiLimits;
use tokio::time::Instant;

/// Maximum time for the orderly close of an idle connection.
const CLOSING_GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Reason why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    HeaderTimeout,
    IdleTimeout,
    ResponseStalled,
}

impl CloseReason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::ResponseStalled => "response_stalled",
        }
    }
}

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimits {
    header: Duration,
    idle: Duration,
    stall: Duration,
}

impl TimeLimits {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        Self { header: limits.header_timeout(), idle: limits.idle_timeout(), stall: limits.response_stall() }
    }

    fn shortest(&self) -> Duration {
        self.header.min(self.idle).min(self.stall)
    }
}

/// Activity of a connection; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    is_http2: bool,
    /// Number of requests whose response has not been handed over completely.
    open_requests: usize,
    /// Time at which the last request was finished.
    idle_since: Instant,
    /// Time at which the header of the next request began. `None` on an HTTP/2 connection after its first request,
    /// because other frames than headers arrive at any time.
    header_since: Option<Instant>,
    /// Time since which the peer accepts no bytes.
    write_blocked_since: Option<Instant>,
    next_request: u64,
    /// Time since which a part of a response waits for the flow control of HTTP/2, by request.
    untaken_since: BTreeMap<u64, Instant>,
}

impl Activity {
    /// Returns the activity of a connection that was just opened, from which a header is expected.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            is_http2: false,
            open_requests: 0,
            idle_since: now,
            header_since: Some(now),
            write_blocked_since: None,
            next_request: 0,
            untaken_since: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that bytes were received.
    pub(super) fn record_read(&self) {
        let mut state = self.state();
        if state.open_requests == 0 && !state.is_http2 {
            state.header_since.get_or_insert_with(Instant::now);
        }
    }

    /// Records whether the peer accepts bytes.
    pub(super) fn record_write(&self, is_blocked: bool) {
        let mut state = self.state();
        if is_blocked {
            state.write_blocked_since.get_or_insert_with(Instant::now);
            return;
        }
        state.write_blocked_since = None;
        // The end of an HTTP/1 response is still being sent after it was handed over. HTTP/2 also sends other frames.
        if state.open_requests == 0 && !state.is_http2 {
            state.idle_since = Instant::now();
        }
    }

    pub(super) fn start_request(&self, version: Version) -> OpenRequest {
        let mut state = self.state();
        state.is_http2 = version == Version::HTTP_2;
        state.header_since = None;
        state.open_requests += 1;
        state.next_request += 1;
        OpenRequest { activity: self.clone(), number: state.next_request, is_http2: state.is_http2 }
    }

    /// Waits until a time limit is exceeded. `closing_since` is the time at which an orderly close began.
    pub(super) async fn wait_until_overdue(&self, limits: TimeLimits, closing_since: Option<Instant>) -> CloseReason {
        loop {
            let now = Instant::now();
            let next_check = match self.state().deadline(limits, closing_since) {
                Some((at, reason)) if at <= now => return reason,
                Some((at, _)) => at.min(now + limits.shortest()),
                // A wait that begins later is not overdue before the shortest limit has passed.
                None => now + limits.shortest(),
            };
            tokio::time::sleep_until(next_check).await;
        }
    }
}

impl State {
    /// Returns the earliest time at which the connection must be closed unless there is progress, with the reason.
    fn deadline(&self, limits: TimeLimits, closing_since: Option<Instant>) -> Option<(Instant, CloseReason)> {
        // A response that was handed over but that the peer does not read is stalled, not idle.
        let is_quiet = self.open_requests == 0 && self.write_blocked_since.is_none();
        let idle = match (is_quiet, self.header_since, closing_since) {
            (true, None, None) => Some(self.idle_since + limits.idle),
            (true, _, Some(closing_since)) => Some(self.idle_since.max(closing_since) + CLOSING_GRACE_PERIOD),
            _ => None,
        };
        let header = self.header_since.map(|since| since + limits.header);
        let stalled = self.write_blocked_since.into_iter().chain(self.untaken_since.values().copied()).min();
        let stalled = stalled.map(|since| since + limits.stall);
        let deadlines = [
            (idle, CloseReason::IdleTimeout),
            (header, CloseReason::HeaderTimeout),
            (stalled, CloseReason::ResponseStalled),
        ];
        deadlines.into_iter().filter_map(|(at, reason)| Some((at?, reason))).min_by_key(|(at, _)| *at)
    }
}

/// Request whose response has not been handed over completely. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct OpenRequest {
    activity: Activity,
    number: u64,
    is_http2: bool,
}

impl OpenRequest {
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// Records whether a part of the response waits until the flow control of HTTP/2 permits its transfer. HTTP/1 has
    /// no flow control besides that of the connection.
    pub(super) fn record_part(&self, is_waiting: bool) {
        if !self.is_http2 {
            return;
        }
        let mut state = self.activity.state();
        if is_waiting {
            state.untaken_since.insert(self.number, Instant::now());
        } else {
            state.untaken_since.remove(&self.number);
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.untaken_since.remove(&self.number);
        state.open_requests -= 1;
        if state.open_requests == 0 {
            state.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const LIMITS: TimeLimits =
        TimeLimits { header: Duration::from_secs(10), idle: Duration::from_secs(75), stall: Duration::from_secs(30) };

    /// Returns the reason and the number of seconds after which the connection is closed.
    async fn close(activity: &Activity) -> (CloseReason, u64) {
        let start = Instant::now();
        let reason = activity.wait_until_overdue(LIMITS, None).await;
        (reason, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_must_be_complete_in_time_however_it_drips() {
        let activity = Activity::new();
        let drip = async {
            loop {
                tokio::time::sleep(SECOND).await;
                activity.record_read();
            }
        };
        let closed = tokio::select! { closed = close(&activity) => closed, () = drip => unreachable!() };
        assert_eq!(closed, (CloseReason::HeaderTimeout, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_longer_than_a_half_sent_header() {
        let activity = Activity::new();
        drop(activity.start_request(Version::HTTP_11));
        assert_eq!(close(&activity).await, (CloseReason::IdleTimeout, 75));
        drop(activity.start_request(Version::HTTP_11));
        activity.record_read();
        assert_eq!(close(&activity).await, (CloseReason::HeaderTimeout, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_last_but_not_stall() {
        let activity = Activity::new();
        let request = activity.start_request(Version::HTTP_11);
        let waiting = tokio::time::timeout(3600 * SECOND, close(&activity)).await;
        assert!(waiting.is_err(), "a long response was ended");
        activity.record_write(true);
        assert_eq!(close(&activity).await, (CloseReason::ResponseStalled, 30));
        drop(request);
        assert_eq!(close(&activity).await.0, CloseReason::ResponseStalled, "the end of the response is not taken");
        activity.record_write(false);
        assert_eq!(close(&activity).await, (CloseReason::IdleTimeout, 75));
    }

    #[tokio::test(start_paused = true)]
    async fn frames_without_requests_do_not_keep_a_connection_open() {
        let activity = Activity::new();
        let request = activity.start_request(Version::HTTP_2);
        request.record_part(true);
        assert_eq!(close(&activity).await, (CloseReason::ResponseStalled, 30));
        drop(request);
        let ping = async {
            loop {
                tokio::time::sleep(SECOND).await;
                activity.record_read();
                activity.record_write(false);
            }
        };
        let closed = tokio::select! { closed = close(&activity) => closed, () = ping => unreachable!() };
        assert_eq!(closed, (CloseReason::IdleTimeout, 75));
    }
}
