//! The quotas of AWS that allow so much work at one time: what they are called in the database, and how much they allow.

use freehold_tenancy::config::Quotas;

/// CreateAccount in progress: 5 ("Quotas for AWS Organizations").
pub(crate) const ACCOUNT_CREATIONS: &str = "account-creations";

/// CloseAccount in progress: 3 ("Quotas for AWS Organizations").
pub(crate) const ACCOUNT_CLOSURES: &str = "account-closures";

/// CreateAccountAssignment in progress: 15 ("IAM Identity Center quotas").
pub(crate) const ASSIGNMENTS: &str = "assignments";

/// EnableRegion in progress in the organisation: 50 ("Quotas for AWS Account Management").
pub(crate) const REGION_OPT_INS: &str = "region-opt-ins";

/// How many places there are under `quota`.
pub(crate) fn places(quotas: &Quotas, quota: &str) -> u16 {
    match quota {
        ACCOUNT_CREATIONS => quotas.account_creations,
        ACCOUNT_CLOSURES => quotas.account_closures,
        ASSIGNMENTS => quotas.assignments,
        REGION_OPT_INS => quotas.region_opt_ins,
        // No other is asked for.
        _ => 1,
    }
}
