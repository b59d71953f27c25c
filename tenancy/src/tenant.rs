//! A tenant: one B2B customer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::environment::Environment;
use crate::words::words;
use crate::{CompanyName, EmailAddress, ExternalId, TenantId, Tier};

/// Free key and value pairs that the SaaS puts on a tenant.
pub type Labels = BTreeMap<String, String>;

words! {
    /// Where a tenant stands, derived from its environments.
    TenantState {
        /// At least one environment is still being prepared.
        Onboarding = "onboarding",
        /// Every environment has been verified.
        Ready = "ready",
        /// At least one environment waits for a person.
        NeedsAttention = "needs_attention",
        /// At least one environment is being brought back to what it should be.
        Restoring = "restoring",
        /// Every environment is on its way out or gone.
        Offboarding = "offboarding",
        /// Every environment is gone.
        Offboarded = "offboarded",
    }
}

/// A stop to everything that destroys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalHold {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// One B2B customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// `ten_…`
    pub id: TenantId,
    /// What it calls itself.
    pub company_name: CompanyName,
    /// The person who administers it.
    pub admin_email: EmailAddress,
    /// Its commercial plan.
    pub tier: Tier,
    /// The id that the SaaS gives it.
    pub external_id: Option<ExternalId>,
    /// Free key and value pairs.
    pub labels: Labels,
    /// When the signup was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Why nothing of it may be destroyed, where that is so.
    pub legal_hold: Option<LegalHold>,
    /// Its environments, in the order in which they were asked for.
    pub environments: Vec<Environment>,
}

impl Tenant {
    /// Where it stands: as its worst environment does; those that leave count only where nothing stays.
    pub fn state(&self) -> TenantState {
        use crate::environment::EnvironmentState as E;
        let any = |state| self.environments.iter().any(|environment| environment.state == state);
        if any(E::NeedsAttention) {
            TenantState::NeedsAttention
        } else if any(E::Onboarding) {
            TenantState::Onboarding
        } else if any(E::Restoring) {
            TenantState::Restoring
        } else if any(E::Ready) {
            TenantState::Ready
        } else if any(E::Offboarding) {
            TenantState::Offboarding
        } else {
            TenantState::Offboarded
        }
    }
}
