//! Account assignments. Creating and deleting one is a request that is done some time later.

use winterbaume_core::MockResponse;
use winterbaume_ssoadmin::{model, wire};

use super::permission_sets::find;
use super::{Assignment, AssignmentRequest, Progress, absent, conflict, page, progress, quota, seconds};
use crate::organizations::Lifecycle;
use crate::quotas::throttled;
use crate::world::{AwsError, BusySpan, Ctx, State};

/// Unfinished CreateAccountAssignment requests: IAM Identity Center quotas, fixed.
const MOST_OUTSTANDING: usize = 15;
/// Permission sets provisioned to one account: IAM Identity Center quotas.
const MOST_PROVISIONED: usize = 500;

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_account_assignment_request(body).map_err(AwsError::serialization)?;
    let assignment = Assignment {
        account: input.target_id,
        permission_set: input.permission_set_arn,
        principal_type: input.principal_type,
        principal_id: input.principal_id,
    };
    exist(state, &assignment)?;
    let center = &state.identity_center;
    let outstanding =
        center.requests.values().filter(|request| request.creates && request.progress == Progress::InProgress);
    if outstanding.count() >= MOST_OUTSTANDING {
        return Err(throttled(ctx.service));
    }
    free(state, &assignment)?;
    let provisioned = center.provisioned.get(&assignment.account);
    if provisioned.is_some_and(|sets| sets.len() >= MOST_PROVISIONED && !sets.contains_key(&assignment.permission_set))
    {
        return Err(quota(format!(
            "Account {} has {MOST_PROVISIONED} permission sets, the most that it can have",
            assignment.account
        )));
    }
    let request = ask(state, ctx, assignment, true);
    Ok(wire::serialize_create_account_assignment_response(&model::CreateAccountAssignmentResponse {
        account_assignment_creation_status: Some(shown(&request)),
    }))
}

pub(super) fn delete(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_account_assignment_request(body).map_err(AwsError::serialization)?;
    let assignment = Assignment {
        account: input.target_id,
        permission_set: input.permission_set_arn,
        principal_type: input.principal_type,
        principal_id: input.principal_id,
    };
    find(state, &assignment.permission_set)?;
    free(state, &assignment)?;
    let request = ask(state, ctx, assignment, false);
    Ok(wire::serialize_delete_account_assignment_response(&model::DeleteAccountAssignmentResponse {
        account_assignment_deletion_status: Some(shown(&request)),
    }))
}

/// The set, the account and the principal must be there.
fn exist(state: &mut State, assignment: &Assignment) -> Result<(), AwsError> {
    find(state, &assignment.permission_set)?;
    if !state.organization.members.contains_key(&assignment.account) {
        return Err(absent("Account", &assignment.account));
    }
    let store = &state.identity_store;
    let known = match assignment.principal_type.as_str() {
        "GROUP" => store.groups.contains_key(&assignment.principal_id),
        _ => store.users.contains_key(&assignment.principal_id),
    };
    if known { Ok(()) } else { Err(absent(&assignment.principal_type, &assignment.principal_id)) }
}

/// An earlier write to the same set in the same account has to be through.
fn free(state: &State, assignment: &Assignment) -> Result<(), AwsError> {
    let center = &state.identity_center;
    let same = |request: &&AssignmentRequest| {
        request.progress == Progress::InProgress
            && request.assignment.account == assignment.account
            && request.assignment.permission_set == assignment.permission_set
    };
    let provisioning = |provisioning: &&super::Provisioning| {
        provisioning.progress == Progress::InProgress
            && provisioning.permission_set == assignment.permission_set
            && provisioning.account.as_ref().is_none_or(|account| *account == assignment.account)
    };
    if center.requests.values().find(same).is_some() || center.provisionings.values().find(provisioning).is_some() {
        return Err(conflict("There is a conflict with a previous successful write that has not propagated yet"));
    }
    Ok(())
}

/// Accepts a request. One account gets one role at a time, so it waits for those that the account already has.
fn ask(state: &mut State, ctx: &Ctx, assignment: Assignment, creates: bool) -> AssignmentRequest {
    let id = state.ids.uuid();
    let set = state.identity_center.permission_sets.get(&assignment.permission_set);
    let verb = if creates { "grant" } else { "revoke" };
    let key = format!(
        "{verb}/{}/{}/{}",
        progress::owner(state, &assignment.account),
        set.map(|set| set.name.as_str()).unwrap_or_default(),
        progress::principal_name(state, &assignment)
    );
    let queue = state.identity_center.requests.values();
    let begins = queue
        .filter(|request| request.progress == Progress::InProgress && request.assignment.account == assignment.account)
        .filter_map(|request| request.ready_at)
        .fold(ctx.now, std::cmp::max);
    let done = begins + ctx.draw(ctx.settings.durations.assignment, &key);
    let (ready_at, doomed) = progress::spoiled(ctx, done);
    if ready_at.is_some() {
        state.record_busy(BusySpan::account(&assignment.account, "assignment", ctx.now, done));
    }
    let request = AssignmentRequest {
        id: id.clone(),
        creates,
        assignment,
        created_at: ctx.now,
        ready_at,
        progress: Progress::InProgress,
        doomed,
    };
    state.identity_center.requests.insert(id, request.clone());
    request
}

