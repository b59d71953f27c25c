//! Journal of the steps of an operation.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::attention::Attention;
use crate::environment_stack::StackSlot;
use crate::replica::ReplicaSlot;
use crate::string_enum::string_enum;

string_enum! {
    /// Name of a workflow step in the journal, the API and metrics. Names are never changed or removed, because stored
    /// journals contain them.
    StepName {
        RequestAccount = "request-account",
        AwaitAccount = "await-account",
        EnforceResidency = "enforce-residency",
        PlaceAccount = "place-account",
        ReachAccount = "reach-account",
        InstallBaseline = "install-baseline",
        EnableRegions = "enable-regions",
        DeployStack = "deploy-stack",
        GrantAccess = "grant-access",
        Verify = "verify",
        SettleAccount = "settle-account",
        Suspend = "suspend",
        RevokeAccess = "revoke-access",
        CoolOff = "cool-off",
        DeleteStack = "delete-stack",
        DeleteBaseline = "delete-baseline",
        CloseAccount = "close-account",
        AwaitClosure = "await-closure",
        UpgradeBaseline = "upgrade-baseline",
        EnableRegion1 = "enable-region-1",
        EnableRegion2 = "enable-region-2",
        EnableRegion3 = "enable-region-3",
        DeployReplica1 = "deploy-replica-1",
        DeployReplica2 = "deploy-replica-2",
        DeployReplica3 = "deploy-replica-3",
        VerifyReplica1 = "verify-replica-1",
        VerifyReplica2 = "verify-replica-2",
        VerifyReplica3 = "verify-replica-3",
        DeleteReplica1 = "delete-replica-1",
        DeleteReplica2 = "delete-replica-2",
        DeleteReplica3 = "delete-replica-3",
        FrontDoor = "front-door",
        VerifyFrontDoor = "verify-front-door",
        CloseFrontDoor = "close-front-door",
        DisableFrontDoor = "disable-front-door",
        DeleteFrontDoor = "delete-front-door",
        MoveHome = "move-home",
        SetHomeRegion = "set-home-region",
        ProveResidency = "prove-residency",
        UpdateStack = "update-stack",
        UpdateReplica1 = "update-replica-1",
        UpdateReplica2 = "update-replica-2",
        UpdateReplica3 = "update-replica-3",
        PreviewRelease = "preview-release",
    }
}

/// Work of a step on a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaWork {
    EnableRegion,
    Deploy,
    Verify,
    Delete,
    Update,
}

/// Work of a step on the front door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrontDoorWork {
    /// Creates or updates the distribution.
    Deploy,
    Verify,
    /// Makes the functions refuse the distribution.
    Close,
    /// Makes the distribution refuse everybody.
    Disable,
    Delete,
}

/// Steps that work on a replica, with their work and the number of the slot.
const REPLICA_STEPS: [(StepName, ReplicaWork, i16); 15] = [
    (StepName::EnableRegion1, ReplicaWork::EnableRegion, 1),
    (StepName::EnableRegion2, ReplicaWork::EnableRegion, 2),
    (StepName::EnableRegion3, ReplicaWork::EnableRegion, 3),
    (StepName::DeployReplica1, ReplicaWork::Deploy, 1),
    (StepName::DeployReplica2, ReplicaWork::Deploy, 2),
    (StepName::DeployReplica3, ReplicaWork::Deploy, 3),
    (StepName::VerifyReplica1, ReplicaWork::Verify, 1),
    (StepName::VerifyReplica2, ReplicaWork::Verify, 2),
    (StepName::VerifyReplica3, ReplicaWork::Verify, 3),
    (StepName::DeleteReplica1, ReplicaWork::Delete, 1),
    (StepName::DeleteReplica2, ReplicaWork::Delete, 2),
    (StepName::DeleteReplica3, ReplicaWork::Delete, 3),
    (StepName::UpdateReplica1, ReplicaWork::Update, 1),
    (StepName::UpdateReplica2, ReplicaWork::Update, 2),
    (StepName::UpdateReplica3, ReplicaWork::Update, 3),
];

