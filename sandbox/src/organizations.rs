//! AWS Organizations: one organisation, its units, its policies, and the vending of accounts.

mod accounts;
mod closing;
mod creating;
mod history;
mod inputs;
mod leaving;
mod policies;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod tree;
mod trusted_access;
mod units;

use winterbaume_core::MockResponse;

pub use accounts::{Lifecycle, Member};
pub use creating::{CreateRequest, RequestState};
pub use history::History;
pub use policies::{FULL_ACCESS, ServiceControlPolicy};
pub use state::Organization;
pub use units::Unit;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State};

/// Brings what is ready to where it is: accounts into being, closed ones to their end.
pub(crate) fn advance(state: &mut State, settings: &Settings, now: chrono::DateTime<chrono::Utc>) {
    if state.organization.next_due.is_none_or(|due| due > now) {
        return;
    }
    state.organization.next_due = None;
    creating::advance(state, settings, now);
    closing::advance(state, now);
}

pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    inputs::check_input(operation, &request.json()?)?;
    if ctx.caller.account != state.organization.management_account && operation != "DescribeOrganization" {
        return Err(AwsError::new("AccessDeniedException", "You don't have permissions to access this resource."));
    }
    let body = &request.body;
    match operation {
        "DescribeOrganization" => Ok(tree::describe_organization(state)),
        "ListRoots" => tree::list_roots(state, ctx, body),
        "ListParents" => tree::list_parents(state, ctx, body),
        "ListChildren" => tree::list_children(state, ctx, body),
        "ListAccountsForParent" => accounts::list_for_parent(state, ctx, body),
        "ListAccounts" => accounts::list(state, ctx, body),
        "DescribeAccount" => accounts::describe(state, body),
        "MoveAccount" => accounts::move_to(state, ctx, body),
        "CreateAccount" => creating::create(state, ctx, body),
        "DescribeCreateAccountStatus" => creating::describe_status(state, body),
        "ListCreateAccountStatus" => creating::list_status(state, ctx, body),
        "CloseAccount" => closing::close(state, ctx, body),
        "RemoveAccountFromOrganization" => leaving::remove(state, ctx, body),
        "CreateOrganizationalUnit" => units::create(state, ctx, body),
        "DescribeOrganizationalUnit" => units::describe(state, body),
        "ListOrganizationalUnitsForParent" => units::list_for_parent(state, ctx, body),
        "EnablePolicyType" => policies::enable_type(state, ctx, body),
        "CreatePolicy" => policies::create(state, ctx, body),
        "UpdatePolicy" => policies::update(state, ctx, body),
        "DescribePolicy" => policies::describe(state, body),
        "DeletePolicy" => policies::delete(state, body),
        "ListPolicies" => policies::list(state, ctx, body),
        "ListPoliciesForTarget" => policies::list_for_target(state, ctx, body),
        "ListTargetsForPolicy" => policies::list_targets(state, ctx, body),
        "AttachPolicy" => policies::attach(state, ctx, body),
        "DetachPolicy" => policies::detach(state, ctx, body),
        "TagResource" => tags::tag(state, body),
        "UntagResource" => tags::untag(state, body),
        "ListTagsForResource" => tags::list(state, ctx, body),
        "EnableAWSServiceAccess" => trusted_access::enable(state, ctx, body),
        "ListAWSServiceAccessForOrganization" => trusted_access::list(state, ctx, body),
        _ => Err(AwsError::unknown_operation(operation)),
    }
}

/// An error of this service whose message AWS's documentation gives, or whose meaning is the message.
fn error(code: &str, message: &str) -> AwsError {
    AwsError::new(code, message)
}

/// A quota or a rule of the organisation is in the way.
fn constraint(reason: &str, message: &str) -> AwsError {
    AwsError::new("ConstraintViolationException", message).reason(reason)
}

fn invalid_token() -> AwsError {
    error("InvalidInputException", "You specified an invalid NextToken.").reason("INVALID_NEXT_TOKEN")
}

/// One page of items.
fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<i32>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    crate::world::page(ctx, items, token, max.and_then(|max| usize::try_from(max).ok()), invalid_token)
}

/// A time as JSON 1.1 states it: seconds since 1970.
fn timestamp(time: chrono::DateTime<chrono::Utc>) -> f64 {
    (time - chrono::DateTime::UNIX_EPOCH).as_seconds_f64()
}
