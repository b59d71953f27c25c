//! Errors of the STS operation AssumeRole.

use std::collections::HashMap;

use crate::world::shape::{Violation, ViolationKind};
use crate::world::{AwsError, Ctx, State, access_denied};

/// Returns the error for a role that the caller may not assume or that does not exist.
pub(super) fn assume_role_denied(ctx: &Ctx, role_arn: &str) -> AwsError {
    access_denied(
        ctx.service,
        format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", ctx.caller.arn),
    )
}

/// Returns the AssumeRole error for a new account that is not ready, or `None` if the account is ready. The error code
/// is usually AccessDenied; for some new accounts, it is initially a different code.
pub(super) fn new_account_error(state: &State, ctx: &Ctx, account: &str, role_arn: &str) -> Option<AwsError> {
    let account_state = state.accounts.get(account).filter(|account| account.settled_at > ctx.now)?;
    let joined_at = state.organization.members.get(account)?.joined_at;
    let in_first_half = ctx.now - joined_at < (account_state.settled_at - joined_at) / 2;
    let random_fraction = ctx.settings.random_fraction(&format!("odd-refusal:{account}"));
    Some(if in_first_half && random_fraction < ctx.settings.odd_refusals / 2.0 {
        region_disabled(&ctx.region, account)
    } else if in_first_half && random_fraction < ctx.settings.odd_refusals {
        AwsError::new("InvalidClientTokenId", "The security token included in the request is invalid.").status(403)
    } else {
        assume_role_denied(ctx, role_arn)
    })
}

/// Returns the error for a region that is not enabled in the account.
pub(crate) fn region_disabled(region: &str, account: &str) -> AwsError {
    AwsError::new(
        "RegionDisabledException",
        format!(
            "STS is not activated in this region ({region}) for account:{account}. Your account administrator can \
             activate STS in this region using the IAM Console."
        ),
    )
    .status(403)
}

pub(super) fn packed_policy_too_large() -> AwsError {
    AwsError::new("PackedPolicyTooLarge", "Serialized policy exceeds the maximum size.")
}

/// Returns the error for an input that violates the service model.
pub(super) fn validation_error(violation: &Violation, params: &HashMap<String, String>) -> AwsError {
    let name = &violation.member;
    let camel = name.chars().take(1).flat_map(char::to_lowercase).chain(name.chars().skip(1)).collect::<String>();
    let value = match (violation.kind, params.get(name)) {
        (ViolationKind::Required, _) | (_, None) => "null".to_owned(),
        (_, Some(value)) => format!("'{value}'"),
    };
    let constraint = &violation.constraint;
    let message =
        format!("1 validation error detected: Value {value} at '{camel}' failed to satisfy constraint: {constraint}");
    AwsError::new("ValidationError", message)
}
