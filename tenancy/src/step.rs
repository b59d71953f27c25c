//! The journal of a step: what it set out to do and what came of it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::attention::Attention;
use crate::string_enum::string_enum;

string_enum! {
    /// Name of a step in journal, API and metrics. Append-only: the journals of earlier releases contain these names.
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
    }
}

impl PartialEq<StepName> for String {
    fn eq(&self, name: &StepName) -> bool {
        self == name.as_str()
    }
}

string_enum! {
    /// Where a step stands.
    StepState {
        /// Not begun.
        Pending = "pending",
        /// Begun; its outcome is not journaled.
        Running = "running",
        /// Looks again at a time that it has set.
        Waiting = "waiting",
        /// Waits for a person.
        Parked = "parked",
        /// Done.
        Done = "done",
    }
}

/// What a step has learnt: request ids, the account's id, the stack's id, …
pub type Facts = Map<String, Value>;

/// A step as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// The step, as in the list.
    pub name: String,
    /// The steps that must be done before it may start.
    pub after: Vec<String>,
    /// Where it stands.
    pub state: StepState,
    /// What it was about to ask, written before the call.
    pub intent: Option<Value>,
    /// When the intent was written.
    pub intent_at: Option<DateTime<Utc>>,
    /// What it has learnt.
    pub facts: Facts,
    /// How often it was run.
    pub attempts: u32,
    /// How often in a row it was run and failed.
    pub attempts_without_progress: u32,
    /// For what it waits, in plain words.
    pub waits_for: Option<String>,
    /// When it looks again.
    pub check_at: Option<DateTime<Utc>>,
    /// Why it needs a person, where it does; one that waits all the same is late.
    pub attention: Option<Attention>,
    /// Since when AWS has not let it begin or go on.
    pub blocked_since: Option<DateTime<Utc>>,
    /// The latest error, in plain words.
    pub last_error: Option<String>,
    /// When it was first run.
    pub started_at: Option<DateTime<Utc>>,
    /// When a person last had it tried again.
    pub retried_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub finished_at: Option<DateTime<Utc>>,
}
