//! The API operation RemoveAccountFromOrganization.

use chrono::TimeDelta;
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::accounts::account_not_found;
use super::{constraint_violation, error};
use crate::world::{AwsError, Ctx, State};

/// Minimum age at which an account that was created in the organisation can be removed (AWS Organizations quotas).
const MIN_ACCOUNT_AGE: TimeDelta = TimeDelta::days(4);

/// Removes an account from the organisation. The account still exists and keeps its e-mail address, but its tags,
/// policy attachments and account assignments are deleted.
pub(super) fn remove(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_remove_account_from_organization_request(body).map_err(AwsError::serialization)?;
    let id = input.account_id;
    let organization = &mut state.organization;
    if id == organization.management_account {
        return Err(error(
            "MasterCannotLeaveOrganizationException",
            "You can't remove a management account from an organization.",
        ));
    }
    let member = organization.members.get(&id).ok_or_else(account_not_found)?;
    if member.joined_method == "CREATED" && ctx.now < member.joined_at + MIN_ACCOUNT_AGE {
        return Err(constraint_violation(
            "WAIT_PERIOD_ACTIVE",
            "You must wait at least four days after you create an account before you can remove it.",
        ));
    }
    if let Some(member) = organization.members.remove(&id) {
        organization.foreign_emails.insert(member.email);
    }
    organization.joined.retain(|joined| *joined != id);
    organization.attached.remove(&id);
    organization.tags.remove(&id);
    state.identity_center.assignments.retain(|assignment| assignment.account != id);
    state.identity_center.provisioned.remove(&id);
    Ok(wire::serialize_remove_account_from_organization_response())
}
