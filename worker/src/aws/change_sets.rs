//! CloudFormation calls for change sets, with which a release is previewed and deployed.

use aws_sdk_cloudformation::types::{
    Change, ChangeSetStatus, ChangeSetType, ExecutionStatus, Replacement, RollbackConfiguration, RollbackTrigger,
};
use freehold_tenancy::Region;

use super::Aws;
use super::call::missing_field;
use super::cloudformation::{capabilities, client, parameters, tags};
use crate::cloud::{
    ChangeSet, ChangeSetState, CloudError, NewChangeSet, ResourceChange, ResourceReplacement, Result, Role, Target,
};

/// CloudFormation type of an alarm that can be a rollback trigger.
const ALARM_TYPE: &str = "AWS::CloudWatch::Alarm";

/// Start of the reason of a change set without changes.
const NO_CHANGES: [&str; 2] = ["The submitted information didn't contain changes", "No updates are to be performed"];

impl Aws {
    /// Starts the creation of a change set for an existing stack. A repeated call with the same name and token has no
    /// effect.
    pub async fn create_change_set(
        &self,
        account: &Target,
        region: Region,
        stack_id: &str,
        new: &NewChangeSet,
    ) -> Result<()> {
        let session = self.tenant_session(account, Role::Access).await?;
        let trigger = |arn: &String| RollbackTrigger::builder().arn(arn).r#type(ALARM_TYPE).build();
        // AWS keeps the triggers of the last update unless it gets a list, also an empty one.
        let triggers = new.alarms.iter().map(trigger).collect();
        let rollback = RollbackConfiguration::builder().set_rollback_triggers(Some(triggers)).build();
        let stack = &new.stack;
        let request = client(&session, region)
            .create_change_set()
            .stack_name(stack_id)
            .change_set_name(&new.name)
            .change_set_type(ChangeSetType::Update)
            .set_template_body(stack.template_url.is_none().then(|| stack.template.clone()))
            .set_template_url(stack.template_url.as_ref().map(|entry| entry.url.clone()))
            .set_parameters(Some(parameters(stack)))
            .set_tags(Some(tags(stack)))
            .set_capabilities(Some(capabilities(stack)))
            .rollback_configuration(rollback)
            .client_token(&stack.token);
        self.send(&session, "cloudformation:CreateChangeSet", request.send()).await.map(drop)
    }

