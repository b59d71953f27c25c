//! Differences between AWS and the database, each with the way in which it is resolved.

use freehold_tenancy::recovery::Change;
use freehold_tenancy::{AwsAccountId, EnvironmentId, TenantId};

/// Way in which a difference between AWS and the database is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// The recovery changes the database.
    Recover,
    /// AWS has not finished the work yet. The recovery must be repeated.
    Wait,
    /// A person must decide.
    Decide,
}

impl Resolution {
    /// Returns the stable code of the resolution.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Wait => "wait",
            Self::Decide => "decide",
        }
    }
}

/// Difference between AWS and the database.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryItem {
    pub resolution: Resolution,
    pub account: Option<AwsAccountId>,
    pub tenant: Option<TenantId>,
    pub environment: Option<EnvironmentId>,
    /// Change to make as an imperative clause, or the reason why there is none as a sentence.
    pub message: String,
    pub(super) changes: Vec<Change>,
}
