//! Outcome of a run of a step, as [`super::record_step`] writes it.

use chrono::{DateTime, Utc};

use crate::AwsAccountId;
use crate::access_grant::AccessChanges;
use crate::attention::Attention;
use crate::db::quotas;
use crate::environment_stack::StackChange;
use crate::quota::Quota;
use crate::residency_proof::SignedProof;
use crate::step::{Facts, StepName};

/// Outcome of one run of a step, as it is written to the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    pub step: StepName,
    pub state: StepDisposition,
    /// Reason why the step needs attention if it is past its deadline but still polling; `None` otherwise.
    pub late: Option<Attention>,
    /// New facts, which are merged into the facts in the journal.
    pub facts: Facts,
    /// Slots to release, because the step no longer needs them.
    pub released: Vec<quotas::QuotaSlot>,
    /// Quota that limits the step. If the step parks, all its slots of this quota are released.
    pub quota: Option<Quota>,
    /// Account to map to the environment of the operation.
    pub mapped: Option<AwsAccountId>,
    /// Assignments that the step has made and revoked; `None` if it does not change access.
    pub access: Option<AccessChanges>,
    /// Change of a stack; `None` if the run has neither made nor observed one.
    pub stack: Option<StackChange>,
    /// Residency proof that the step has signed; `None` if it has signed none.
    pub proof: Option<SignedProof>,
}

/// State of a step after a run.
#[derive(Debug, Clone, PartialEq)]
pub enum StepDisposition {
    Done,
    /// The step had nothing to do, for the given reason.
    Skipped(String),
    /// The step polls again at `check_at`.
    Waiting {
        why: String,
        check_at: DateTime<Utc>,
    },
    /// AWS does not accept the call yet, for example because of a quota.
    Blocked {
        why: String,
        check_at: DateTime<Utc>,
    },
    /// The step failed and will be retried at `check_at`.
    Retrying {
        error: String,
        /// AWS's id of the request that failed; `None` if no request to AWS failed.
        aws_request_id: Option<String>,
        check_at: DateTime<Utc>,
    },
    /// The step is stopped until a person acts.
    Parked(Attention),
    /// The step has failed for good. [`super::fail`] then ends the operation.
    Failed(Attention),
}

impl StepRecord {
    pub(super) fn attention(&self) -> Option<&Attention> {
        match &self.state {
            StepDisposition::Parked(attention) => Some(attention),
            StepDisposition::Done | StepDisposition::Skipped(_) | StepDisposition::Failed(_) => None,
            StepDisposition::Waiting { .. } | StepDisposition::Blocked { .. } | StepDisposition::Retrying { .. } => {
                self.late.as_ref()
            }
        }
    }

    pub(super) fn failure(&self) -> Option<&Attention> {
        if let StepDisposition::Failed(failure) = &self.state { Some(failure) } else { None }
    }
}
