//! Deployment of a CloudFormation stack into an account.

mod upgrade;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::baseline::{BASELINE_STACK, BASELINE_TAG, BASELINE_VERSION_FACT, BaselineVersion};
use freehold_tenancy::config::{Capability, TemplateUrl};
use freehold_tenancy::environment_stack::{StackKind, StackSlot};
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::release::DeployedRelease;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use serde_json::Value;

use super::account_request;
use super::failure_tables::{FailureAction, stack_failure};
use super::template_comparison::Comparison;
use super::template_faults;
use crate::cloud::{CloudError, CloudErrorKind, ErrorOrigin, NewStack, Role, StackState, StackStatus, Tags};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;
use crate::template::CurrentTemplate;
use crate::{attention_codes, aws_fields};

/// Number of failed creations of a stack after which the operation needs attention.
const MAX_CREATION_ATTEMPTS: u64 = 3;

/// Time for which calls must have been denied before the state of the account is checked, because the account may be
/// closed.
const CHECK_ACTIVE_AFTER: TimeDelta = TimeDelta::minutes(2);

pub(in crate::steps) struct StackDeployment {
    pub kind: StackKind,
    /// Region of the environment that the stack serves.
    pub slot: StackSlot,
    /// Role that deploys the stack.
    pub role: Role,
    pub region: Region,
    pub name: String,
    /// ARN of the stack on record; `None` if there is none.
    pub stack_id: Option<String>,
    pub template: String,
    /// Copy of the template in S3, which AWS reads in place of `template`.
    pub template_url: Option<TemplateUrl>,
    pub capabilities: Vec<Capability>,
    pub parameters: BTreeMap<String, String>,
    pub tags: Tags,
    /// Release that is deployed; `None` for a stack of Freehold itself.
    pub release: Option<DeployedRelease>,
    /// Operator's template, whose faults affect every tenant; `None` for a stack of Freehold itself.
    pub tenant_template: Option<CurrentTemplate>,
    /// Expected duration of the deployment in seconds.
    pub expected_seconds: u64,
}

impl StackDeployment {
    /// Deploys the stack. The step is done when CloudFormation has completed the deployment.
    ///
    /// Facts of the step: `stack_id`, `try`, `update_try`, `asked_at`, `template_fingerprint`, `template_url`,
    /// `template_read`, `release`, `release_parameters`, and each output as `output_…`.
    pub(in crate::steps) async fn run(&self, context: &StepContext) -> StepResult {
        Ok(self.with_stack_change(context, self.deploy(context).await?))
    }

    async fn deploy(&self, context: &StepContext) -> StepResult {
        let Some(stack) = self.find_existing(context).await? else { return self.create(context).await };
        if !matches!(stack.status, StackStatus::Complete | StackStatus::InProgress) {
            return self.handle(context, stack).await;
        }
        let is_new = stack.status_text.starts_with("CREATE_") && context.step_fact::<u64>("update_try").is_none();
        let comparison = self.compare_template(context, &stack.id, is_new).await?;
        match comparison {
            Comparison::Different(outcome) => Ok(*outcome),
            Comparison::Outdated if stack.status == StackStatus::Complete => self.update(context, stack).await,
            _ => Ok(comparison.record(self.handle(context, stack).await?)),
        }
    }

    /// Continues the deployment of an existing stack.
    async fn handle(&self, context: &StepContext, stack: StackState) -> StepResult {
        match stack.status {
            StackStatus::Complete => self.complete(context, stack).await,
            StackStatus::UpdateRolledBack => self.handle_rolled_back_update(context, stack).await,
            StackStatus::InProgress => self.poll_later(context, self.deployment_wait()).await,
            StackStatus::Deleting => self.poll_later(context, self.deletion_wait()).await,
            StackStatus::Deleted => self.create(context).await,
            StackStatus::RolledBack => self.delete_and_retry(context, &stack).await,
            StackStatus::DeleteStuck | StackStatus::UpdateStuck => self.recover_stuck_stack(context, &stack).await,
            StackStatus::Broken => Err(StepError::needs_attention(
                AttentionCode::StackBroken,
                format!(
                    "The stack {} in {} has the state {}, which Freehold cannot repair. Fix or delete the stack, then \
                     retry.",
                    self.name, self.region, stack.status_text
                ),
            )),
        }
    }

