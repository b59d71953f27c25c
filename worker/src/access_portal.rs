//! Sign-in of a person to the access portal of IAM Identity Center: types, errors and the decision of each poll.
//! [`crate::aws::Portal`] makes the calls.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

/// Interval between polls if AWS names none (RFC 8628, section 3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// Time by which each request to slow down makes the interval longer (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Registration of this program as an OAuth client.
#[derive(Debug, Clone)]
pub struct RegisteredClient {
    pub id: String,
    pub secret: SecretString,
    pub expires_at: DateTime<Utc>,
}

/// A sign-in that a person has to approve in a browser.
#[derive(Debug, Clone)]
pub struct DeviceCode {
    pub device_code: SecretString,
    /// Code that the person compares, such as `ABCD-EFGH`.
    pub user_code: String,
    pub verification_url: String,
    /// URL that contains the code, if AWS gives one.
    pub complete_url: Option<String>,
    pub lifetime: Duration,
    /// Shortest time between two polls; zero if AWS names none.
    pub interval: Duration,
}

/// Access token of the portal.
#[derive(Debug, Clone)]
pub struct PortalToken {
    pub secret: SecretString,
    pub lifetime: Duration,
}

/// Account that the signed-in person has access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalAccount {
    pub id: String,
    pub name: String,
}

/// Credentials of a role in an account.
#[derive(Debug, Clone)]
pub struct RoleCredentials {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: SecretString,
    pub expires_at: DateTime<Utc>,
}

/// Error of a call to the access portal or of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortalError {
    /// The access token has expired or was revoked.
    #[error("IAM Identity Center does not accept the access token")]
    TokenRefused,
    /// The person has no assignment in the account, or not this role.
    #[error("IAM Identity Center refuses the access: {0}")]
    NoAccess(String),
    #[error("the registration of this program at IAM Identity Center has expired")]
    ClientExpired,
    #[error("the sign-in was denied in the browser")]
    Denied,
    #[error("the code has expired before the sign-in was approved; run the command again")]
    CodeExpired,
    #[error("too many requests to IAM Identity Center; wait a minute, then run the command again")]
    Throttled,
    /// No answer of AWS.
    #[error("cannot reach IAM Identity Center in {region}: {reason}; check the network and the region")]
    Unreachable { region: String, reason: String },
    /// Another error of AWS.
    #[error("{call} answered {code}: {message}")]
    Aws { call: &'static str, code: String, message: String },
}

/// Answer to a poll for the access token.
#[derive(Debug, Clone)]
pub enum Poll {
    Token(PortalToken),
    Pending,
    SlowDown,
    /// No answer, or an error of AWS itself. The next poll can succeed.
    Failed(PortalError),
    /// The sign-in has ended.
    Ended(PortalError),
}

/// Next action in a sign-in.
#[derive(Debug)]
pub enum NextAction {
    /// Wait until this time, then poll again.
    PollAt(DateTime<Utc>),
    Finish(PortalToken),
    Fail(PortalError),
}

/// Polling of a sign-in: when to poll, and when to stop.
#[derive(Debug, Clone)]
pub struct Polling {
    interval: Duration,
    expires_at: DateTime<Utc>,
}

impl Polling {
    pub fn new(code: &DeviceCode, now: DateTime<Utc>) -> Self {
        let interval = if code.interval.is_zero() { DEFAULT_INTERVAL } else { code.interval };
        Self { interval, expires_at: add(now, code.lifetime) }
    }

    /// Returns the time of the first poll.
    pub fn first_poll(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        add(now, self.interval)
    }

    /// Returns the next action after the answer to a poll.
    pub fn next_action(&mut self, poll: Poll, now: DateTime<Utc>) -> NextAction {
        match poll {
            Poll::Token(token) => return NextAction::Finish(token),
            Poll::Ended(error) => return NextAction::Fail(error),
            Poll::Failed(error) if add(now, self.interval) >= self.expires_at => return NextAction::Fail(error),
            Poll::SlowDown => self.interval += SLOW_DOWN,
            Poll::Pending | Poll::Failed(_) => {}
        }
        let next = add(now, self.interval);
        // A code that has expired is not polled again.
        if next >= self.expires_at { NextAction::Fail(PortalError::CodeExpired) } else { NextAction::PollAt(next) }
    }
}

fn add(time: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration).ok().and_then(|delta| time.checked_add_signed(delta)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polling(interval: u64) -> Polling {
        let code = DeviceCode {
            device_code: "device".into(),
            user_code: "ABCD-EFGH".to_owned(),
            verification_url: "https://device.example.com".to_owned(),
            complete_url: None,
            lifetime: Duration::from_mins(10),
            interval: Duration::from_secs(interval),
        };
        Polling::new(&code, DateTime::UNIX_EPOCH)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn next_poll(polling: &mut Polling, poll: Poll, now: i64) -> Option<i64> {
        match polling.next_action(poll, at(now)) {
            NextAction::PollAt(time) => Some(time.timestamp()),
            NextAction::Finish(_) | NextAction::Fail(_) => None,
        }
    }

    #[test]
    fn each_request_to_slow_down_adds_five_seconds() {
        let mut polling = polling(1);
        assert_eq!(polling.first_poll(at(0)), at(1));
        assert_eq!(next_poll(&mut polling, Poll::Pending, 1), Some(2));
        assert_eq!(next_poll(&mut polling, Poll::SlowDown, 2), Some(8));
        assert_eq!(next_poll(&mut polling, Poll::Pending, 8), Some(14));
        assert_eq!(next_poll(&mut polling, Poll::SlowDown, 14), Some(25));
    }

    #[test]
    fn a_missing_interval_means_five_seconds() {
        assert_eq!(polling(0).first_poll(at(0)), at(5));
    }

    #[test]
    fn a_lost_answer_is_polled_again_until_the_code_expires() {
        let lost = || PortalError::Unreachable { region: "eu-central-1".to_owned(), reason: "timeout".to_owned() };
        let mut polling = polling(5);
        assert_eq!(next_poll(&mut polling, Poll::Failed(lost()), 10), Some(15));
        let last = polling.next_action(Poll::Failed(lost()), at(596));
        assert!(matches!(last, NextAction::Fail(PortalError::Unreachable { .. })), "{last:?}");
        let last = polling.next_action(Poll::Pending, at(596));
        assert!(matches!(last, NextAction::Fail(PortalError::CodeExpired)), "{last:?}");
    }

    #[test]
    fn a_denied_sign_in_ends() {
        let denied = polling(1).next_action(Poll::Ended(PortalError::Denied), at(1));
        assert!(matches!(denied, NextAction::Fail(PortalError::Denied)), "{denied:?}");
    }
}
