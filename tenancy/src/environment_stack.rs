//! CloudFormation stack of an environment.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::replica::ReplicaSlot;
use crate::string_enum::string_enum;
use crate::{Region, ReleaseId};

string_enum! {
    /// Kind of a stack.
    StackKind {
        /// Stack with the roles of Freehold.
        Baseline = "baseline",
        /// Stack with the software of the SaaS.
        Tenant = "tenant",
        /// Stack with the CloudFront distribution in front of the regions.
        FrontDoor = "front-door",
    }
}

string_enum! {
    /// State of a stack, as far as Freehold has changed it.
    EnvironmentStackState {
        /// The stack may exist: its creation was intended, and is not complete.
        Intended = "intended",
        /// The stack was created or updated completely.
        Present = "present",
        /// The stack was deleted.
        Deleted = "deleted",
    }
}

/// End of the names of outputs that contain the ARNs of alarms. The alarms guard updates and bakes.
pub const ALARM_OUTPUT: &str = "AlarmArn";

/// Values of the parameters of a template, by name.
pub type StackParameters = BTreeMap<String, String>;

/// Release of a deployed stack, with the parameters that Freehold passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployedRelease {
    pub id: ReleaseId,
    pub parameters: StackParameters,
}

/// Region of an environment that a stack serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StackSlot {
    Home,
    Replica(ReplicaSlot),
}

impl StackSlot {
    /// Returns the number in the database: 0 for home.
    pub fn number(self) -> i16 {
        match self {
            Self::Home => 0,
            Self::Replica(slot) => slot.number(),
        }
    }

    /// Returns the slot with this number in the database, or `None` if there is no such slot.
    pub fn new(number: i16) -> Option<Self> {
        if number == 0 { Some(Self::Home) } else { ReplicaSlot::new(number).map(Self::Replica) }
    }
}

/// CloudFormation stack of an environment, on record from the intent to create it on.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentStack {
    pub kind: StackKind,
    pub slot: StackSlot,
    pub region: Region,
    pub name: String,
    /// ARN of the stack; `None` until AWS has returned it.
    pub id: Option<String>,
    pub state: EnvironmentStackState,
    /// Outputs after the last completed change.
    pub outputs: BTreeMap<String, String>,
    /// Time at which the last change by Freehold was complete; `None` before.
    pub changed_at: Option<DateTime<Utc>>,
    /// Release of a tenant stack; `None` for other stacks, and before releases existed.
    pub release: Option<DeployedRelease>,
}

/// Stack that a step is about to create or update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntendedStack {
    pub kind: StackKind,
    pub slot: StackSlot,
    pub region: Region,
    pub name: String,
}

/// Change of a stack that a run of a step has made or observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackChange {
    pub kind: StackKind,
    pub slot: StackSlot,
    pub region: Region,
    pub name: String,
    pub progress: StackProgress,
    /// Release that a completed change has deployed; `None` if the release stays.
    pub release: Option<DeployedRelease>,
}

/// Progress of the change of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackProgress {
    /// CloudFormation has accepted a stack with this ARN.
    Accepted { id: String },
    /// The change is complete.
    Completed { id: String, outputs: BTreeMap<String, String> },
    /// CloudFormation has undone the change of an existing stack.
    Undone,
    /// The stack is deleted.
    Deleted,
}
