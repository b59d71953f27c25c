//! Simulated API of AWS Account Management: opt-in regions and alternate contacts.

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

/// Service principal of Account Management. The management account can manage member accounts only if this service has
/// trusted access.
const SERVICE_PRINCIPAL: &str = "account.amazonaws.com";

pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: Value = request.json()?;
    inputs::check_input(operation, &input)?;
    let account = target_account(state, ctx, input.get("AccountId").and_then(Value::as_str))?;
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

/// Returns the id of the account that the request targets. Only the management account can target other accounts.
fn target_account(state: &State, ctx: &Ctx, account_id: Option<&str>) -> Result<String, AwsError> {
    let Some(account_id) = account_id else {
        return Ok(ctx.caller.account.clone());
    };
    let organization = &state.organization;
    let denied = || {
        let caller = &ctx.caller.arn;
        let action = format!("account:{}", ctx.operation);
        access_denied(ctx.service, format!("User: {caller} is not authorized to perform: {action}"))
    };
    if account_id == organization.management_account {
        return Err(AwsError::new(
            "ValidationException",
            "The management account can't specify its own AccountId; leave the parameter out.",
        ));
    }
    let has_trusted_access = organization.trusted_services.contains_key(SERVICE_PRINCIPAL);
    let is_member = organization.members.contains_key(account_id);
    if ctx.caller.account != organization.management_account || !has_trusted_access || !is_member {
        return Err(denied());
    }
    Ok(account_id.to_owned())
}
