//! IAM Identity Center: permission sets, and who has which in an account.

use std::sync::PoisonError;

use aws_sdk_ssoadmin::Client;
use aws_sdk_ssoadmin::types::{
    AccountAssignmentForPrincipal, AccountAssignmentOperationStatus, OperationStatusFilter, PrincipalType,
    StatusValues, TargetType,
};
use chrono::TimeDelta;

use super::Aws;
use super::cache::{NAME_TTL, PARTIAL_TTL};
use super::call::missing_field;
use super::sts::Session;
use crate::cloud::{Assignment, AssignmentState, CloudError, CloudErrorKind, Grant, Result, Target};

/// An instance does not move; asking once an hour is plenty.
const INSTANCE_HOLDS: TimeDelta = TimeDelta::hours(1);

/// The most that a list of Identity Center gives at once.
const MOST_IN_A_PAGE: i32 = 100;

/// The organisation's instance of Identity Center.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `arn:aws:sso:::instance/ssoins-…`
    pub arn: String,
    /// `d-…`
    pub identity_store_id: String,
    /// Where it lives.
    pub region: String,
}

/// A way to Identity Center: as whom, which instance, and through what.
pub(super) struct Sso {
    pub(super) session: std::sync::Arc<Session>,
    pub(super) instance: Instance,
    pub(super) client: Client,
}

pub(super) async fn sso(aws: &Aws) -> Result<Sso> {
    let session = aws.control().await?;
    let instance = instance(aws).await?;
    let client = session.client(&instance.region, Client::new);
    Ok(Sso { session, instance, client })
}

/// The instance: from configuration, else the one that answers in the region where it is said, or thought, to live.
pub(super) async fn instance(aws: &Aws) -> Result<Instance> {
    const CALL: &str = "sso:ListInstances";
    let configured = &aws.config.identity_center;
    let region = configured.region.map_or_else(|| aws.connection.region(), |region| region.as_str()).to_owned();
    if let (Some(arn), Some(store)) = (&configured.instance_arn, &configured.identity_store_id) {
        return Ok(Instance { arn: arn.clone(), identity_store_id: store.clone(), region });
    }
    let look = async {
        let control = aws.control().await?;
        let client = control.client(&region, Client::new);
        let mut token = None;
        loop {
            let page = aws.send(&control, CALL, client.list_instances().set_next_token(token).send()).await?;
            let mut instances = page.instances.unwrap_or_default().into_iter();
            let found = instances
                .find(|instance| configured.instance_arn.is_none() || instance.instance_arn == configured.instance_arn);
            if let Some((arn, identity_store_id)) = found.and_then(|one| one.instance_arn.zip(one.identity_store_id)) {
                let instance = Instance { arn, identity_store_id, region: region.clone() };
                return Ok(Some((instance, aws.clock.now() + INSTANCE_HOLDS)));
            }
            token = page.next_token;
            if token.is_none() {
                return Err(no_instance(CALL, &region));
            }
        }
    };
    aws.known.instance.get_or_fetch(&(), &aws.clock, look).await?.ok_or_else(|| no_instance(CALL, &region))
}

fn no_instance(call: &'static str, region: &str) -> CloudError {
    CloudError {
        kind: CloudErrorKind::Failed,
        call,
        code: "NoIdentityCenter".to_owned(),
        message: format!(
            "IAM Identity Center has no instance in {region}; enable it, or say where it lives with \
             identity_center.region"
        ),
        request_id: None,
    }
}

pub(super) async fn permission_set(aws: &Aws, name: &str) -> Result<Option<String>> {
    let look = async {
        let Some(arn) = find_permission_set(aws, name).await? else { return Ok(None) };
        Ok(Some((arn, aws.clock.now() + NAME_TTL)))
    };
    aws.known.permission_sets.get_or_fetch(&name.to_owned(), &aws.clock, look).await
}

/// Lists ARNs and asks for the name of each that is not known yet. A name never changes, so it is kept for good, and the
/// list for as long as it takes: a walk that ran out of its rate goes on where it stopped.
pub(super) async fn find_permission_set(aws: &Aws, name: &str) -> Result<Option<String>> {
    let sso = sso(aws).await?;
    let look = async { Ok(Some((permission_set_arns(aws, &sso).await?, aws.clock.now() + PARTIAL_TTL))) };
    let arns = aws.known.permission_set_arns.get_or_fetch(&(), &aws.clock, look).await?.unwrap_or_default();
    let mut found = None;
    for arn in arns {
        if name_of(aws, &sso, &arn).await? == name {
            found = Some(arn);
            break;
        }
    }
    // What was made since is found the next time.
    aws.known.permission_set_arns.forget(&());
    Ok(found)
}

