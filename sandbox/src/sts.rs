//! Security Token Service: GetCallerIdentity and AssumeRole.

mod assume;
pub(crate) mod errors;
#[cfg(test)]
mod tests;

use winterbaume_core::MockResponse;
use winterbaume_sts::wire;

use crate::world::{AwsError, Ctx, Request, State};

pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    match operation {
        "GetCallerIdentity" => Ok(caller_identity(ctx)),
        "AssumeRole" => assume::assume_role(state, ctx, request),
        "" => Err(AwsError::new("MissingAction", "Could not find operation")),
        _ => {
            Err(AwsError::new("InvalidAction", format!("Could not find operation {operation} for version 2011-06-15")))
        }
    }
}

/// Returns the response of GetCallerIdentity, which requires no permission.
fn caller_identity(ctx: &Ctx) -> MockResponse {
    wire::serialize_get_caller_identity_response(&wire::GetCallerIdentityResponse {
        account: Some(ctx.caller.account.clone()),
        arn: Some(ctx.caller.arn.clone()),
        user_id: ctx.caller.session.as_ref().map(|session| session.user_id.clone()),
    })
}