    /// Returns the stack that this environment has requested, or `None` if the stack does not exist.
    async fn find_existing(&self, context: &StepContext) -> Result<Option<StackState>, StepError> {
        let earlier = || context.earlier_entries(context.step_name()).find_map(|entry| entry.facts.get("stack_id"));
        let id: Option<String> = context
            .step_fact("stack_id")
            .or_else(|| self.stack_id.clone())
            // A worker of the previous version has created the stack without a row.
            .or_else(|| earlier().and_then(Value::as_str).map(ToOwned::to_owned));
        let is_onboarding = context.operation_kind() == OperationKind::Onboard;
        if id.is_none() && is_onboarding && context.pending_intent::<Value>().is_none() {
            // Without an intent no stack was requested, so there is nothing to search for.
            return Ok(None);
        }
        let account = context.account()?;
        let name = id.as_deref().unwrap_or(&self.name);
        let found = match context.aws().stack(&account, self.role, self.region, name).await {
            Ok(found) => found,
            Err(error) => return Err(self.convert_call_error(context, error).await?),
        };
        match found {
            Some(stack) if !context.belongs_to_environment(&stack.tags) => Err(self.name_taken()),
            found => Ok(found),
        }
    }

    pub(super) fn request(&self, context: &StepContext, attempt: u64) -> NewStack {
        NewStack {
            name: self.name.clone(),
            template: self.template.clone(),
            template_url: self.template_url.clone(),
            capabilities: self.capabilities.clone(),
            parameters: self.parameters.clone(),
            tags: self.tags.clone(),
            // A repeated call of the same attempt has the same token.
            token: format!("{}-{}-{attempt}", context.operation_id(), self.name).replace('_', "-"),
        }
    }

    async fn create(&self, context: &StepContext) -> StepResult {
        let account = context.account()?;
        self.admit(context).await?;
        let attempt: u64 = context.step_fact("try").unwrap_or(0) + 1;
        let stack = self.request(context, attempt);
        context.record_stack_intent(&stack, &self.intended()).await?;
        let id = match context.aws().create_stack(&account, self.role, self.region, &stack).await {
            Ok(id) => id,
            Err(error) if error.kind == CloudErrorKind::Conflict => {
                match context.aws().stack(&account, self.role, self.region, &self.name).await? {
                    Some(found) if context.belongs_to_environment(&found.tags) => {
                        return self.adopt(context, found, attempt).await;
                    }
                    Some(_) => return Err(self.name_taken()),
                    // The stack of this token was deleted. The next attempt needs another token.
                    None => {
                        context.withdraw_stack_intent(&self.intended()).await?;
                        let check_at = context.now() + TimeDelta::seconds(5);
                        let reason = WaitReason::RepeatedRequest(RequestedWork::Stack);
                        return Ok(StepOutcome::wait(reason, check_at).with("try", attempt));
                    }
                }
            }
            Err(error) => {
                if error.had_no_effect() {
                    context.withdraw_stack_intent(&self.intended()).await?;
                }
                return Err(self.convert_rejection(context, error).await?);
            }
        };
        let now = context.now();
        let outcome = match self.compare_template(context, &id, true).await {
            Ok(Comparison::Different(outcome)) => *outcome,
            Ok(comparison) => comparison.record(self.poll_since(context, now, self.deployment_wait()).await?),
            // The next run repeats the comparison.
            Err(_) => self.poll_since(context, now, self.deployment_wait()).await?,
        };
        let outcome = outcome.with("stack_id", id).with("try", attempt).with("asked_at", now.to_rfc3339());
        Ok(self.with_fingerprint(outcome))
    }

    /// Adopts an existing stack of this environment and updates it to the current template and parameters.
    async fn adopt(&self, context: &StepContext, found: StackState, attempt: u64) -> StepResult {
        if matches!(found.status, StackStatus::Complete | StackStatus::UpdateRolledBack) {
            return Ok(self.update(context, found).await?.with("try", attempt));
        }
        let now = context.now();
        let outcome = self.poll_since(context, now, self.deployment_wait()).await?;
        Ok(outcome.with("stack_id", found.id).with("try", attempt).with("asked_at", now.to_rfc3339()))
    }

