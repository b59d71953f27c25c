//! CloudFormation calls inside a tenant's account.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{
    Capability, DeletionMode, OnFailure, Parameter, ResourceStatus, Stack, StackEvent, Tag,
};
use freehold_tenancy::Region;
use freehold_tenancy::config;

use super::call::missing_field;
use super::sts::Session;
use super::{Aws, to_chrono};
use crate::cloud::{CloudErrorKind, NewStack, Result, Role, StackFailure, StackState, StackStatus, Target};

pub(super) fn client(session: &Session, region: Region) -> Client {
    session.client(region.as_str(), Client::new)
}

impl Aws {
    /// Returns a stack by name or id, or `None` if there is none. A deleted stack is only found by its id.
    pub async fn stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<Option<StackState>> {
        const CALL: &str = "cloudformation:DescribeStacks";
        let session = self.tenant_session(account, role).await?;
        let request = client(&session, region).describe_stacks().stack_name(name);
        match self.send(&session, CALL, request.send()).await {
            Ok(response) => Ok(response.stacks.unwrap_or_default().into_iter().next().and_then(state_of)),
            // CloudFormation has no error code of its own for a missing stack.
            Err(error) if error.code == "ValidationError" && error.message.contains("does not exist") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts the creation of a stack. Returns its id.
    pub async fn create_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<String> {
        const CALL: &str = "cloudformation:CreateStack";
        let session = self.tenant_session(account, role).await?;
        let request = client(&session, region)
            .create_stack()
            .stack_name(&stack.name)
            .set_template_body(stack.template_url.is_none().then(|| stack.template.clone()))
            .set_template_url(stack.template_url.as_ref().map(|entry| entry.url.clone()))
            .set_parameters(Some(parameters(stack)))
            .set_tags(Some(tags(stack)))
            .set_capabilities(Some(capabilities(stack)))
            .on_failure(OnFailure::Rollback)
            .client_request_token(&stack.token);
        self.send(&session, CALL, request.send()).await?.stack_id.ok_or_else(|| missing_field(CALL, "stack id"))
    }

    /// Starts an update of a stack. Returns false if there is nothing to update. Fails with a conflict if an earlier
    /// update with the same token has finished.
    pub async fn update_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<bool> {
        let session = self.tenant_session(account, role).await?;
        let request = client(&session, region)
            .update_stack()
            .stack_name(&stack.name)
            .set_template_body(stack.template_url.is_none().then(|| stack.template.clone()))
            .set_template_url(stack.template_url.as_ref().map(|entry| entry.url.clone()))
            .set_parameters(Some(parameters(stack)))
            .set_tags(Some(tags(stack)))
            .set_capabilities(Some(capabilities(stack)))
            .client_request_token(&stack.token);
        match self.send(&session, "cloudformation:UpdateStack", request.send()).await {
            Ok(_) => Ok(true),
            // AWS reports "No updates are to be performed." if template and parameters are unchanged.
            Err(error) if error.kind == CloudErrorKind::Conflict && error.code != "TokenAlreadyExistsException" => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts an update of one parameter of a stack; template and other parameters stay as they are. Returns false if
    /// there is nothing to update. `capabilities` must contain those that the template needs.
    pub async fn set_stack_parameter(
        &self,
        account: &Target,
        region: Region,
        stack: &StackState,
        (name, value): (&str, &str),
        capabilities: &[config::Capability],
    ) -> Result<bool> {
        let session = self.tenant_session(account, Role::Access).await?;
        let kept = |key: &String| Parameter::builder().parameter_key(key).use_previous_value(true).build();
        let parameters = stack.parameters.keys().filter(|key| *key != name).map(kept);
        let changed = Parameter::builder().parameter_key(name).parameter_value(value).build();
        let request = client(&session, region)
            .update_stack()
            .stack_name(&stack.id)
            .use_previous_template(true)
            .set_parameters(Some(parameters.chain([changed]).collect()))
            .set_capabilities(Some(capabilities.iter().map(|one| Capability::from(one.as_str())).collect()));
        match self.send(&session, "cloudformation:UpdateStack", request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == CloudErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Continues the rollback of a failed update.
    pub async fn continue_rollback(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()> {
        let session = self.tenant_session(account, role).await?;
        let request = client(&session, region).continue_update_rollback().stack_name(name);
        self.send(&session, "cloudformation:ContinueUpdateRollback", request.send()).await.map(drop)
    }

    /// Removes the termination protection of a stack.
    pub async fn remove_termination_protection(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        name: &str,
    ) -> Result<()> {
        let session = self.tenant_session(account, role).await?;
        let request = client(&session, region)
            .update_termination_protection()
            .stack_name(name)
            .enable_termination_protection(false);
        self.send(&session, "cloudformation:UpdateTerminationProtection", request.send()).await.map(drop)
    }

    /// Starts the deletion of a stack whose deletion failed before. Resources that cannot be deleted are retained.
    pub async fn force_delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()> {
        let session = self.tenant_session(account, role).await?;
        let request =
            client(&session, region).delete_stack().stack_name(name).deletion_mode(DeletionMode::ForceDeleteStack);
        self.send(&session, "cloudformation:DeleteStack", request.send()).await.map(drop)
    }

    /// Starts the deletion of a stack. Succeeds if the stack does not exist.
    pub async fn delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()> {
        let session = self.tenant_session(account, role).await?;
        let request = client(&session, region).delete_stack().stack_name(name);
        // CloudFormation reports success if the stack does not exist.
        self.send(&session, "cloudformation:DeleteStack", request.send()).await.map(drop)
    }

    /// Returns the first failure in the last creation or update of a stack, or `None` if nothing failed.
    pub async fn stack_failure(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<Option<StackFailure>> {
        Ok(first_failure(self.stack_events(account, role, region, stack_id).await?))
    }

    /// Returns the first failure of the rolled-back update that was requested with `token`, or `None` if
    /// CloudFormation has not received this request.
    pub async fn update_failure(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
        token: &str,
    ) -> Result<Option<StackFailure>> {
        let mut events = self.stack_events(account, role, region, stack_id).await?;
        events.retain(|event| event.client_request_token.as_deref() == Some(token));
        if events.is_empty() {
            return Ok(None);
        }
        let unknown = || StackFailure {
            resource: "The update".to_owned(),
            reason: "CloudFormation gave no reason, for example because a person has cancelled it.".to_owned(),
        };
        Ok(Some(first_failure(events).unwrap_or_else(unknown)))
    }

    /// Returns whether CloudFormation has started the operation of a stack that was requested with `token`.
    pub async fn has_started(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
        token: &str,
    ) -> Result<bool> {
        let events = self.stack_events(account, role, region, stack_id).await?;
        Ok(events.iter().any(|event| event.client_request_token.as_deref() == Some(token)))
    }

    /// Returns the reason of the latest event of a stack, or `None` if the event has none.
    pub async fn latest_stack_reason(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<Option<String>> {
        let events = self.stack_events(account, role, region, stack_id).await?;
        Ok(events.into_iter().next().and_then(|event| event.resource_status_reason))
    }

    /// Returns all events of a stack, latest first.
    async fn stack_events(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<Vec<StackEvent>> {
        const CALL: &str = "cloudformation:DescribeStackEvents";
        let session = self.tenant_session(account, role).await?;
        let mut events = Vec::new();
        let mut token = None;
        loop {
            let request = client(&session, region).describe_stack_events().stack_name(stack_id).set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            events.extend(page.stack_events.unwrap_or_default());
            token = page.next_token;
            if token.is_none() {
                return Ok(events);
            }
        }
    }

    /// Makes a read call in a region with the role `freehold-verify`. Fails with [`CloudErrorKind::Denied`] if the
    /// role or a policy does not allow the call.
    pub async fn read_in_region(&self, account: &Target, region: Region) -> Result<()> {
        let session = self.tenant_session(account, Role::Verify).await?;
        // Freehold's verify role has no permission for other regional reads (stacks/baseline.yaml). One page is
        // sufficient.
        self.send(&session, "cloudformation:ListStacks", client(&session, region).list_stacks().send()).await.map(drop)
    }
}

pub(super) fn parameters(stack: &NewStack) -> Vec<Parameter> {
    let parameter = |(key, value)| Parameter::builder().parameter_key(key).parameter_value(value).build();
    stack.parameters.iter().map(parameter).collect()
}

pub(super) fn capabilities(stack: &NewStack) -> Vec<Capability> {
    stack.capabilities.iter().map(|capability| Capability::from(capability.as_str())).collect()
}

pub(super) fn tags(stack: &NewStack) -> Vec<Tag> {
    stack.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Returns the earliest failure of a resource, or of the stack if no resource failed, or the reason why CloudFormation
/// has rolled the stack back, such as an alarm. `events` starts with the latest event. Failures before the last
/// creation or update are ignored.
fn first_failure(events: Vec<StackEvent>) -> Option<StackFailure> {
    let count = events.iter().position(is_start).unwrap_or(events.len());
    let (mut failures, others): (Vec<StackEvent>, Vec<_>) = events.into_iter().take(count).partition(is_failure);
    failures.reverse();
    if failures.is_empty() {
        failures.extend(others.into_iter().rfind(is_rollback));
    }
    let of_resource = failures.iter().position(|event| event.physical_resource_id != event.stack_id).unwrap_or(0);
    let event = (of_resource < failures.len()).then(|| failures.swap_remove(of_resource))?;
    Some(StackFailure {
        resource: event.logical_resource_id.unwrap_or_default(),
        reason: event.resource_status_reason.unwrap_or_default(),
    })
}

/// Returns whether an event is the start of a creation or update of the stack itself.
fn is_start(event: &StackEvent) -> bool {
    let is_stack = event.physical_resource_id == event.stack_id;
    let status = event.resource_status.as_ref().map(ResourceStatus::as_str);
    is_stack && matches!(status, Some("CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS"))
}

/// Returns whether an event is the start of a rollback of the stack itself, for another reason than the request of a
/// person.
fn is_rollback(event: &StackEvent) -> bool {
    let is_stack = event.physical_resource_id == event.stack_id;
    let status = event.resource_status.as_ref().map(ResourceStatus::as_str);
    let reason = event.resource_status_reason.as_deref().unwrap_or_default();
    is_stack
        && matches!(status, Some("ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_IN_PROGRESS"))
        && !["", "User Initiated"].contains(&reason)
}

/// Returns whether a resource itself failed. A resource can also be cancelled because a different resource failed.
fn is_failure(event: &StackEvent) -> bool {
    let failed = event.resource_status.as_ref().is_some_and(|status| status.as_str().ends_with("_FAILED"));
    let reason = event.resource_status_reason.as_deref().unwrap_or_default();
    let is_canceled =
        ["Resource creation cancelled", "Resource update cancelled"].iter().any(|by| reason.starts_with(by));
    failed && !is_canceled
}

fn state_of(stack: Stack) -> Option<StackState> {
    let status_text = stack.stack_status.as_ref()?.as_str().to_owned();
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    let tags = stack.tags.unwrap_or_default().into_iter();
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    Some(StackState {
        id: stack.stack_id?,
        status: status(&status_text),
        status_text,
        reason: stack.stack_status_reason,
        outputs: outputs.filter_map(|output| output.output_key.zip(output.output_value)).collect(),
        tags: tags.filter_map(|tag| tag.key.zip(tag.value)).collect(),
        parameters: parameters.filter_map(|one| one.parameter_key.zip(one.parameter_value)).collect(),
        updated_at: stack.last_updated_time.as_ref().and_then(to_chrono),
    })
}

fn status(text: &str) -> StackStatus {
    match text {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => StackStatus::Complete,
        // A rolled-back update or import leaves the previous version in place, but it has not succeeded.
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => StackStatus::UpdateRolledBack,
        // These stacks have never been complete, so no data is lost when they are deleted.
        "ROLLBACK_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_FAILED" => StackStatus::RolledBack,
        "UPDATE_ROLLBACK_FAILED" => StackStatus::UpdateStuck,
        "DELETE_FAILED" => StackStatus::DeleteStuck,
        "DELETE_IN_PROGRESS" => StackStatus::Deleting,
        "DELETE_COMPLETE" => StackStatus::Deleted,
        // A change set was created manually and not executed.
        "REVIEW_IN_PROGRESS" => StackStatus::Broken,
        working if working.ends_with("_IN_PROGRESS") => StackStatus::InProgress,
        _ => StackStatus::Broken,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::StackStatus as AwsStatus;

    use super::*;

    #[test]
    fn every_status_of_cloudformation_is_mapped() {
        for text in AwsStatus::values().iter().filter(|text| text.ends_with("_COMPLETE")) {
            assert_ne!(status(text), StackStatus::InProgress, "{text} would be polled forever");
        }
        for (text, expected) in [
            ("CREATE_IN_PROGRESS", StackStatus::InProgress),
            ("ROLLBACK_IN_PROGRESS", StackStatus::InProgress),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", StackStatus::InProgress),
            ("CREATE_COMPLETE", StackStatus::Complete),
            ("UPDATE_ROLLBACK_COMPLETE", StackStatus::UpdateRolledBack),
            ("ROLLBACK_COMPLETE", StackStatus::RolledBack),
            ("ROLLBACK_FAILED", StackStatus::RolledBack),
            ("DELETE_IN_PROGRESS", StackStatus::Deleting),
            ("DELETE_COMPLETE", StackStatus::Deleted),
            ("DELETE_FAILED", StackStatus::DeleteStuck),
            ("UPDATE_ROLLBACK_FAILED", StackStatus::UpdateStuck),
            ("FUTURE_STATUS", StackStatus::Broken),
        ] {
            assert_eq!(status(text), expected, "{text}");
        }
    }

    fn event(resource: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent::builder()
            .stack_id("stack-id")
            .logical_resource_id(resource)
            .physical_resource_id(if resource == "the-stack" { "stack-id" } else { resource })
            .resource_status(ResourceStatus::from(status))
            .resource_status_reason(reason)
            .build()
    }

    #[test]
    fn the_first_resource_that_failed_by_itself_is_reported() {
        let latest_first = vec![
            event("the-stack", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Function]."),
            event("Logs", "CREATE_FAILED", "Resource creation cancelled"),
            event("Url", "CREATE_FAILED", "The function is gone"),
            event("Function", "CREATE_FAILED", "explicit deny in a service control policy"),
            event("Role", "CREATE_COMPLETE", ""),
            event("the-stack", "CREATE_IN_PROGRESS", "User Initiated"),
        ];
        let failure = first_failure(latest_first).unwrap();
        assert_eq!(failure.resource, "Function");
        assert!(failure.reason.contains("explicit deny"));
    }

    #[test]
    fn a_failure_of_an_earlier_update_is_ignored() {
        let latest_first = vec![
            event("the-stack", "UPDATE_ROLLBACK_COMPLETE", ""),
            event("Url", "UPDATE_FAILED", "Resource update cancelled"),
            event("Function", "UPDATE_FAILED", "the runtime is unknown"),
            event("the-stack", "UPDATE_IN_PROGRESS", "User Initiated"),
            event("the-stack", "UPDATE_ROLLBACK_COMPLETE", ""),
            event("Logs", "UPDATE_FAILED", "the log group is in use"),
            event("the-stack", "UPDATE_IN_PROGRESS", "User Initiated"),
        ];
        assert_eq!(first_failure(latest_first).unwrap().resource, "Function");
    }

    #[test]
    fn a_stack_without_a_failed_resource_reports_its_own_reason() {
        let failure = first_failure(vec![event("the-stack", "CREATE_FAILED", "no permission")]).unwrap();
        assert_eq!(failure.reason, "no permission");
        assert_eq!(first_failure(vec![event("the-stack", "CREATE_COMPLETE", "")]), None);
    }
}
