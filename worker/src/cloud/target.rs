//! AWS accounts in which Freehold may make calls.

use std::fmt;

use freehold_tenancy::config::Organization;
use freehold_tenancy::{AwsAccountId, EnvironmentId};

/// AWS account in which Freehold may make calls for one environment.
///
/// The roles in the account require the environment's id as external id, so that a session for one environment cannot
/// be opened for another environment by mistake.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    account: AwsAccountId,
    environment: EnvironmentId,
}

/// Error for an account in which Freehold must not make calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Freehold must not act on account {account}: {why}")]
pub struct ProtectedAccount {
    pub account: AwsAccountId,
    pub why: &'static str,
}

impl Target {
    /// Creates a target. Fails for the management account and for Freehold's own account. The database ensures that the
    /// account does not belong to another environment, because an account has at most one open mapping.
    pub fn new(
        account: AwsAccountId,
        environment: EnvironmentId,
        organization: &Organization,
    ) -> Result<Self, ProtectedAccount> {
        if let Some(why) = organization.protection_reason(&account) {
            return Err(ProtectedAccount { account, why });
        }
        Ok(Self { account, environment })
    }

    pub fn id(&self) -> &AwsAccountId {
        &self.account
    }

    /// Returns the environment, whose id is the external id of the roles in the account.
    pub fn environment(&self) -> EnvironmentId {
        self.environment
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.account.fmt(f)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.account.fmt(f)
    }
}
