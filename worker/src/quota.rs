//! The quotas of AWS that allow so much work at one time: what they are called in the database, and how much they allow.

use freehold_tenancy::config::Quotas;

/// CreateAccount in progress: 5 ("Quotas for AWS Organizations").
pub(crate) const ACCOUNT_CREATIONS: &str = "account-creations";

/// CloseAccount in progress: 3 ("Quotas for AWS Organizations").
pub(crate) const ACCOUNT_CLOSURES: &str = "account-closures";

/// CreateAccountAssignment in progress: 15 ("IAM Identity Center quotas").
pub(crate) const ASSIGNMENTS: &str = "assignments";

/// ProvisionPermissionSet in progress: 3 ("IAM Identity Center quotas").
pub(crate) const PERMISSION_SET_PROVISIONINGS: &str = "permission-set-provisionings";

/// EnableRegion in progress in the organisation: 50, 6 of them in one account ("Quotas for AWS Account Management").
pub(crate) const REGION_OPT_INS: &str = "region-opt-ins";

/// How many places there are under `quota`.
pub(crate) fn places(quotas: &Quotas, quota: &str) -> u16 {
    match quota {
        ACCOUNT_CREATIONS => quotas.account_creations,
        ACCOUNT_CLOSURES => quotas.account_closures,
        ASSIGNMENTS => quotas.assignments,
        PERMISSION_SET_PROVISIONINGS => quotas.permission_set_provisionings,
        REGION_OPT_INS => quotas.region_opt_ins,
        // No other is asked for.
        _ => 1,
    }
}

/// How many of them one environment may have, where that is limited too.
pub(crate) fn places_each(quotas: &Quotas, quota: &str) -> Option<u16> {
    (quota == REGION_OPT_INS).then_some(quotas.region_opt_ins_per_account)
}

/// The call that a place under `quota` gives leave for, where its rate is so low that it wants a line of its own.
pub(crate) fn call(quota: &str) -> Option<&'static str> {
    match quota {
        ACCOUNT_CREATIONS => Some("organizations:CreateAccount"),
        ACCOUNT_CLOSURES => Some("organizations:CloseAccount"),
        _ => None,
    }
}

/// Whether leave to make `call` comes with a place.
pub(crate) fn comes_with_a_place(call: &str) -> bool {
    [ACCOUNT_CREATIONS, ACCOUNT_CLOSURES].into_iter().any(|quota| self::call(quota) == Some(call))
}
