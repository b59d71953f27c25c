//! Provisioning of a changed permission set to the accounts that already have the permission set.

use chrono::{DateTime, Utc};
use winterbaume_core::MockResponse;
use winterbaume_ssoadmin::{model, wire};

use super::permission_sets::find;
use super::{ProvisioningRequest, RequestStatus, conflict, not_found, page, progress, seconds, validation_error};
use crate::quotas::throttling_error;
use crate::world::{AwsError, BackgroundWorkSpan, Ctx, State};

/// Maximum number of ProvisionPermissionSet requests in progress (IAM Identity Center quotas).
const MAX_REQUESTS_IN_PROGRESS: usize = 3;

pub(super) fn provision(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_provision_permission_set_request(body).map_err(AwsError::serialization)?;
    let name = find(state, &input.permission_set_arn)?.name.clone();
    let set = input.permission_set_arn;
    let account = match (input.target_type.as_str(), input.target_id) {
        ("AWS_ACCOUNT", Some(account)) => Some(account),
        ("AWS_ACCOUNT", None) => return Err(validation_error("TargetId is required for the target type AWS_ACCOUNT")),
        (_, Some(_)) => return Err(validation_error("TargetId goes with the target type AWS_ACCOUNT only")),
        (_, None) => None,
    };
    let center = &state.identity_center;
    let is_provisioned = |account: &String| center.provisioned.get(account).is_some_and(|sets| sets.contains_key(&set));
    if let Some(account) = account.as_ref().filter(|account| !is_provisioned(account)) {
        return Err(not_found("Provisioned permission set for account", account));
    }
    let in_progress: Vec<_> =
        center.provisionings.values().filter(|other| other.progress == RequestStatus::InProgress).collect();
    if in_progress.len() >= MAX_REQUESTS_IN_PROGRESS {
        return Err(throttling_error(ctx.service));
    }
    if in_progress.iter().any(|other| other.permission_set == set) {
        return Err(conflict("The permission set is being provisioned already"));
    }
    let targets = accounts(state, &set, account.as_deref());
    let mut done_at = ctx.now;
    for target in &targets {
        let key = format!("provision/{}/{name}", progress::account_email(state, target));
        let until = ctx.now + ctx.draw_duration(ctx.settings.durations.provision_permission_set, &key);
        state.record_background_work(BackgroundWorkSpan::account(target, "provision-permission-set", ctx.now, until));
        done_at = done_at.max(until);
    }
    let (ready_at, injected_failure) = progress::apply_injected_fault(ctx, done_at);
    let request = ProvisioningRequest {
        id: state.ids.uuid(),
        permission_set: set,
        account,
        created_at: ctx.now,
        ready_at,
        progress: RequestStatus::InProgress,
        injected_failure,
    };
    let status = to_wire(&request);
    state.identity_center.provisionings.insert(request.id.clone(), request);
    Ok(wire::serialize_provision_permission_set_response(&model::ProvisionPermissionSetResponse {
        permission_set_provisioning_status: Some(status),
    }))
}

/// Completes a provisioning request that is due.
pub(super) fn finish(state: &mut State, id: &str, at: DateTime<Utc>) {
    let Some(request) = state.identity_center.provisionings.get(id).cloned() else { return };
    let progress = if let Some(reason) = request.injected_failure {
        RequestStatus::Failed(reason)
    } else {
        for account in accounts(state, &request.permission_set, request.account.as_deref()) {
            progress::provision(state, &account, &request.permission_set, at);
        }
        RequestStatus::Succeeded
    };
    if let Some(request) = state.identity_center.provisionings.get_mut(id) {
        request.progress = progress;
    }
}

pub(super) fn describe(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_describe_permission_set_provisioning_status_request(body).map_err(AwsError::serialization)?;
    let id = input.provision_permission_set_request_id;
    let request = state.identity_center.provisionings.get(&id).ok_or_else(|| not_found("Request", &id))?;
    Ok(wire::serialize_describe_permission_set_provisioning_status_response(
        &model::DescribePermissionSetProvisioningStatusResponse {
            permission_set_provisioning_status: Some(to_wire(request)),
        },
    ))
}

pub(super) fn list_sets_of_account(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_permission_sets_provisioned_to_account_request(body).map_err(AwsError::serialization)?;
    let center = &state.identity_center;
    let found = center.provisioned.get(&input.account_id).into_iter().flatten();
    let found = found
        .filter(|(set, version)| has_status(state, set, **version, input.provisioning_status.as_deref()))
        .map(|(set, _)| set.clone());
    let (sets, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_permission_sets_provisioned_to_account_response(
        &model::ListPermissionSetsProvisionedToAccountResponse { permission_sets: Some(sets), next_token },
    ))
}

pub(super) fn list_accounts_of_set(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_accounts_for_provisioned_permission_set_request(body)
        .map_err(AwsError::serialization)?;
    let arn = &input.permission_set_arn;
    find(state, arn)?;
    let found = state.identity_center.provisioned.iter().filter_map(|(account, sets)| {
        let version = *sets.get(arn)?;
        has_status(state, arn, version, input.provisioning_status.as_deref()).then(|| account.clone())
    });
    let (accounts, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_accounts_for_provisioned_permission_set_response(
        &model::ListAccountsForProvisionedPermissionSetResponse { account_ids: Some(accounts), next_token },
    ))
}

fn has_status(state: &State, set: &str, version: u64, wanted: Option<&str>) -> bool {
    let is_latest = state.identity_center.permission_sets.get(set).is_some_and(|set| set.version == version);
    match wanted {
        Some("LATEST_PERMISSION_SET_PROVISIONED") => is_latest,
        Some(_) => !is_latest,
        None => true,
    }
}

/// Returns the accounts to which the permission set is provisioned. If `only` is set, all other accounts are excluded.
fn accounts(state: &State, set: &str, only: Option<&str>) -> Vec<String> {
    let provisioned = state.identity_center.provisioned.iter().filter(|(_, sets)| sets.contains_key(set));
    provisioned.map(|(account, _)| account.clone()).filter(|account| only.is_none_or(|only| only == account)).collect()
}

fn to_wire(request: &ProvisioningRequest) -> model::PermissionSetProvisioningStatus {
    model::PermissionSetProvisioningStatus {
        request_id: Some(request.id.clone()),
        status: Some(request.progress.as_str().into()),
        failure_reason: request.progress.reason(),
        created_date: Some(seconds(request.created_at)),
        permission_set_arn: Some(request.permission_set.clone()),
        account_id: request.account.clone(),
    }
}