    /// Parks the operation if CloudFormation could not delete or roll back the stack. After a manual retry, continues
    /// the rollback or repeats the deletion. A repeated deletion retains resources that cannot be deleted.
    async fn recover_stuck_stack(&self, context: &StepContext, stack: &StackState) -> StepResult {
        let account = context.account()?;
        let retried = context.step_fact::<String>("stuck").as_ref() == Some(&stack.status_text);
        let deleting = stack.status == StackStatus::DeleteStuck;
        if retried {
            let now = context.now();
            let reason = if deleting {
                context.aws().force_delete_stack(&account, self.role, self.region, &stack.id).await?;
                self.deletion_wait()
            } else {
                context.aws().continue_rollback(&account, self.role, self.region, &stack.id).await?;
                WaitReason::StackRollback { stack: self.name.clone() }
            };
            let outcome = self.poll_since(context, now, reason).await?;
            // After the rollback, the stack is updated again without another retry.
            let outcome = outcome.with("stuck", Value::Null).with("failed_update", now.to_rfc3339());
            return Ok(outcome.with("asked_at", now.to_rfc3339()));
        }
        let reason = stack.reason.as_deref().unwrap_or("CloudFormation gave no reason");
        let error = if deleting {
            StepError::needs_attention(
                AttentionCode::StackNotDeleted,
                format!(
                    "The stack {} in {} could not be deleted: {reason} Fix the cause, then retry; resources that \
                     still cannot be deleted are then retained.",
                    self.name, self.region
                ),
            )
        } else {
            StepError::needs_attention(
                AttentionCode::StackUpdateStuck,
                format!(
                    "An update of the stack {} in {} failed and could not be rolled back: {reason} Fix the cause, then \
                     retry.",
                    self.name, self.region
                ),
            )
        };
        Ok(StepOutcome::failed(error).with("stack_id", stack.id.clone()).with("stuck", stack.status_text.clone()))
    }

    /// Deletes a stack whose creation was rolled back, so that the next run creates it again.
    async fn delete_and_retry(&self, context: &StepContext, stack: &StackState) -> StepResult {
        let account = context.account()?;
        let failure = context.aws().stack_failure(&account, self.role, self.region, &stack.id).await?;
        let reason = failure.map_or_else(
            || stack.reason.clone().unwrap_or_else(|| stack.status_text.clone()),
            |failure| format!("{}: {}", failure.resource, failure.reason),
        );
        context.aws().delete_stack(&account, self.role, self.region, &stack.id).await?;
        let attempt: u64 = context.step_fact("try").unwrap_or(1);
        let is_new =
            context.now() < context.deadline(context.entry_started_at(), context.config().timeouts.propagation_seconds);
        let mut uncounted: u64 = context.step_fact("tries_not_counted").unwrap_or(0);
        if let Some(fault) = template_faults::of_resource(&reason)
            && let Some(held) = self.hold(context, &fault).await?
        {
            // The corrected template has all its attempts.
            let outcome = StepOutcome::failed(held).with("stack_id", stack.id.clone()).with("try", attempt);
            return Ok(outcome.with("tries_not_counted", uncounted + 1));
        }
        let error = match stack_failure(&reason) {
            FailureAction::NeedsAttention { code, message } => Some(StepError::needs_attention(
                code,
                format!(
                    "The stack {} in {} failed with {reason}. {message} Then retry; a retry reads the template again.",
                    self.name, self.region
                ),
            )),
            FailureAction::RetryWhileNew if is_new => {
                uncounted += 1;
                None
            }
            FailureAction::RetryWhileNew | FailureAction::Retry
                if attempt - uncounted.min(attempt) < MAX_CREATION_ATTEMPTS =>
            {
                None
            }
            FailureAction::RetryWhileNew | FailureAction::Retry => Some(StepError::needs_attention(
                AttentionCode::StackFailed,
                format!(
                    "The stack {} in {} failed {attempt} times, most recently with {reason}. Fix the cause or \
                     correct the template, then retry; a retry reads the template again.",
                    self.name, self.region
                ),
            )),
        };
        if let Some(error) = error {
            return Ok(StepOutcome::failed(error).with("stack_id", stack.id.clone()).with("try", attempt));
        }
        let now = context.now();
        let outcome = self.poll_since(context, now, self.deletion_wait()).await?;
        // CloudFormation finds a deleted stack only by its id.
        let outcome = outcome.with("stack_id", stack.id.clone()).with("try", attempt);
        let outcome = outcome.with("asked_at", now.to_rfc3339()).with("last_failure", reason);
        Ok(outcome.with("tries_not_counted", uncounted))
    }

