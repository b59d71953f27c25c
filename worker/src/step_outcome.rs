//! Outcome of one run of a step.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::attention::Attention;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::step::Facts;
use serde_json::Value;

use crate::attention_codes;
use crate::cloud::{CloudError, CloudErrorKind, ProtectedAccount};

/// What AWS refuses for the moment it mostly allows within this time; past it, a person is asked.
const MOST_OFTEN_ENDS_WITHIN: TimeDelta = TimeDelta::hours(1);

/// How a run of a step went well.
#[derive(Debug, Default)]
pub struct StepOutcome {
    /// When to look again and what for; done where there is nothing to look for.
    pub wait: Option<Wait>,
    /// It takes longer than it may: a person is asked, and it goes on looking all the same.
    pub late: Option<Attention>,
    /// What went wrong all the same, where what was learnt on the way is to be kept.
    pub failed: Option<StepError>,
    /// What was learnt.
    pub facts: Facts,
    /// Places under a quota that are no longer needed.
    pub released: Vec<QuotaSlot>,
    /// The account that is now known to be the environment's.
    pub mapped: Option<AwsAccountId>,
}

/// For what a step waits, and when it looks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// In plain words, as the end of "it waits for …".
    pub why: String,
    /// When it looks again.
    pub check_at: DateTime<Utc>,
}

impl StepOutcome {
    /// The step is done.
    pub fn done() -> Self {
        Self::default()
    }

    /// The step looks again.
    pub fn wait(why: impl Into<String>, check_at: DateTime<Utc>) -> Self {
        Self { wait: Some(Wait { why: why.into(), check_at }), ..Self::default() }
    }

    /// Looks again at `until`, if it would not have done so before.
    #[must_use]
    pub fn no_later_than(mut self, until: DateTime<Utc>) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.check_at = wait.check_at.min(until);
        }
        self
    }

    /// The step failed; what is put beside this is kept.
    pub fn failed(error: StepError) -> Self {
        Self { failed: Some(error), ..Self::default() }
    }

    /// Keeps a fact.
    #[must_use]
    pub fn with(mut self, fact: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(fact.to_owned(), value.into());
        self
    }

    /// Gives a place back.
    #[must_use]
    pub fn releasing(mut self, place: QuotaSlot) -> Self {
        self.released.push(place);
        self
    }
}

/// How a run of a step did not go well.
#[derive(Debug)]
pub enum StepError {
    /// Try again after a pause that grows.
    Retry(String),
    /// It cannot be done yet; that is no fault.
    Blocked {
        /// In plain words, as the end of "it waits for …".
        why: String,
        /// When it can be done, where that is known.
        until: Option<DateTime<Utc>>,
        /// How long that may last before a person is asked; as long as it takes where a quota is the reason.
        at_most: Option<TimeDelta>,
    },
    /// A person has to look at it.
    NeedsAttention(Attention),
    /// The journal could not be written, or is no longer ours to write.
    Journal(DbError),
}

impl StepError {
    /// Parks the operation, to be tried again once a person has removed the cause.
    pub fn needs_attention(code: &str, message: impl Into<String>) -> Self {
        Self::NeedsAttention(attention(code, message))
    }

    /// Whether a person has to look at it.
    pub(crate) fn is_needs_attention(&self) -> bool {
        matches!(self, Self::NeedsAttention(_))
    }
}

/// Why a person is asked; who has removed the cause has it tried again.
pub(crate) fn attention(code: &str, message: impl Into<String>) -> Attention {
    Attention::new(code, message)
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        Self::Journal(error)
    }
}

impl From<ProtectedAccount> for StepError {
    fn from(refused: ProtectedAccount) -> Self {
        Self::needs_attention("account_protected", format!("Freehold never works on this account: {refused}."))
    }
}

/// What an error of the cloud means where a step has no better idea.
impl From<CloudError> for StepError {
    fn from(error: CloudError) -> Self {
        if let Some((code, message)) = attention_codes::known(&error) {
            return Self::needs_attention(code, format!("{message} {error}"));
        }
        match error.kind {
            CloudErrorKind::Unknown | CloudErrorKind::Conflict => Self::Retry(error.to_string()),
            CloudErrorKind::NotYet => Self::Blocked {
                why: format!("AWS to be ready: {error}"),
                until: None,
                at_most: Some(MOST_OFTEN_ENDS_WITHIN),
            },
            CloudErrorKind::Throttled { until } => {
                Self::Blocked { why: format!("AWS's limit on {}", error.call), until, at_most: None }
            }
            CloudErrorKind::Denied { .. } => Self::needs_attention(
                "aws_access_denied",
                format!("AWS does not let Freehold do this. Give the role the permission, then retry. {error}"),
            ),
            CloudErrorKind::Failed => Self::needs_attention(
                "aws_refused",
                format!("AWS refuses this for good. Look at what was asked. {error}"),
            ),
        }
    }
}
