//! Completion of assignment and provisioning requests, with the resulting roles in the accounts.

use chrono::{DateTime, Utc};

use super::{Assignment, AssignmentRequest, RequestStatus, assignments};
use crate::faults::Fault;
use crate::policy::Document;
use crate::world::{Ctx, State};

/// Completes the requests that are due at `now`, in the order of their completion times.
pub(crate) fn advance(state: &mut State, now: DateTime<Utc>) {
    let due = |ready_at: Option<DateTime<Utc>>, progress: &RequestStatus| {
        ready_at.filter(|ready_at| *ready_at <= now && *progress == RequestStatus::InProgress)
    };
    let center = &state.identity_center;
    let mut requests: Vec<(DateTime<Utc>, String)> = center
        .requests
        .values()
        .filter_map(|request| Some((due(request.ready_at, &request.progress)?, request.id.clone())))
        .collect();
    let mut provisionings: Vec<(DateTime<Utc>, String)> = center
        .provisionings
        .values()
        .filter_map(|request| Some((due(request.ready_at, &request.progress)?, request.id.clone())))
        .collect();
    requests.sort();
    provisionings.sort();
    for (at, id) in requests {
        let Some(request) = state.identity_center.requests.get(&id).cloned() else { continue };
        let progress = match finish(state, &request, at) {
            Ok(()) => RequestStatus::Succeeded,
            Err(reason) => RequestStatus::Failed(reason),
        };
        if let Some(request) = state.identity_center.requests.get_mut(&id) {
            request.progress = progress;
        }
    }
    for (at, id) in provisionings {
        super::provisioning::finish(state, &id, at);
    }
}

fn finish(state: &mut State, request: &AssignmentRequest, at: DateTime<Utc>) -> Result<(), String> {
    if let Some(reason) = &request.injected_failure {
        return Err(reason.clone());
    }
    let assignment = &request.assignment;
    let not_settled = state.accounts.get(&assignment.account).is_none_or(|account| account.settled_at > at);
    if assignments::is_closed(state, &assignment.account) || not_settled {
        return Err(format!(
            "Received a 403 status error: Access denied by IAM service. AccountId={}",
            assignment.account
        ));
    }
    if request.creates {
        state.identity_center.assignments.insert(assignment.clone());
        provision(state, &assignment.account, &assignment.permission_set, at);
        return Ok(());
    }
    if !state.identity_center.assignments.remove(assignment) {
        return Err("The assignment does not exist.".into());
    }
    let others = state.identity_center.assignments.iter();
    let still_used = others
        .filter(|other| other.account == assignment.account)
        .any(|other| other.permission_set == assignment.permission_set);
    if !still_used {
        remove_role(state, &assignment.account, &assignment.permission_set);
    }
    Ok(())
}

/// Creates or updates the role of a permission set in an account.
pub(super) fn provision(state: &mut State, account: &str, set_arn: &str, at: DateTime<Utc>) {
    let Some(set) = state.identity_center.permission_sets.get(set_arn).cloned() else { return };
    let versions = state.identity_center.provisioned.entry(account.to_owned()).or_default();
    let is_first = versions.insert(set_arn.to_owned(), set.version).is_none();
    let name = role_name(&set.name, set_arn, account);
    if is_first {
        let trust = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Federated": format!("arn:aws:iam::{account}:saml-provider/AWSSSO_DO_NOT_DELETE") },
                "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"],
            }],
        });
        let trust = Document::from_value(trust).unwrap_or_default();
        let role = state.new_role(account, "/aws-reserved/sso.amazonaws.com/", &name, trust, at);
        if let Some(account) = state.accounts.get_mut(account) {
            account.roles.insert(name.clone(), role);
        }
    }
    let role = state.accounts.get_mut(account).and_then(|account| account.roles.get_mut(&name));
    if let Some(role) = role {
        role.managed = set.managed;
        role.inline.clear();
        if let Some(inline) = set.inline.and_then(|text| Document::parse(&text).ok()) {
            role.inline.insert("AwsSSOInlinePolicy".into(), inline);
        }
    }
}

fn remove_role(state: &mut State, account: &str, set_arn: &str) {
    let name = state.identity_center.permission_sets.get(set_arn).map(|set| role_name(&set.name, set_arn, account));
    if let Some(sets) = state.identity_center.provisioned.get_mut(account) {
        sets.remove(set_arn);
    }
    if let (Some(name), Some(account)) = (name, state.accounts.get_mut(account)) {
        account.roles.remove(&name);
    }
}

/// Returns the role name `AWSReservedSSO_{set}_{16 hexadecimal digits}`, which is fixed per permission set and account.
pub(crate) fn role_name(set_name: &str, set_arn: &str, account: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = hex::encode(Sha256::new().chain_update(set_arn).chain_update(account).finalize());
    format!("AWSReservedSSO_{set_name}_{}", &digest[..16])
}

/// Applies the injected fault to a new request. Returns the completion time (`None` if stuck) and the failure reason,
/// if any.
pub(super) fn apply_injected_fault(ctx: &Ctx, done_at: DateTime<Utc>) -> (Option<DateTime<Utc>>, Option<String>) {
    match &ctx.fault {
        Some(Fault::Stuck) => (None, None),
        Some(Fault::FailedState { reason }) => (Some(done_at), Some(reason.clone())),
        _ => (Some(done_at), None),
    }
}

/// Returns the e-mail address of an account, or its id if the address is unknown. Durations are derived from the
/// address, because the address does not depend on the order of calls.
pub(super) fn account_email<'a>(state: &'a State, account: &'a str) -> &'a str {
    state.organization.members.get(account).map_or(account, |member| member.email.as_str())
}

/// Returns the name of the user or group of an assignment. Durations are derived from the name, because the
/// name does not depend on the order of calls.
pub(super) fn principal_name<'a>(state: &'a State, assignment: &'a Assignment) -> &'a str {
    let store = &state.identity_store;
    let id = &assignment.principal_id;
    let group = store.groups.get(id).map(|group| group.display_name.as_str());
    group.or(store.users.get(id).map(|user| user.user_name.as_str())).unwrap_or(id)
}
