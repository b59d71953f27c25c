//! Regions of an environment: its home region, and at most three replicas within the same residency.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::string_enum::string_enum;
use crate::{Region, ReleaseId};

/// Maximum number of replicas of an environment.
pub const MAX_REPLICAS: usize = ReplicaSlot::ALL.len();

/// Number of a replica within its environment: 1, 2 or 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaSlot(i16);

impl ReplicaSlot {
    /// All slots, in order.
    pub const ALL: &'static [Self] = &[Self(1), Self(2), Self(3)];

    /// Returns the slot with this number, or `None` if there is no such slot.
    pub fn new(number: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|slot| slot.0 == number)
    }

    pub fn number(self) -> i16 {
        self.0
    }
}

impl fmt::Display for ReplicaSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

string_enum! {
    /// State of a region of an environment.
    ReplicaState {
        /// The region was requested, and no work on it has started.
        Pending = "pending",
        /// The stack is being deployed or verified for the first time.
        Deploying = "deploying",
        /// The stack of the region is verified.
        Ready = "ready",
        /// An operation changes or verifies a region that was ready before.
        Updating = "updating",
        /// The stack needs a person, or reconcile has found it missing or broken.
        Failed = "failed",
        /// AWS does not answer in the region.
        Unreachable = "unreachable",
        /// The region was removed; its stack is deleted later. Never stored: derived from the time of the deletion.
        Leaving = "leaving",
    }
}

impl ReplicaState {
    /// Returns whether nothing is wrong with the region. A verified environment with another region is degraded.
    pub fn is_in_order(self) -> bool {
        !matches!(self, Self::Failed | Self::Unreachable)
    }
}

/// Region in which a further copy of the tenant stack runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    pub slot: ReplicaSlot,
    pub region: Region,
    pub state: ReplicaState,
    /// Time since which the replica has this state.
    pub since: DateTime<Utc>,
    /// Reason of the state; `None` if there is none.
    pub message: Option<String>,
    /// ARN of the stack; `None` until AWS has returned it.
    pub stack_id: Option<String>,
    /// Release of the stack; `None` before it is deployed, and before releases existed.
    pub release: Option<ReleaseId>,
    /// URL of the stack; `None` before the first verification, or if the stack has no URL.
    pub url: Option<String>,
    /// Time of the first successful verification.
    pub ready_at: Option<DateTime<Utc>>,
    /// Time from which the stack of a removed replica is deleted; `None` unless the replica was removed.
    pub leaving_at: Option<DateTime<Utc>>,
}

impl Replica {
    /// Creates a replica that was requested at `now`.
    pub fn requested(slot: ReplicaSlot, region: Region, now: DateTime<Utc>) -> Self {
        Self {
            slot,
            region,
            state: ReplicaState::Pending,
            since: now,
            message: None,
            stack_id: None,
            release: None,
            url: None,
            ready_at: None,
            leaving_at: None,
        }
    }

    /// Creates the replicas of a new environment, in the order of `regions`. Ignores regions beyond [`MAX_REPLICAS`].
    pub fn of_new_environment(regions: &[Region], now: DateTime<Utc>) -> Vec<Self> {
        let slots = ReplicaSlot::ALL.iter().zip(regions);
        slots.map(|(slot, region)| Self::requested(*slot, *region, now)).collect()
    }
}