async fn permission_set_arns(aws: &Aws, sso: &Sso) -> Result<Vec<String>> {
    let (mut arns, mut token) = (Vec::new(), None);
    loop {
        let request = sso.client.list_permission_sets().instance_arn(&sso.instance.arn).set_next_token(token);
        let page = aws.send(&sso.session, "sso:ListPermissionSets", request.send()).await?;
        arns.extend(page.permission_sets.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return Ok(arns);
        }
    }
}

async fn name_of(aws: &Aws, sso: &Sso, arn: &str) -> Result<String> {
    let names = || aws.known.permission_set_names.lock().unwrap_or_else(PoisonError::into_inner);
    let known = names().get(arn).cloned();
    if let Some(name) = known {
        return Ok(name);
    }
    let request = sso.client.describe_permission_set().instance_arn(&sso.instance.arn).permission_set_arn(arn);
    let answer = aws.send(&sso.session, "sso:DescribePermissionSet", request.send()).await?;
    let name = answer.permission_set.and_then(|set| set.name).unwrap_or_default();
    names().insert(arn.to_owned(), name.clone());
    Ok(name)
}

pub(super) async fn assign(aws: &Aws, account: &Target, grant: &Grant) -> Result<Assignment> {
    const CALL: &str = "sso:CreateAccountAssignment";
    let sso = sso(aws).await?;
    let request = sso
        .client
        .create_account_assignment()
        .instance_arn(&sso.instance.arn)
        .target_type(TargetType::AwsAccount)
        .target_id(account.id().as_str())
        .permission_set_arn(&grant.permission_set_arn)
        .principal_type(PrincipalType::Group)
        .principal_id(&grant.group_id);
    let answer = aws.send(&sso.session, CALL, request.send()).await?;
    answer.account_assignment_creation_status.and_then(accepted).ok_or_else(|| missing_field(CALL, "request id"))
}

pub(super) async fn assignments_in_progress(aws: &Aws) -> Result<Vec<String>> {
    const CALL: &str = "sso:ListAccountAssignmentCreationStatus";
    let sso = sso(aws).await?;
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let in_progress = OperationStatusFilter::builder().status(StatusValues::InProgress).build();
        let request = sso
            .client
            .list_account_assignment_creation_status()
            .instance_arn(&sso.instance.arn)
            .filter(in_progress)
            .max_results(MOST_IN_A_PAGE)
            .set_next_token(token);
        let page = aws.send(&sso.session, CALL, request.send()).await?;
        let statuses = page.account_assignments_creation_status.unwrap_or_default().into_iter();
        found.extend(statuses.filter_map(|status| status.request_id));
        token = page.next_token;
        if token.is_none() {
            return Ok(found);
        }
    }
}

pub(super) async fn assignment_status(aws: &Aws, request_id: &str) -> Result<AssignmentState> {
    assignment_creation_status(aws, request_id).await.map(state_of)
}

pub(super) async fn is_request_for(aws: &Aws, request_id: &str, account: &Target, grant: &Grant) -> Result<bool> {
    let status = assignment_creation_status(aws, request_id).await?;
    Ok(status.target_id.as_deref() == Some(account.id().as_str())
        && status.permission_set_arn.as_ref() == Some(&grant.permission_set_arn)
        && status.principal_id.as_ref() == Some(&grant.group_id))
}

async fn assignment_creation_status(aws: &Aws, request_id: &str) -> Result<AccountAssignmentOperationStatus> {
    const CALL: &str = "sso:DescribeAccountAssignmentCreationStatus";
    let sso = sso(aws).await?;
    let request = sso
        .client
        .describe_account_assignment_creation_status()
        .instance_arn(&sso.instance.arn)
        .account_assignment_creation_request_id(request_id);
    let answer = aws.send(&sso.session, CALL, request.send()).await?;
    answer.account_assignment_creation_status.ok_or_else(|| missing_field(CALL, "status"))
}

