//! Simulated AWS Organizations: one organisation with its organizational units, policies and accounts.

mod accounts;
mod close_account;
mod create_account;
mod history;
mod inputs;
mod policies;
mod remove_account;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod tree;
mod trusted_access;
mod units;

use winterbaume_core::MockResponse;

pub use accounts::{Lifecycle, Member};
pub use create_account::{CreateRequest, RequestState};
pub use history::History;
pub use policies::{FULL_ACCESS_POLICY_ID, ServiceControlPolicy};
pub use state::Organization;
pub use units::OrganizationalUnit;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State};

/// Completes the account creations and closures that are due at `now`.
pub(crate) fn advance(state: &mut State, settings: &Settings, now: chrono::DateTime<chrono::Utc>) {
    if state.organization.next_due.is_none_or(|due| due > now) {
        return;
    }
    state.organization.next_due = None;
    create_account::advance(state, settings, now);
    close_account::advance(state, now);
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
        "MoveAccount" => accounts::move_account(state, ctx, body),
        "CreateAccount" => create_account::create(state, ctx, body),
        "DescribeCreateAccountStatus" => create_account::describe_status(state, body),
        "ListCreateAccountStatus" => create_account::list_status(state, ctx, body),
        "CloseAccount" => close_account::close(state, ctx, body),
        "RemoveAccountFromOrganization" => remove_account::remove(state, ctx, body),
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

/// Creates an error of AWS Organizations. The messages are taken from the AWS documentation if it contains them.
fn error(code: &str, message: &str) -> AwsError {
    AwsError::new(code, message)
}

/// Creates the error for a call that would violate a quota or a rule of the organisation.
fn constraint_violation(reason: &str, message: &str) -> AwsError {
    AwsError::new("ConstraintViolationException", message).reason(reason)
}

fn invalid_token() -> AwsError {
    error("InvalidInputException", "You specified an invalid NextToken.").reason("INVALID_NEXT_TOKEN")
}

/// Returns one page of items and the token of the next page.
fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<i32>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    crate::world::page(ctx, items, token, max.and_then(|max| usize::try_from(max).ok()), invalid_token)
}

/// Converts a time to the timestamp format of AWS JSON 1.1, which is seconds since 1970.
fn timestamp(time: chrono::DateTime<chrono::Utc>) -> f64 {
    (time - chrono::DateTime::UNIX_EPOCH).as_seconds_f64()
}
