//! Account assignments of IAM Identity Center.

use aws_sdk_ssoadmin::types::{
    AccountAssignmentForPrincipal, AccountAssignmentOperationStatus, OperationStatusFilter, PrincipalType,
    StatusValues, TargetType,
};

use crate::aws::Aws;
use crate::aws::call::missing_field;
use crate::cloud::{Assignment, AssignmentState, Grant, Result, Target};

/// Maximum page size of Identity Center.
const MAX_PAGE_SIZE: i32 = 100;

impl Aws {
    /// Requests the assignment of a permission set to a group.
    pub async fn assign(&self, account: &Target, grant: &Grant) -> Result<Assignment> {
        const CALL: &str = "sso:CreateAccountAssignment";
        self.check_own_account(account, CALL).await?;
        let sso = self.sso().await?;
        let request = sso
            .client
            .create_account_assignment()
            .instance_arn(&sso.instance.arn)
            .target_type(TargetType::AwsAccount)
            .target_id(account.id().as_str())
            .permission_set_arn(&grant.permission_set_arn)
            .principal_type(PrincipalType::Group)
            .principal_id(&grant.group_id);
        let response = self.send(&sso.session, CALL, request.send()).await?;
        response
            .account_assignment_creation_status
            .and_then(to_assignment)
            .ok_or_else(|| missing_field(CALL, "request id"))
    }

    /// Returns the ids of all assignment requests in progress in the organisation.
    pub async fn assignments_in_progress(&self) -> Result<Vec<String>> {
        const CALL: &str = "sso:ListAccountAssignmentCreationStatus";
        let sso = self.sso().await?;
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let in_progress = OperationStatusFilter::builder().status(StatusValues::InProgress).build();
            let request = sso
                .client
                .list_account_assignment_creation_status()
                .instance_arn(&sso.instance.arn)
                .filter(in_progress)
                .max_results(MAX_PAGE_SIZE)
                .set_next_token(token);
            let page = self.send(&sso.session, CALL, request.send()).await?;
            let statuses = page.account_assignments_creation_status.unwrap_or_default().into_iter();
            found.extend(statuses.filter_map(|status| status.request_id));
            token = page.next_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the status of an assignment request.
    pub async fn assignment_status(&self, request_id: &str) -> Result<AssignmentState> {
        self.assignment_creation_status(request_id).await.map(state_of)
    }

    /// Returns whether a request is for the assignment of `grant` in `account`.
    pub async fn is_request_for(&self, request_id: &str, account: &Target, grant: &Grant) -> Result<bool> {
        let status = self.assignment_creation_status(request_id).await?;
        Ok(status.target_id.as_deref() == Some(account.id().as_str())
            && status.permission_set_arn.as_ref() == Some(&grant.permission_set_arn)
            && status.principal_id.as_ref() == Some(&grant.group_id))
    }

    async fn assignment_creation_status(&self, request_id: &str) -> Result<AccountAssignmentOperationStatus> {
        const CALL: &str = "sso:DescribeAccountAssignmentCreationStatus";
        let sso = self.sso().await?;
        let request = sso
            .client
            .describe_account_assignment_creation_status()
            .instance_arn(&sso.instance.arn)
            .account_assignment_creation_request_id(request_id);
        let response = self.send(&sso.session, CALL, request.send()).await?;
        response.account_assignment_creation_status.ok_or_else(|| missing_field(CALL, "status"))
    }

    /// Returns the ids of the groups with a permission set in an account.
    pub async fn assigned_groups(&self, account: &Target, permission_set_arn: &str) -> Result<Vec<String>> {
        const CALL: &str = "sso:ListAccountAssignments";
        let sso = self.sso().await?;
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
            let page = self.send(&sso.session, CALL, request.send()).await?;
            let assignments = page.account_assignments.unwrap_or_default().into_iter();
            let of_groups = assignments.filter(|assignment| assignment.principal_type == Some(PrincipalType::Group));
            groups.extend(of_groups.filter_map(|assignment| assignment.principal_id));
            token = page.next_token;
            if token.is_none() {
                return Ok(groups);
            }
        }
    }

    /// Returns whether permission sets are assigned to a user directly, not through a group.
    pub(in crate::aws) async fn is_assigned_directly(&self, user_id: &str) -> Result<bool> {
        const CALL: &str = "sso:ListAccountAssignmentsForPrincipal";
        let sso = self.sso().await?;
        let mut token = None;
        loop {
            let request = sso
                .client
                .list_account_assignments_for_principal()
                .instance_arn(&sso.instance.arn)
                .principal_id(user_id)
                .principal_type(PrincipalType::User)
                .set_next_token(token);
            let page = self.send(&sso.session, CALL, request.send()).await?;
            // The principal of an assignment through a group is the group.
            let direct =
                |assignment: &AccountAssignmentForPrincipal| assignment.principal_id.as_deref() == Some(user_id);
            if page.account_assignments.unwrap_or_default().iter().any(direct) {
                return Ok(true);
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(false);
            }
        }
    }

    /// Requests the deletion of an assignment.
    pub async fn unassign(&self, account: &Target, grant: &Grant) -> Result<Assignment> {
        const CALL: &str = "sso:DeleteAccountAssignment";
        self.check_own_account(account, CALL).await?;
        let sso = self.sso().await?;
        let request = sso
            .client
            .delete_account_assignment()
            .instance_arn(&sso.instance.arn)
            .target_type(TargetType::AwsAccount)
            .target_id(account.id().as_str())
            .permission_set_arn(&grant.permission_set_arn)
            .principal_type(PrincipalType::Group)
            .principal_id(&grant.group_id);
        let response = self.send(&sso.session, CALL, request.send()).await?;
        response
            .account_assignment_deletion_status
            .and_then(to_assignment)
            .ok_or_else(|| missing_field(CALL, "request id"))
    }

    /// Returns the status of a request to delete an assignment.
    pub async fn unassignment_status(&self, request_id: &str) -> Result<AssignmentState> {
        const CALL: &str = "sso:DescribeAccountAssignmentDeletionStatus";
        let sso = self.sso().await?;
        let request = sso
            .client
            .describe_account_assignment_deletion_status()
            .instance_arn(&sso.instance.arn)
            .account_assignment_deletion_request_id(request_id);
        let response = self.send(&sso.session, CALL, request.send()).await?;
        response.account_assignment_deletion_status.map(state_of).ok_or_else(|| missing_field(CALL, "status"))
    }
}

fn to_assignment(mut status: AccountAssignmentOperationStatus) -> Option<Assignment> {
    let request_id = status.request_id.take()?;
    Some(Assignment { request_id, state: state_of(status) })
}

fn state_of(status: AccountAssignmentOperationStatus) -> AssignmentState {
    match status.status {
        Some(StatusValues::Succeeded) => AssignmentState::Succeeded,
        Some(StatusValues::Failed) => {
            AssignmentState::Failed(status.failure_reason.unwrap_or_else(|| "AWS gave no reason".to_owned()))
        }
        // A status that this version does not know is polled until the step's deadline.
        _ => AssignmentState::InProgress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_assignment_status_counts_as_in_progress() {
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
