//! Account Management: opt-in regions and alternate contacts.

mod contacts;
mod inputs;
mod regions;
#[cfg(test)]
mod tests;

use serde_json::Value;
use winterbaume_core::MockResponse;

pub use contacts::AlternateContact;
pub use regions::OptIn;

use crate::world::{AwsError, Ctx, Request, State, access_denied};

/// The trusted access that the management account needs to speak for its members.
const SERVICE: &str = "account.amazonaws.com";

pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: Value = request.json()?;
    inputs::check_input(operation, &input)?;
    let account = account(state, ctx, input.get("AccountId").and_then(Value::as_str))?;
    match operation {
        "EnableRegion" => regions::enable(state, ctx, &account, request),
        "GetRegionOptStatus" => regions::status(state, ctx, &account, request),
        "ListRegions" => regions::list(state, ctx, &account, request),
        "GetAlternateContact" => contacts::get(state, &account, request),
        "PutAlternateContact" => contacts::put(state, &account, request),
        "DeleteAlternateContact" => contacts::delete(state, &account, request),
        _ => Err(AwsError::unknown_operation(operation)),
    }
}

/// The account that the call is about: the caller's own, or a member's when the management account asks.
fn account(state: &State, ctx: &Ctx, named: Option<&str>) -> Result<String, AwsError> {
    let Some(named) = named else {
        return Ok(ctx.caller.account.clone());
    };
    let organization = &state.organization;
    let refused = || {
        let caller = &ctx.caller.arn;
        let action = format!("account:{}", ctx.operation);
        access_denied(ctx.service, format!("User: {caller} is not authorized to perform: {action}"))
    };
    if named == organization.management_account {
        return Err(AwsError::new(
            "ValidationException",
            "The management account can't specify its own AccountId; leave the parameter out.",
        ));
    }
    let trusted = organization.trusted_services.contains_key(SERVICE);
    let member = organization.members.contains_key(named);
    if ctx.caller.account != organization.management_account || !trusted || !member {
        return Err(refused());
    }
    Ok(named.to_owned())
}