impl StepName {
    /// Steps that deploy the tenant stack.
    pub const DEPLOYMENTS: &'static [Self] =
        &[Self::DeployStack, Self::DeployReplica1, Self::DeployReplica2, Self::DeployReplica3];

    /// Returns the replica that the step works on and its work, or `None` if the step does not work on a replica.
    pub fn replica(self) -> Option<(ReplicaSlot, ReplicaWork)> {
        let (_, work, number) = REPLICA_STEPS.into_iter().find(|(name, ..)| *name == self)?;
        Some((ReplicaSlot::new(number)?, work))
    }

    /// Returns the work of the step on the front door, or `None` if the step does not work on it.
    pub fn front_door(self) -> Option<FrontDoorWork> {
        match self {
            Self::FrontDoor => Some(FrontDoorWork::Deploy),
            Self::VerifyFrontDoor => Some(FrontDoorWork::Verify),
            Self::CloseFrontDoor => Some(FrontDoorWork::Close),
            Self::DisableFrontDoor => Some(FrontDoorWork::Disable),
            Self::DeleteFrontDoor => Some(FrontDoorWork::Delete),
            _ => None,
        }
    }

    /// Returns the step that deploys the stack of `slot`.
    pub fn deployment_of(slot: StackSlot) -> Self {
        let of_replica = |slot: ReplicaSlot| {
            let is_wanted =
                |(_, work, number): &(Self, ReplicaWork, i16)| *work == ReplicaWork::Deploy && *number == slot.number();
            REPLICA_STEPS.into_iter().find(is_wanted).map(|(name, ..)| name)
        };
        match slot {
            StackSlot::Home => Self::DeployStack,
            StackSlot::Replica(slot) => of_replica(slot).unwrap_or(Self::DeployStack),
        }
    }
}

impl PartialEq<StepName> for String {
    fn eq(&self, name: &StepName) -> bool {
        self == name.as_str()
    }
}

string_enum! {
    /// State of a step.
    StepState {
        /// The step has not started yet, is due to run again, or was stopped by the cancellation of its operation.
        Pending = "pending",
        /// The step has started; its result has not been recorded yet.
        Running = "running",
        /// The step waits until its next poll is due.
        Waiting = "waiting",
        /// The step is stopped until a person acts.
        Parked = "parked",
        /// The step has failed for good, which ends the operation.
        Failed = "failed",
        /// The step is completed; later steps may start.
        Done = "done",
        /// The step had nothing to do; later steps may start. Stored as `done` with a reason.
        Skipped = "skipped",
    }
}

impl StepState {
    /// Returns true if later steps may start.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// Values that a step has obtained and that later steps read, such as request, account and stack ids.
pub type Facts = Map<String, Value>;

/// Journal entry of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// Name of the step in the workflow.
    pub name: String,
    /// Steps that must be done before this step starts.
    pub after: Vec<String>,
    pub state: StepState,
    /// Values of an AWS call that is not safe to repeat, written before the call.
    pub intent: Option<Value>,
    pub intent_at: Option<DateTime<Utc>>,
    pub facts: Facts,
    pub attempts: u32,
    /// Number of consecutive attempts that failed and recorded no new fact.
    pub attempts_without_progress: u32,
    /// Description of the condition that the step waits for.
    pub waits_for: Option<String>,
    /// Time of the next poll of a waiting step.
    pub check_at: Option<DateTime<Utc>>,
    /// Reason why the step had nothing to do; `None` unless it was skipped.
    pub skip_reason: Option<String>,
    /// Reason why the step needs attention, or has failed. A waiting step that needs attention is late.
    pub attention: Option<Attention>,
    /// Time since which AWS has refused to start or continue the work.
    pub blocked_since: Option<DateTime<Utc>>,
    /// Message of the latest error.
    pub last_error: Option<String>,
    /// AWS's id of the request that caused the latest error; `None` if no request to AWS caused it.
    pub last_error_aws_request_id: Option<String>,
    /// Time of the first attempt of the step.
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the last manual retry. Deadlines are measured from this time.
    pub retried_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}