pub(super) fn describe_creation(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_describe_account_assignment_creation_status_request(body).map_err(AwsError::serialization)?;
    let request = request(state, &input.account_assignment_creation_request_id, true)?;
    Ok(wire::serialize_describe_account_assignment_creation_status_response(
        &model::DescribeAccountAssignmentCreationStatusResponse {
            account_assignment_creation_status: Some(shown(request)),
        },
    ))
}

pub(super) fn describe_deletion(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_describe_account_assignment_deletion_status_request(body).map_err(AwsError::serialization)?;
    let request = request(state, &input.account_assignment_deletion_request_id, false)?;
    Ok(wire::serialize_describe_account_assignment_deletion_status_response(
        &model::DescribeAccountAssignmentDeletionStatusResponse {
            account_assignment_deletion_status: Some(shown(request)),
        },
    ))
}

pub(super) fn list_creations(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_account_assignment_creation_status_request(body).map_err(AwsError::serialization)?;
    let status = input.filter.and_then(|filter| filter.status);
    let found = requests(state, true, status.as_deref());
    let (found, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_account_assignment_creation_status_response(
        &model::ListAccountAssignmentCreationStatusResponse {
            account_assignments_creation_status: Some(found),
            next_token,
        },
    ))
}

pub(super) fn list_deletions(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_account_assignment_deletion_status_request(body).map_err(AwsError::serialization)?;
    let status = input.filter.and_then(|filter| filter.status);
    let found = requests(state, false, status.as_deref());
    let (found, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_account_assignment_deletion_status_response(
        &model::ListAccountAssignmentDeletionStatusResponse {
            account_assignments_deletion_status: Some(found),
            next_token,
        },
    ))
}

pub(super) fn list(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_account_assignments_request(body).map_err(AwsError::serialization)?;
    find(state, &input.permission_set_arn)?;
    let found = state.identity_center.assignments.iter().filter(|assignment| {
        assignment.account == input.account_id && assignment.permission_set == input.permission_set_arn
    });
    let (found, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    let shown = |assignment: &Assignment| model::AccountAssignment {
        account_id: Some(assignment.account.clone()),
        permission_set_arn: Some(assignment.permission_set.clone()),
        principal_type: Some(assignment.principal_type.clone()),
        principal_id: Some(assignment.principal_id.clone()),
    };
    Ok(wire::serialize_list_account_assignments_response(&model::ListAccountAssignmentsResponse {
        account_assignments: Some(found.into_iter().map(shown).collect()),
        next_token,
    }))
}

/// Assignments of the principal itself; for a user, those of its groups as well.
pub(super) fn list_for_principal(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_account_assignments_for_principal_request(body).map_err(AwsError::serialization)?;
    let account = input.filter.and_then(|filter| filter.account_id);
    let groups = state.identity_store.groups_of(&input.principal_id);
    let found = state
        .identity_center
        .assignments
        .iter()
        .filter(|assignment| assignment.principal_id == input.principal_id || groups.contains(&assignment.principal_id))
        .filter(|assignment| account.as_ref().is_none_or(|account| assignment.account == *account));
    let (found, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    let shown = |assignment: &Assignment| model::AccountAssignmentForPrincipal {
        account_id: Some(assignment.account.clone()),
        permission_set_arn: Some(assignment.permission_set.clone()),
        principal_type: Some(assignment.principal_type.clone()),
        principal_id: Some(assignment.principal_id.clone()),
    };
    Ok(wire::serialize_list_account_assignments_for_principal_response(
        &model::ListAccountAssignmentsForPrincipalResponse {
            account_assignments: Some(found.into_iter().map(shown).collect()),
            next_token,
        },
    ))
}

/// Whether the account can still be given anything.
pub(super) fn closed(state: &State, account: &str) -> bool {
    state.organization.members.get(account).is_none_or(|member| member.lifecycle != Lifecycle::Active)
}

fn request<'a>(state: &'a State, id: &str, creates: bool) -> Result<&'a AssignmentRequest, AwsError> {
    let found = state.identity_center.requests.get(id).filter(|request| request.creates == creates);
    found.ok_or_else(|| absent("Request", id))
}

fn requests(
    state: &State,
    creates: bool,
    status: Option<&str>,
) -> Vec<model::AccountAssignmentOperationStatusMetadata> {
    let mut found: Vec<&AssignmentRequest> = state
        .identity_center
        .requests
        .values()
        .filter(|request| request.creates == creates)
        .filter(|request| status.is_none_or(|status| request.progress.as_str() == status))
        .collect();
    found.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    found
        .into_iter()
        .map(|request| model::AccountAssignmentOperationStatusMetadata {
            created_date: Some(seconds(request.created_at)),
            request_id: Some(request.id.clone()),
            status: Some(request.progress.as_str().into()),
        })
        .collect()
}

fn shown(request: &AssignmentRequest) -> model::AccountAssignmentOperationStatus {
    model::AccountAssignmentOperationStatus {
        request_id: Some(request.id.clone()),
        status: Some(request.progress.as_str().into()),
        failure_reason: request.progress.reason(),
        created_date: Some(seconds(request.created_at)),
        target_id: Some(request.assignment.account.clone()),
        target_type: Some("AWS_ACCOUNT".into()),
        permission_set_arn: Some(request.assignment.permission_set.clone()),
        principal_type: Some(request.assignment.principal_type.clone()),
        principal_id: Some(request.assignment.principal_id.clone()),
    }
}