    pub(super) fn completed_outcome(&self, context: &StepContext, stack: StackState) -> StepOutcome {
        let mut outcome = StepOutcome::done()
            .with("took_seconds", context.estimated_duration_seconds(requested_at(context)))
            .with("stack_id", stack.id)
            .with("region", self.region.as_str());
        if self.name == BASELINE_STACK {
            let version = BaselineVersion::from_tag(stack.tags.get(BASELINE_TAG).map(String::as_str));
            outcome = outcome.with(BASELINE_VERSION_FACT, version.to_string());
        }
        for (output, value) in stack.outputs {
            outcome = outcome.with(&format!("output_{output}"), value);
        }
        outcome
    }

    pub(super) fn deployment_wait(&self) -> WaitReason {
        WaitReason::StackDeployment { stack: self.name.clone() }
    }

    fn deletion_wait(&self) -> WaitReason {
        WaitReason::StackDeletion { stack: self.name.clone() }
    }

    pub(super) async fn poll_later(&self, context: &StepContext, reason: WaitReason) -> StepResult {
        self.poll_since(context, requested_at(context), reason).await
    }

    pub(super) async fn poll_since(
        &self,
        context: &StepContext,
        since: DateTime<Utc>,
        reason: WaitReason,
    ) -> StepResult {
        context.poll_later(reason, since, self.expected_seconds, context.config().timeouts.stack_seconds).await
    }

    /// Converts an error of CloudFormation. After a denied call the step waits, because calls with a new account, role
    /// or region are denied for some time.
    pub(super) async fn convert_call_error(
        &self,
        context: &StepContext,
        error: CloudError,
    ) -> Result<StepError, StepError> {
        let is_denied = matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. });
        if is_denied && context.now() - context.entry_started_at() > CHECK_ACTIVE_AFTER {
            account_request::check_active(context).await?;
        }
        Ok(match error.kind {
            CloudErrorKind::NotYet | CloudErrorKind::Denied { explicit_deny: false } => StepError::Blocked {
                reason: WaitReason::CloudFormationUsable { region: self.region, error: error.to_string() },
                until: None,
                at_most: Some(context.propagation_time()),
            },
            CloudErrorKind::Failed
                if error.origin == ErrorOrigin::Aws && attention_codes::for_error(&error).is_none() =>
            {
                let object = aws_fields::refused_object(&error).map(|object| format!(" AWS refuses {object}."));
                let message = format!(
                    "CloudFormation rejects the stack {} in {} with the values of this environment.{} Correct the \
                     template or the values, then retry; a retry reads the template again. {error}",
                    self.name,
                    self.region,
                    object.unwrap_or_default()
                );
                StepError::needs_attention(AttentionCode::StackRejected, message).caused_by(&error)
            }
            _ => error.into(),
        })
    }

    fn name_taken(&self) -> StepError {
        StepError::needs_attention(
            AttentionCode::StackNameTaken,
            format!(
                "Region {} has a stack {} that does not belong to this environment. Delete that stack, then retry.",
                self.region, self.name
            ),
        )
    }
}

/// Returns the time of the request, or that of the intent if the response was lost.
fn requested_at(context: &StepContext) -> DateTime<Utc> {
    last_request_at(context).unwrap_or_else(|| context.now())
}

/// Returns the time of this operation's last request for the stack, or `None` if it has made none.
pub(super) fn last_request_at(context: &StepContext) -> Option<DateTime<Utc>> {
    let pending_intent = || context.pending_intent::<Value>().map(|(_, at)| at);
    context.step_fact("asked_at").or_else(pending_intent)
}
