//! How AssumeRole refuses.

use std::collections::HashMap;

use crate::world::shape::{Kind, Violation};
use crate::world::{AwsError, Ctx, State, access_denied};

/// Not permitted, or not there.
pub(super) fn refused(ctx: &Ctx, role_arn: &str) -> AwsError {
    access_denied(
        ctx.service,
        format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", ctx.caller.arn),
    )
}

/// What an account that has only just been created answers: usually AccessDenied; a few begin with other codes
/// (AWS.md §3).
pub(super) fn fresh_account(state: &State, ctx: &Ctx, account: &str, role_arn: &str) -> Option<AwsError> {
    let fresh = state.accounts.get(account).filter(|account| account.settled_at > ctx.now)?;
    let joined_at = state.organization.members.get(account)?.joined_at;
    let early = ctx.now - joined_at < (fresh.settled_at - joined_at) / 2;
    let chance = ctx.settings.chance(&format!("odd-refusal:{account}"));
    Some(if early && chance < ctx.settings.odd_refusals / 2.0 {
        region_disabled(&ctx.region, account)
    } else if early && chance < ctx.settings.odd_refusals {
        AwsError::new("InvalidClientTokenId", "The security token included in the request is invalid.").status(403)
    } else {
        refused(ctx, role_arn)
    })
}

/// The region is not enabled in the account.
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

/// The session policy is too long.
pub(super) fn packed_policy_too_large() -> AwsError {
    AwsError::new("PackedPolicyTooLarge", "Serialized policy exceeds the maximum size.")
}

/// An input breaks the service model.
pub(super) fn validation_error(violation: &Violation, params: &HashMap<String, String>) -> AwsError {
    let name = &violation.member;
    let camel = name.chars().take(1).flat_map(char::to_lowercase).chain(name.chars().skip(1)).collect::<String>();
    let value = match (violation.kind, params.get(name)) {
        (Kind::Required, _) | (_, None) => "null".to_owned(),
        (_, Some(value)) => format!("'{value}'"),
    };
    let constraint = &violation.constraint;
    let message =
        format!("1 validation error detected: Value {value} at '{camel}' failed to satisfy constraint: {constraint}");
    AwsError::new("ValidationError", message)
}
