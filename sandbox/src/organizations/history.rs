//! A value whose changes are visible immediately but take effect with a delay.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The latest value and the earlier values, each with the time at which it takes effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History<T> {
    current: (DateTime<Utc>, T),
    earlier: Vec<(DateTime<Utc>, T)>,
}

impl<T> History<T> {
    /// Creates a history with an initial value that takes effect at `from`.
    pub fn new(from: DateTime<Utc>, value: T) -> Self {
        Self { current: (from, value), earlier: Vec::new() }
    }

    /// Returns the latest value, even if it is not in effect yet.
    pub fn current(&self) -> &T {
        &self.current.1
    }

    /// Returns the value in effect at `now`, or the oldest known value if no value is in effect yet.
    pub fn effective(&self, now: DateTime<Utc>) -> &T {
        if self.current.0 <= now {
            return &self.current.1;
        }
        let past = self.earlier.iter().rev().find(|(from, _)| *from <= now);
        &past.or(self.earlier.first()).unwrap_or(&self.current).1
    }

    /// Sets a new latest value. It takes effect after `delay`, but not before the previous value takes effect.
    pub fn set(&mut self, now: DateTime<Utc>, delay: TimeDelta, value: T) {
        let from = (now + delay).max(self.current.0);
        let before = std::mem::replace(&mut self.current, (from, value));
        let in_effect = self.earlier.iter().rposition(|(from, _)| *from <= now).unwrap_or(0);
        self.earlier.drain(..in_effect);
        self.earlier.push(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_take_effect_after_their_delay_and_in_order() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut history = History::new(at(0), 'a');
        history.set(at(10), TimeDelta::seconds(20), 'b');
        history.set(at(12), TimeDelta::seconds(1), 'c');
        assert_eq!(*history.current(), 'c');
        assert_eq!(*history.effective(at(29)), 'a');
        assert_eq!(*history.effective(at(30)), 'c', "b and c take effect at the same time, and c was set later");
        for n in 0..100 {
            history.set(at(100 + n), TimeDelta::seconds(2), 'd');
        }
        assert!(history.earlier.len() < 6, "values that can no longer be in effect are dropped");
    }
}
