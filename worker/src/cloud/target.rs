//! The one place that says which accounts Freehold may act on.

use std::fmt;

use freehold_tenancy::config::Organization;
use freehold_tenancy::{AwsAccountId, EnvironmentId};

/// An account that Freehold may act on, on behalf of one environment.
///
/// The environment's id is the external id of the roles in the account, so that a session for one environment cannot be
/// opened by mistake for another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    account: AwsAccountId,
    environment: EnvironmentId,
}

/// An account that must be left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account {account} is left alone: {why}")]
pub struct ProtectedAccount {
    /// The account.
    pub account: AwsAccountId,
    /// Why.
    pub why: &'static str,
}

impl Target {
    /// `account`, unless it is the management account or Freehold's own. That it is not another environment's is the
    /// database's to know: one mapping per account at a time.
    pub fn new(
        account: AwsAccountId,
        environment: EnvironmentId,
        organization: &Organization,
    ) -> Result<Self, ProtectedAccount> {
        if let Some(why) = organization.protects(&account) {
            return Err(ProtectedAccount { account, why });
        }
        Ok(Self { account, environment })
    }

    /// The account's id.
    pub fn id(&self) -> &AwsAccountId {
        &self.account
    }

    /// The environment on whose behalf: the external id of the roles in the account.
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
