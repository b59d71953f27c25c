//! A tenant: one B2B customer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::environment::Environment;
use crate::string_enum::string_enum;
use crate::{CompanyName, EmailAddress, ExternalId, TenantId, Tier};

/// Free key and value pairs that the SaaS puts on a tenant.
pub type Labels = BTreeMap<String, String>;

string_enum! {
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

/// What of a tenant is to be another; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantChange {
    /// What it calls itself.
    pub company_name: Option<CompanyName>,
    /// Its commercial plan.
    pub tier: Option<Tier>,
    /// The id that the SaaS gives it, or none any more.
    pub external_id: Option<Option<ExternalId>>,
    /// All of its labels.
    pub labels: Option<Labels>,
}

impl TenantChange {
    /// Makes it on `tenant`, and answers which fields are others now.
    pub fn apply(self, tenant: &mut Tenant) -> Vec<&'static str> {
        let mut changed = Vec::new();
        put(&mut tenant.company_name, self.company_name, "company_name", &mut changed);
        put(&mut tenant.tier, self.tier, "tier", &mut changed);
        put(&mut tenant.external_id, self.external_id, "external_id", &mut changed);
        put(&mut tenant.labels, self.labels, "labels", &mut changed);
        changed
    }
}

fn put<T: PartialEq>(field: &mut T, value: Option<T>, name: &'static str, changed: &mut Vec<&'static str>) {
    if let Some(value) = value
        && *field != value
    {
        *field = value;
        changed.push(name);
    }
}

/// One B2B customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// `ten_…`
    pub id: TenantId,
    /// What it calls itself.
    pub company_name: CompanyName,
    /// The person who administers it; forgotten once the tenant is gone.
    pub admin_email: Option<EmailAddress>,
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
