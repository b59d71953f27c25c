//! Vending: the creation of AWS accounts, with the limits that an operator sets for it.

use std::fmt;
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};

use crate::operation::Requester;
use crate::string_enum::string_enum;

/// Maximum numbers of AWS accounts from the configuration; `None` means unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountCeilings {
    /// Maximum number of accounts that exist at the same time.
    pub total: Option<NonZeroU32>,
    /// Maximum number of accounts that are created in 24 hours.
    pub per_day: Option<NonZeroU32>,
}

string_enum! {
    /// Stable code of a reason why no account is created.
    VendingStopCode {
        /// An operator has paused vending.
        Paused = "vending_paused",
        /// The configured maximum number of accounts exists.
        CeilingReached = "account_ceiling_reached",
        /// The configured maximum number of accounts was created in the last 24 hours.
        DailyCeilingReached = "daily_account_ceiling_reached",
    }
}

/// Reason why no account is created. The `Display` text completes the sentence "waits for …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VendingStop {
    /// An operator has paused vending.
    Paused { reason: String },
    /// The configured maximum number of accounts exists.
    CeilingReached { maximum: NonZeroU32 },
    /// The configured maximum number of accounts was created in the last 24 hours.
    DailyCeilingReached {
        maximum: NonZeroU32,
        /// Time at which the next account can be created.
        until: DateTime<Utc>,
    },
}

impl VendingStop {
    pub fn code(&self) -> VendingStopCode {
        match self {
            Self::Paused { .. } => VendingStopCode::Paused,
            Self::CeilingReached { .. } => VendingStopCode::CeilingReached,
            Self::DailyCeilingReached { .. } => VendingStopCode::DailyCeilingReached,
        }
    }

    /// Returns the message for operators, with the cause and the required action.
    pub fn message(&self) -> String {
        match self {
            Self::Paused { reason } => format!(
                "An operator has paused the creation of accounts: {}. Run `freehold fleet resume` to continue.",
                reason.trim_end_matches('.')
            ),
            Self::CeilingReached { maximum } => format!(
                "The maximum of {maximum} accounts exists. Raise quotas.max_accounts and restart API and workers to \
                 continue."
            ),
            Self::DailyCeilingReached { maximum, until } => format!(
                "The maximum of {maximum} accounts was created in the last 24 hours. The next one can be created on \
                 {}; raise quotas.max_accounts_per_day and restart API and workers to continue earlier.",
                until.format("%Y-%m-%d %H:%M UTC")
            ),
        }
    }
}

impl fmt::Display for VendingStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { reason } => write!(f, "an operator to resume the creation of accounts, paused: {reason}"),
            Self::CeilingReached { maximum } => {
                write!(f, "the configured maximum of {maximum} accounts to be raised (quotas.max_accounts)")
            }
            Self::DailyCeilingReached { maximum, until } => write!(
                f,
                "the configured maximum of {maximum} accounts in 24 hours to allow another account, on {}",
                until.format("%Y-%m-%d %H:%M UTC")
            ),
        }
    }
}

/// Pause of vending by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendingPause {
    pub reason: String,
    pub paused_by: Requester,
    pub paused_at: DateTime<Utc>,
}

/// State of vending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendingStatus {
    pub pause: Option<VendingPause>,
    /// Reason why no account is created now; `None` if accounts are created.
    pub stop: Option<VendingStop>,
    /// Number of accounts that exist or are being created.
    pub accounts: i64,
    /// Number of accounts whose creation started in the last 24 hours.
    pub accounts_last_day: i64,
    /// Number of operations that wait for an account.
    pub waiting: i64,
}
