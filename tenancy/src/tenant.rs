//! Tenant: one B2B customer with its environments.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::environment::Environment;
use crate::maintenance_window::MaintenanceWindows;
use crate::string_enum::string_enum;
use crate::{CompanyName, EmailAddress, ExternalId, TenantId, Tier};

/// Description of a tenant's own group, with which the journal names the access of that group.
pub const OWN_GROUP: &str = "the tenant's own group";

/// Key-value pairs that the SaaS stores with a tenant.
pub type Labels = BTreeMap<String, String>;

string_enum! {
    /// State of a tenant, derived from its environments.
    TenantState {
        /// At least one environment of the signup is being onboarded, or only added environments are left and one of
        /// them is being onboarded.
        Onboarding = "onboarding",
        /// Every environment that is not being offboarded is ready.
        Ready = "ready",
        /// At least one verified environment has an open critical finding.
        Degraded = "degraded",
        /// At least one environment needs attention.
        NeedsAttention = "needs_attention",
        /// At least one environment is being restored or repaired.
        Restoring = "restoring",
        /// An operator has suspended the tenant.
        Suspended = "suspended",
        /// Every environment is being offboarded or has been offboarded.
        Offboarding = "offboarding",
        /// Every environment is offboarded.
        Offboarded = "offboarded",
    }
}

/// Legal hold on a tenant, which forbids deleting any of its data or resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalHold {
    pub since: DateTime<Utc>,
    pub reason: String,
}

string_enum! {
    /// Reason for the suspension of a tenant.
    SuspensionReason {
        /// The tenant has not paid.
        NonPayment = "non_payment",
        /// The tenant breaks the terms of use.
        Abuse = "abuse",
        /// An account of the tenant is compromised, or may be.
        Security = "security",
        /// The tenant has asked for it.
        CustomerRequest = "customer_request",
        /// Another reason, which the note contains.
        Other = "other",
    }
}

/// Suspension of a tenant by an operator. It lasts until an operator resumes the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    pub since: DateTime<Utc>,
    pub reason: SuspensionReason,
    /// Text of the operator.
    pub note: Option<String>,
}

/// New values for fields of a tenant; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantChange {
    pub company_name: Option<CompanyName>,
    pub admin_email: Option<EmailAddress>,
    pub tier: Option<Tier>,
    /// New id of the tenant in the SaaS; `Some(None)` removes the id.
    pub external_id: Option<Option<ExternalId>>,
    /// Complete set of labels, which replaces the old set.
    pub labels: Option<Labels>,
    /// Complete list of windows, which replaces the old list.
    pub maintenance_windows: Option<MaintenanceWindows>,
}

impl TenantChange {
    /// Applies the change to `tenant` and returns the names of the changed fields.
    pub fn apply(self, tenant: &mut Tenant) -> Vec<&'static str> {
        let mut changed = Vec::new();
        update(&mut tenant.company_name, self.company_name, "company_name", &mut changed);
        update(&mut tenant.admin_email, self.admin_email.map(Some), "admin_email", &mut changed);
        update(&mut tenant.tier, self.tier, "tier", &mut changed);
        update(&mut tenant.external_id, self.external_id, "external_id", &mut changed);
        update(&mut tenant.labels, self.labels, "labels", &mut changed);
        let windows = self.maintenance_windows;
        update(&mut tenant.maintenance_windows, windows, "maintenance_windows", &mut changed);
        changed
    }
}

fn update<T: PartialEq>(field: &mut T, value: Option<T>, name: &'static str, changed: &mut Vec<&'static str>) {
    if let Some(value) = value
        && *field != value
    {
        *field = value;
        changed.push(name);
    }
}

/// One B2B customer with its environments.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    pub id: TenantId,
    pub company_name: CompanyName,
    /// E-mail address of the administrator. Erased when the tenant is offboarded.
    pub admin_email: Option<EmailAddress>,
    pub tier: Tier,
    /// Id of the tenant in the SaaS.
    pub external_id: Option<ExternalId>,
    pub labels: Labels,
    /// Times in which updates may start.
    pub maintenance_windows: MaintenanceWindows,
    /// Time of the signup.
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub legal_hold: Option<LegalHold>,
    pub suspension: Option<Suspension>,
    /// Environments in the order of their requests.
    pub environments: Vec<Environment>,
}

impl Tenant {
    /// Derives the state of the tenant from the most urgent state of its environments. Environments that are being
    /// offboarded are considered only if there are no others. The onboarding of an environment that was added after the
    /// signup is considered only if no environment is ready, so that a tenant in use stays ready.
    pub fn state(&self) -> TenantState {
        use crate::environment::EnvironmentState as E;
        let any = |state| self.environments.iter().any(|environment| environment.state == state);
        let is_signup_open = || {
            let mut signed_up =
                self.environments.iter().filter(|environment| environment.created_at == self.created_at);
            signed_up.any(|environment| environment.state == E::Onboarding)
        };
        if any(E::Degraded) {
            TenantState::Degraded
        } else if any(E::NeedsAttention) {
            TenantState::NeedsAttention
        } else if is_signup_open() {
            TenantState::Onboarding
        } else if any(E::Restoring) {
            TenantState::Restoring
        } else if any(E::Ready) {
            TenantState::Ready
        } else if any(E::Onboarding) {
            TenantState::Onboarding
        } else if any(E::Suspended) {
            TenantState::Suspended
        } else if any(E::Offboarding) {
            TenantState::Offboarding
        } else {
            TenantState::Offboarded
        }
    }
}
