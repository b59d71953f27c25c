//! Kinds of work in AWS whose durations are learned, and how closely each is polled.

/// Kind of work in AWS that a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PolledWork {
    /// Work of an operation that waits for nothing else meanwhile.
    Usual,
    /// Update of a tenant stack to a release. The next update of a rollout waits for its end, and the polls count
    /// against a quota of the tenant's account.
    ReleaseUpdate,
    /// Creation of the change set of a [`Self::ReleaseUpdate`], in the same step.
    ChangeSet,
}

impl PolledWork {
    /// Returns the name of the fact of a finished step that has the duration of this work in seconds.
    pub(crate) fn duration_fact(self) -> &'static str {
        match self {
            Self::Usual | Self::ReleaseUpdate => "took_seconds",
            Self::ChangeSet => "change_set_seconds",
        }
    }

    /// Returns the cost of a poll by a single operation, as a fraction of the expected duration. `spread` is the spread
    /// of the durations.
    ///
    /// With the cost of `Usual` and the usual spread, an operation polls 1.5 times on average and detects the end of
    /// its work with a delay of one sixth of the duration. With that of the others, it polls three times with a delay
    /// of one tenth. If all updates take the same time, it polls 1.5 times with a delay of one fortieth.
    pub(super) fn poll_cost(self, spread: f64) -> f64 {
        match self {
            Self::Usual => 0.11,
            // At a large spread, more polls are needed for the same gain.
            Self::ReleaseUpdate | Self::ChangeSet => 0.018 + 0.04 * spread,
        }
    }

    /// Returns the lower limit for a spread that is estimated from a few samples.
    pub(super) fn min_spread(self) -> f64 {
        match self {
            Self::Usual => 0.12,
            // The stacks of a fleet have the same template, and each release changes the same resources.
            Self::ReleaseUpdate | Self::ChangeSet => 0.05,
        }
    }
}
