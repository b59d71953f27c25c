//! The one place that says which accounts Freehold may act on.

use std::fmt;

use freehold_tenancy::AwsAccountId;
use freehold_tenancy::config::Organization;

/// An account that Freehold may act on.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(AwsAccountId);

/// An account that must be left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It owns the organisation.
    #[error("{0} is the management account of the organisation")]
    ManagementAccount(AwsAccountId),
    /// Freehold runs in it.
    #[error("{0} is the account that Freehold itself runs in")]
    FreeholdAccount(AwsAccountId),
}

impl Target {
    /// `account`, unless it is the management account or Freehold's own. That it is not another environment's is the
    /// database's to know: one mapping per account at a time.
    pub fn new(account: AwsAccountId, organization: &Organization) -> Result<Self, Refused> {
        if account == organization.management_account_id {
            return Err(Refused::ManagementAccount(account));
        }
        if account == organization.freehold_account_id {
            return Err(Refused::FreeholdAccount(account));
        }
        Ok(Self(account))
    }

    /// Its id.
    pub fn id(&self) -> &AwsAccountId {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