    /// Returns a change set with the first page of its changes, or all changes if `reads_all`; `None` if the stack has
    /// no such change set.
    pub async fn change_set(
        &self,
        account: &Target,
        region: Region,
        stack_id: &str,
        name: &str,
        reads_all: bool,
    ) -> Result<Option<ChangeSet>> {
        const CALL: &str = "cloudformation:DescribeChangeSet";
        let session = self.tenant_session(account, Role::Access).await?;
        let (mut token, mut changes) = (None, Vec::new());
        loop {
            let request = client(&session, region)
                .describe_change_set()
                .stack_name(stack_id)
                .change_set_name(name)
                .set_next_token(token);
            let page = match self.send(&session, CALL, request.send()).await {
                Ok(page) => page,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            changes.extend(page.changes.unwrap_or_default().into_iter().filter_map(change_of));
            token = page.next_token.filter(|_| reads_all);
            if token.is_some() {
                continue;
            }
            let reason = page.status_reason.unwrap_or_default();
            let status = page.status.ok_or_else(|| missing_field(CALL, "status"))?;
            let state = state_of(&status, page.execution_status.as_ref(), &reason);
            return Ok(Some(ChangeSet { state, reason, changes }));
        }
    }

    /// Starts the execution of a change set. A repeated call with the same token has no effect.
    pub async fn execute_change_set(
        &self,
        account: &Target,
        region: Region,
        stack_id: &str,
        name: &str,
        token: &str,
    ) -> Result<()> {
        let session = self.tenant_session(account, Role::Access).await?;
        let request = client(&session, region)
            .execute_change_set()
            .stack_name(stack_id)
            .change_set_name(name)
            .client_request_token(token);
        self.send(&session, "cloudformation:ExecuteChangeSet", request.send()).await.map(drop)
    }

    /// Deletes a change set. Succeeds if there is none.
    pub async fn delete_change_set(&self, account: &Target, region: Region, stack_id: &str, name: &str) -> Result<()> {
        let session = self.tenant_session(account, Role::Access).await?;
        let request = client(&session, region).delete_change_set().stack_name(stack_id).change_set_name(name);
        match self.send(&session, "cloudformation:DeleteChangeSet", request.send()).await {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the text of a change set's template, as CloudFormation has read it.
    pub async fn change_set_template(
        &self,
        account: &Target,
        region: Region,
        stack_id: &str,
        name: &str,
    ) -> Result<String> {
        const CALL: &str = "cloudformation:GetTemplate";
        let session = self.tenant_session(account, Role::Access).await?;
        let request = client(&session, region)
            .get_template()
            .stack_name(stack_id)
            .change_set_name(name)
            .template_stage(aws_sdk_cloudformation::types::TemplateStage::Original);
        let response = self.send(&session, CALL, request.send()).await?;
        response.template_body.ok_or_else(|| missing_field(CALL, "template"))
    }
}

/// Returns whether a change set does not exist. The model of AWS calls the code `ChangeSetNotFound`; some clients add
/// `Exception`.
fn is_missing(error: &CloudError) -> bool {
    error.code.trim_end_matches("Exception") == "ChangeSetNotFound"
}

fn state_of(status: &ChangeSetStatus, execution: Option<&ExecutionStatus>, reason: &str) -> ChangeSetState {
    match execution {
        Some(ExecutionStatus::Available) => return ChangeSetState::Available,
        Some(
            ExecutionStatus::ExecuteInProgress | ExecutionStatus::ExecuteComplete | ExecutionStatus::ExecuteFailed,
        ) => {
            return ChangeSetState::Executed;
        }
        Some(ExecutionStatus::Obsolete) => return ChangeSetState::Obsolete,
        _ => {}
    }
    match status {
        ChangeSetStatus::Failed if NO_CHANGES.iter().any(|text| reason.starts_with(text)) => ChangeSetState::NoChanges,
        ChangeSetStatus::Failed => ChangeSetState::Failed,
        ChangeSetStatus::DeleteComplete | ChangeSetStatus::DeletePending | ChangeSetStatus::DeleteInProgress => {
            ChangeSetState::Obsolete
        }
        _ => ChangeSetState::Creating,
    }
}

fn change_of(change: Change) -> Option<ResourceChange> {
    let change = change.resource_change?;
    let details = change.details.unwrap_or_default().into_iter();
    let mut properties: Vec<String> = details.filter_map(|detail| detail.target?.name).collect();
    properties.sort_unstable();
    properties.dedup();
    let replacement = change.replacement.map(|replacement| match replacement {
        Replacement::True => ResourceReplacement::Yes,
        Replacement::False => ResourceReplacement::No,
        _ => ResourceReplacement::Conditional,
    });
    Some(ResourceChange {
        resource: change.logical_resource_id?,
        resource_type: change.resource_type.unwrap_or_default(),
        action: change.action?.as_str().to_owned(),
        replacement,
        properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_set_without_changes_is_not_a_failure() {
        let reason = "The submitted information didn't contain changes. Submit different information to create a \
                      change set.";
        let failed = ChangeSetStatus::Failed;
        let unavailable = Some(&ExecutionStatus::Unavailable);
        assert_eq!(state_of(&failed, unavailable, reason), ChangeSetState::NoChanges);
        assert_eq!(state_of(&failed, unavailable, "Template error"), ChangeSetState::Failed);
    }

    #[test]
    fn every_status_of_a_change_set_is_mapped() {
        use ChangeSetState as S;
        let of = |status: &str, execution: &str| {
            state_of(&ChangeSetStatus::from(status), Some(&ExecutionStatus::from(execution)), "")
        };
        for (status, execution, expected) in [
            ("CREATE_PENDING", "UNAVAILABLE", S::Creating),
            ("CREATE_IN_PROGRESS", "UNAVAILABLE", S::Creating),
            ("CREATE_COMPLETE", "AVAILABLE", S::Available),
            ("CREATE_COMPLETE", "EXECUTE_IN_PROGRESS", S::Executed),
            ("CREATE_COMPLETE", "EXECUTE_COMPLETE", S::Executed),
            ("CREATE_COMPLETE", "EXECUTE_FAILED", S::Executed),
            ("CREATE_COMPLETE", "OBSOLETE", S::Obsolete),
            ("DELETE_COMPLETE", "UNAVAILABLE", S::Obsolete),
            ("FAILED", "UNAVAILABLE", S::Failed),
        ] {
            assert_eq!(of(status, execution), expected, "{status} {execution}");
        }
    }
}
