//! Outcome of one run of a step.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::access_grant::AccessChanges;
use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::environment_stack::StackChange;
use freehold_tenancy::residency_proof::SignedProof;
use freehold_tenancy::step::Facts;
use freehold_tenancy::wait_reason::WaitReason;
use serde_json::Value;

use crate::cloud::{CloudError, CloudErrorKind, ErrorOrigin, ProtectedAccount};
use crate::{attention_codes, aws_fields};

/// Maximum time for which AWS may refuse a step temporarily before the operation needs attention.
const MAX_NOT_READY_TIME: TimeDelta = TimeDelta::hours(1);

/// Outcome of a run of a step.
#[derive(Debug, Default)]
pub struct StepOutcome {
    /// Time of the next check and the wait reason; `None` if the step is done or skipped.
    pub wait: Option<Wait>,
    /// Reason why the step had nothing to do; `None` if it did its work.
    pub skip_reason: Option<String>,
    /// Reason why a late step needs attention. The step continues to poll.
    pub late: Option<Attention>,
    /// Error of a failed run. The facts of the run are stored nevertheless.
    pub failed: Option<StepError>,
    pub facts: Facts,
    /// Slots to release, because they are no longer needed.
    pub released: Vec<QuotaSlot>,
    /// Account to map to the environment.
    pub mapped: Option<AwsAccountId>,
    /// Assignments that the step has made and revoked so far; stored even if the run failed.
    pub access: Option<AccessChanges>,
    /// Change of a stack that the run has made or observed; stored even if the run failed.
    pub stack: Option<StackChange>,
    /// Residency proof to store when the step is done.
    pub proof: Option<SignedProof>,
}

/// Wait of a step until its next check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub reason: WaitReason,
    pub check_at: DateTime<Utc>,
}

impl StepOutcome {
    pub fn done() -> Self {
        Self::default()
    }

    /// Creates the outcome of a step that does not apply to the operation. `reason` is a clause without a full stop.
    ///
    /// A step that finds its result in place is done, not skipped: a crashed run may have caused the result.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { skip_reason: Some(reason.into()), ..Self::default() }
    }

    pub fn wait(reason: WaitReason, check_at: DateTime<Utc>) -> Self {
        Self { wait: Some(Wait { reason, check_at }), ..Self::default() }
    }

    /// Brings the next check of a waiting step forward to `until`, if that is earlier.
    #[must_use]
    pub fn no_later_than(mut self, until: DateTime<Utc>) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.check_at = wait.check_at.min(until);
        }
        self
    }

    /// Creates the outcome of a failed run. Facts and released slots can be added and are stored nevertheless.
    pub fn failed(error: StepError) -> Self {
        Self { failed: Some(error), ..Self::default() }
    }

    /// Adds a fact to the journal entry.
    #[must_use]
    pub fn with(mut self, fact: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(fact.to_owned(), value.into());
        self
    }

    /// Releases a slot when the outcome is written to the journal.
    #[must_use]
    pub fn with_released_slot(mut self, slot: QuotaSlot) -> Self {
        self.released.push(slot);
        self
    }
}

/// Error of a run of a step.
#[derive(Debug)]
pub enum StepError {
    /// Temporary error. The step is retried with growing pauses.
    Retry {
        error: String,
        /// AWS's id of the request that failed; `None` if no request to AWS failed.
        aws_request_id: Option<String>,
    },
    /// The step cannot continue yet. This is not a failure.
    Blocked {
        reason: WaitReason,
        /// Time of the next attempt, if known.
        until: Option<DateTime<Utc>>,
        /// Time after which the step is late; `None` if it is never late, for example while it waits for a quota.
        at_most: Option<TimeDelta>,
    },
    /// A person must act.
    NeedsAttention(Attention),
    /// The step has failed for good, and the environment continues to serve. This ends an operation that keeps the
    /// state of its environment; any other operation needs attention instead.
    Failed(Attention),
    /// The journal could not be written, or another worker has taken over.
    Journal(DbError),
}

impl StepError {
    /// Creates an error that parks the step, with the remedy `retry`.
    pub fn needs_attention(code: AttentionCode, message: impl Into<String>) -> Self {
        Self::NeedsAttention(Attention::new(code, message))
    }

    /// Creates a temporary error that no request to AWS caused.
    pub(crate) fn retry(error: impl Into<String>) -> Self {
        Self::Retry { error: error.into(), aws_request_id: None }
    }

    /// Adds AWS's id of the request that failed with `error`.
    #[must_use]
    pub(crate) fn caused_by(mut self, error: &CloudError) -> Self {
        if let Self::NeedsAttention(Attention { aws_request_id, .. })
        | Self::Failed(Attention { aws_request_id, .. })
        | Self::Retry { aws_request_id, .. } = &mut self
        {
            aws_request_id.clone_from(&error.request_id);
        }
        self
    }

    pub(crate) fn is_needs_attention(&self) -> bool {
        matches!(self, Self::NeedsAttention(_))
    }
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        Self::Journal(error)
    }
}

impl From<ProtectedAccount> for StepError {
    fn from(error: ProtectedAccount) -> Self {
        Self::needs_attention(
            AttentionCode::AccountProtected,
            format!(
                "{error}. Nothing was changed. Correct the account ids of `[organization]` in the configuration and \
                 restart the worker, then retry."
            ),
        )
    }
}

/// Converts an AWS error for steps that do not handle it themselves.
impl From<CloudError> for StepError {
    fn from(error: CloudError) -> Self {
        if let Some((code, message)) = attention_codes::for_error(&error) {
            return Self::needs_attention(code, format!("{message} {error}")).caused_by(&error);
        }
        match (&error.kind, error.origin) {
            (CloudErrorKind::Unknown | CloudErrorKind::Conflict, _) => Self::retry(error.to_string()).caused_by(&error),
            (CloudErrorKind::NotYet, _) => Self::Blocked {
                reason: WaitReason::AwsRefusal { error: error.to_string() },
                until: None,
                at_most: Some(MAX_NOT_READY_TIME),
            },
            (CloudErrorKind::Throttled { until }, _) => Self::Blocked {
                reason: WaitReason::RateLimit { call: error.call.to_owned() },
                until: *until,
                at_most: None,
            },
            (CloudErrorKind::Denied { .. }, _) => Self::needs_attention(
                AttentionCode::AwsAccessDenied,
                format!("AWS denied the call. Grant the permission to Freehold's role, then retry. {error}"),
            )
            .caused_by(&error),
            (CloudErrorKind::Failed, ErrorOrigin::Freehold) => Self::needs_attention(
                AttentionCode::CallNotPossible,
                format!("Freehold cannot make an AWS call or use its answer. Fix the cause, then retry. {error}"),
            )
            .caused_by(&error),
            (CloudErrorKind::Failed, ErrorOrigin::Aws) => {
                let message = match aws_fields::refused_object(&error) {
                    Some(object) => format!("AWS rejected {object}. Correct the value, then retry. {error}"),
                    None => format!("AWS rejected the request permanently. Fix the cause, then retry. {error}"),
                };
                Self::needs_attention(AttentionCode::AwsRefused, message).caused_by(&error)
            }
        }
    }
}