pub(super) async fn assigned_groups(aws: &Aws, account: &Target, permission_set_arn: &str) -> Result<Vec<String>> {
    const CALL: &str = "sso:ListAccountAssignments";
    let sso = sso(aws).await?;
    let mut groups = Vec::new();
    let mut token = None;
    loop {
        let request = sso
            .client
            .list_account_assignments()
            .instance_arn(&sso.instance.arn)
            .account_id(account.id().as_str())
            .permission_set_arn(permission_set_arn)
            .set_next_token(token);
        let page = aws.send(&sso.session, CALL, request.send()).await?;
        let assignments = page.account_assignments.unwrap_or_default().into_iter();
        let of_groups = assignments.filter(|assignment| assignment.principal_type == Some(PrincipalType::Group));
        groups.extend(of_groups.filter_map(|assignment| assignment.principal_id));
        token = page.next_token;
        if token.is_none() {
            return Ok(groups);
        }
    }
}

/// Whether permission sets are assigned to a user as such.
pub(super) async fn is_assigned_directly(aws: &Aws, user_id: &str) -> Result<bool> {
    const CALL: &str = "sso:ListAccountAssignmentsForPrincipal";
    let sso = sso(aws).await?;
    let mut token = None;
    loop {
        let request = sso
            .client
            .list_account_assignments_for_principal()
            .instance_arn(&sso.instance.arn)
            .principal_id(user_id)
            .principal_type(PrincipalType::User)
            .set_next_token(token);
        let page = aws.send(&sso.session, CALL, request.send()).await?;
        // What a user has through a group names the group.
        let direct = |assignment: &AccountAssignmentForPrincipal| assignment.principal_id.as_deref() == Some(user_id);
        if page.account_assignments.unwrap_or_default().iter().any(direct) {
            return Ok(true);
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(false);
        }
    }
}

pub(super) async fn unassign(aws: &Aws, account: &Target, grant: &Grant) -> Result<Assignment> {
    const CALL: &str = "sso:DeleteAccountAssignment";
    let sso = sso(aws).await?;
    let request = sso
        .client
        .delete_account_assignment()
        .instance_arn(&sso.instance.arn)
        .target_type(TargetType::AwsAccount)
        .target_id(account.id().as_str())
        .permission_set_arn(&grant.permission_set_arn)
        .principal_type(PrincipalType::Group)
        .principal_id(&grant.group_id);
    let answer = aws.send(&sso.session, CALL, request.send()).await?;
    answer.account_assignment_deletion_status.and_then(accepted).ok_or_else(|| missing_field(CALL, "request id"))
}

pub(super) async fn unassignment_status(aws: &Aws, request_id: &str) -> Result<AssignmentState> {
    const CALL: &str = "sso:DescribeAccountAssignmentDeletionStatus";
    let sso = sso(aws).await?;
    let request = sso
        .client
        .describe_account_assignment_deletion_status()
        .instance_arn(&sso.instance.arn)
        .account_assignment_deletion_request_id(request_id);
    let answer = aws.send(&sso.session, CALL, request.send()).await?;
    answer.account_assignment_deletion_status.map(state_of).ok_or_else(|| missing_field(CALL, "status"))
}

fn accepted(mut status: AccountAssignmentOperationStatus) -> Option<Assignment> {
    let request_id = status.request_id.take()?;
    Some(Assignment { request_id, state: state_of(status) })
}

fn state_of(status: AccountAssignmentOperationStatus) -> AssignmentState {
    match status.status {
        Some(StatusValues::Succeeded) => AssignmentState::Succeeded,
        Some(StatusValues::Failed) => {
            AssignmentState::Failed(status.failure_reason.unwrap_or_else(|| "AWS gave no reason".to_owned()))
        }
        // A state that AWS invents later is, at the worst, looked at until the step's deadline.
        _ => AssignmentState::InProgress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_ends_only_in_the_two_ends_that_are_known() {
        let state = |text: &str| {
            state_of(
                AccountAssignmentOperationStatus::builder()
                    .status(StatusValues::from(text))
                    .failure_reason("Access denied by IAM")
                    .build(),
            )
        };
        assert_eq!(state("SUCCEEDED"), AssignmentState::Succeeded);
        assert_eq!(state("FAILED"), AssignmentState::Failed("Access denied by IAM".to_owned()));
        assert_eq!(state("IN_PROGRESS"), AssignmentState::InProgress);
        assert_eq!(state("THINKING"), AssignmentState::InProgress);
    }
}
