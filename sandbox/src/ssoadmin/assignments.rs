//! Account assignments. Creation and deletion are requests that complete asynchronously.

use winterbaume_core::MockResponse;
use winterbaume_ssoadmin::{model, wire};

use super::permission_sets::find;
use super::{
    Assignment, AssignmentRequest, RequestStatus, conflict, not_found, page, progress, quota_exceeded, seconds,
};
use crate::organizations::Lifecycle;
use crate::quotas::throttling_error;
use crate::world::{AwsError, BackgroundWorkSpan, Ctx, State};

/// Maximum number of CreateAccountAssignment requests in progress (IAM Identity Center quotas, fixed).
const MAX_CREATIONS_IN_PROGRESS: usize = 15;
/// Maximum number of permission sets provisioned to one account (IAM Identity Center quotas).
const MAX_PROVISIONED: usize = 500;

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_account_assignment_request(body).map_err(AwsError::serialization)?;
    let assignment = Assignment {
        account: input.target_id,
        permission_set: input.permission_set_arn,
        principal_type: input.principal_type,
        principal_id: input.principal_id,
    };
    check_assignment_target_exists(state, &assignment)?;
    let center = &state.identity_center;
    let in_progress =
        center.requests.values().filter(|request| request.creates && request.progress == RequestStatus::InProgress);
    if in_progress.count() >= MAX_CREATIONS_IN_PROGRESS {
        return Err(throttling_error(ctx.service));
    }
    check_no_conflict(state, &assignment)?;
    let provisioned = center.provisioned.get(&assignment.account);
    if provisioned.is_some_and(|sets| sets.len() >= MAX_PROVISIONED && !sets.contains_key(&assignment.permission_set)) {
        return Err(quota_exceeded(format!(
            "Account {} has {MAX_PROVISIONED} permission sets, which is the maximum",
            assignment.account
        )));
    }
    let request = store_request(state, ctx, assignment, true);
    Ok(wire::serialize_create_account_assignment_response(&model::CreateAccountAssignmentResponse {
        account_assignment_creation_status: Some(to_wire(&request)),
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
    check_no_conflict(state, &assignment)?;
    let request = store_request(state, ctx, assignment, false);
    Ok(wire::serialize_delete_account_assignment_response(&model::DeleteAccountAssignmentResponse {
        account_assignment_deletion_status: Some(to_wire(&request)),
    }))
}

/// Returns an error unless the permission set, the account and the principal exist.
fn check_assignment_target_exists(state: &mut State, assignment: &Assignment) -> Result<(), AwsError> {
    find(state, &assignment.permission_set)?;
    if !state.organization.members.contains_key(&assignment.account) {
        return Err(not_found("Account", &assignment.account));
    }
    let store = &state.identity_store;
    let exists = match assignment.principal_type.as_str() {
        "GROUP" => store.groups.contains_key(&assignment.principal_id),
        _ => store.users.contains_key(&assignment.principal_id),
    };
    if exists { Ok(()) } else { Err(not_found(&assignment.principal_type, &assignment.principal_id)) }
}

/// Returns a conflict error if an earlier write to the same permission set and account is in progress.
fn check_no_conflict(state: &State, assignment: &Assignment) -> Result<(), AwsError> {
    let center = &state.identity_center;
    let is_same_target = |request: &&AssignmentRequest| {
        request.progress == RequestStatus::InProgress
            && request.assignment.account == assignment.account
            && request.assignment.permission_set == assignment.permission_set
    };
    let is_provisioning = |provisioning: &&super::ProvisioningRequest| {
        provisioning.progress == RequestStatus::InProgress
            && provisioning.permission_set == assignment.permission_set
            && provisioning.account.as_ref().is_none_or(|account| *account == assignment.account)
    };
    if center.requests.values().find(is_same_target).is_some()
        || center.provisionings.values().find(is_provisioning).is_some()
    {
        return Err(conflict("There is a conflict with a previous successful write that has not propagated yet"));
    }
    Ok(())
}

/// Stores a new assignment request. Requests for one account are processed sequentially, so the new request starts
/// after all earlier requests for the account.
fn store_request(state: &mut State, ctx: &Ctx, assignment: Assignment, creates: bool) -> AssignmentRequest {
    let id = state.ids.uuid();
    let set = state.identity_center.permission_sets.get(&assignment.permission_set);
    let verb = if creates { "grant" } else { "revoke" };
    let key = format!(
        "{verb}/{}/{}/{}",
        progress::account_email(state, &assignment.account),
        set.map(|set| set.name.as_str()).unwrap_or_default(),
        progress::principal_name(state, &assignment)
    );
    let requests = state.identity_center.requests.values();
    let starts_at = requests
        .filter(|request| {
            request.progress == RequestStatus::InProgress && request.assignment.account == assignment.account
        })
        .filter_map(|request| request.ready_at)
        .fold(ctx.now, std::cmp::max);
    let done_at = starts_at + ctx.draw_duration(ctx.settings.durations.assignment, &key);
    let (ready_at, injected_failure) = progress::apply_injected_fault(ctx, done_at);
    if ready_at.is_some() {
        state.record_background_work(BackgroundWorkSpan::account(&assignment.account, "assignment", ctx.now, done_at));
    }
    let request = AssignmentRequest {
        id: id.clone(),
        creates,
        assignment,
        created_at: ctx.now,
        ready_at,
        progress: RequestStatus::InProgress,
        injected_failure,
    };
    state.identity_center.requests.insert(id, request.clone());
    request
}

pub(super) fn describe_creation(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_describe_account_assignment_creation_status_request(body).map_err(AwsError::serialization)?;
    let request = find_request(state, &input.account_assignment_creation_request_id, true)?;
    Ok(wire::serialize_describe_account_assignment_creation_status_response(
        &model::DescribeAccountAssignmentCreationStatusResponse {
            account_assignment_creation_status: Some(to_wire(request)),
        },
    ))
}

pub(super) fn describe_deletion(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_describe_account_assignment_deletion_status_request(body).map_err(AwsError::serialization)?;
    let request = find_request(state, &input.account_assignment_deletion_request_id, false)?;
    Ok(wire::serialize_describe_account_assignment_deletion_status_response(
        &model::DescribeAccountAssignmentDeletionStatusResponse {
            account_assignment_deletion_status: Some(to_wire(request)),
        },
    ))
}

pub(super) fn list_creations(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_account_assignment_creation_status_request(body).map_err(AwsError::serialization)?;
    let status = input.filter.and_then(|filter| filter.status);
    let found = list_requests(state, true, status.as_deref());
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
    let found = list_requests(state, false, status.as_deref());
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
    let to_wire = |assignment: &Assignment| model::AccountAssignment {
        account_id: Some(assignment.account.clone()),
        permission_set_arn: Some(assignment.permission_set.clone()),
        principal_type: Some(assignment.principal_type.clone()),
        principal_id: Some(assignment.principal_id.clone()),
    };
    Ok(wire::serialize_list_account_assignments_response(&model::ListAccountAssignmentsResponse {
        account_assignments: Some(found.into_iter().map(to_wire).collect()),
        next_token,
    }))
}

/// Lists the assignments of a principal. For a user, the assignments of the user's groups are included.
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
    let to_wire = |assignment: &Assignment| model::AccountAssignmentForPrincipal {
        account_id: Some(assignment.account.clone()),
        permission_set_arn: Some(assignment.permission_set.clone()),
        principal_type: Some(assignment.principal_type.clone()),
        principal_id: Some(assignment.principal_id.clone()),
    };
    Ok(wire::serialize_list_account_assignments_for_principal_response(
        &model::ListAccountAssignmentsForPrincipalResponse {
            account_assignments: Some(found.into_iter().map(to_wire).collect()),
            next_token,
        },
    ))
}

/// Returns whether the account is closed, closing or not in the organisation.
pub(super) fn is_closed(state: &State, account: &str) -> bool {
    state.organization.members.get(account).is_none_or(|member| member.lifecycle != Lifecycle::Active)
}

fn find_request<'a>(state: &'a State, id: &str, creates: bool) -> Result<&'a AssignmentRequest, AwsError> {
    let found = state.identity_center.requests.get(id).filter(|request| request.creates == creates);
    found.ok_or_else(|| not_found("Request", id))
}

fn list_requests(
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

fn to_wire(request: &AssignmentRequest) -> model::AccountAssignmentOperationStatus {
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
