//! An operation: one long-running piece of work on one environment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::step::JournalEntry;
use crate::words::words;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

words! {
    /// Which list of steps an operation walks.
    OperationKind {
        /// From signup to a ready environment.
        Onboard = "onboard",
    }
}

words! {
    /// Where an operation stands.
    OperationState {
        /// Accepted; no worker has looked at it yet.
        Pending = "pending",
        /// On its way.
        Running = "running",
        /// Waits for a person.
        NeedsAttention = "needs_attention",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended without success.
        Failed = "failed",
        /// Ended because somebody asked for that.
        Canceled = "canceled",
    }
}

words! {
    /// What a person can do, through the API, about an operation that needs attention.
    Remedy {
        /// `POST /v1/operations/{id}/retry`, once the cause is gone.
        Retry = "retry",
    }
}

/// Why an operation needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Stable, for programs: `account_email_taken`.
    pub code: String,
    /// One sentence in plain words, for people.
    pub sentence: String,
    /// What can be done about it.
    pub remedies: Vec<Remedy>,
}

/// Who asked for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The `iss` of the token.
    pub issuer: String,
    /// The `sub` of the token.
    pub subject: String,
}

/// One long-running piece of work on one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// `op_…`
    pub id: OperationId,
    /// Whose environment it works on.
    pub tenant_id: TenantId,
    /// What it works on.
    pub environment_id: EnvironmentId,
    /// What that is called.
    pub environment_name: EnvironmentName,
    /// Which list of steps it walks.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// Why it needs a person, where it does.
    pub attention: Option<Attention>,
    /// When a worker looks at it next.
    pub wake_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When a worker first looked at it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Its journal, in the order of the list; empty until a worker has looked at it.
    pub steps: Vec<JournalEntry>,
}
