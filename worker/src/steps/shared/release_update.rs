//! Update of one tenant stack to a release, through a change set. CloudFormation restores the release before if the
//! update fails.
//!
//! Each run reads the state in AWS and goes one step further: create the change set, wait for it, execute it, follow
//! the stack. Facts of the step: `try`, `change_set`, `updated_before`, `executed_at`, `stuck`.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::environment_stack::{
    EnvironmentStack, IntendedStack, StackChange, StackKind, StackProgress, StackSlot,
};
use freehold_tenancy::release::DeployedRelease;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use serde_json::Value;

use super::change_set::{self, ReleaseTarget};
use crate::attention_codes;
use crate::cloud::{
    ChangeSet, ChangeSetState, CloudError, CloudErrorKind, ErrorOrigin, ResourceChange, Role, StackState, StackStatus,
    Target,
};
use crate::context::StepContext;
use crate::poll_schedule::PolledWork;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;

/// Number of change sets after which the update fails, because other changes make each of them useless.
const MAX_CHANGE_SETS: u64 = 5;

/// Pause after an answer that does not agree with an earlier one.
const SHORT_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Expected duration of the creation of a change set in seconds.
const CHANGE_SET_SECONDS: u64 = 3;

/// Update of the stack of one region.
struct ReleaseUpdate<'a> {
    context: &'a StepContext,
    account: Target,
    stack: EnvironmentStack,
    stack_id: String,
    target: ReleaseTarget,
}

/// Updates the tenant stack of `slot` to the release of the operation.
pub(in crate::steps) async fn run(context: &StepContext, slot: StackSlot) -> StepResult {
    let (stack, target) = change_set::target_of(context, slot).await?;
    let Some(stack_id) = stack.id.clone() else { return Err(no_stack(&stack)) };
    let update = ReleaseUpdate { context, account: context.account()?, stack, stack_id, target };
    update.go_on().await
}

impl ReleaseUpdate<'_> {
    async fn go_on(&self) -> StepResult {
        if self.context.step_fact::<DateTime<Utc>>("executed_at").is_some() {
            return self.follow().await;
        }
        match self.change_set_name() {
            Some(name) => self.use_change_set(&name).await,
            None => self.create().await,
        }
    }

    fn change_set_name(&self) -> Option<String> {
        self.context.step_fact("change_set")
    }

    /// Creates the next change set, unless another change of the stack is in progress.
    async fn create(&self) -> StepResult {
        let stack = self.find_stack().await?;
        match stack.status {
            StackStatus::Complete | StackStatus::UpdateRolledBack => {}
            StackStatus::InProgress => return self.wait_for_stack(self.context.entry_started_at()).await,
            StackStatus::UpdateStuck => return self.continue_rollback(&stack).await,
            _ => return Err(broken(&self.stack, &stack)),
        }
        let attempt: u64 = self.context.step_fact("try").unwrap_or(0) + 1;
        if attempt > MAX_CHANGE_SETS {
            let message = format!(
                "Other changes of the stack {} in {} have made {MAX_CHANGE_SETS} change sets useless. Stop the other \
                 changes, then request the update again.",
                self.stack.name, self.stack.region
            );
            return Err(failed(AttentionCode::StackFailed, message));
        }
        let region = self.stack.region;
        let name = ReleaseTarget::change_set_name(self.context, region, attempt);
        let new = self.target.new_change_set(&stack, name.clone());
        match self.context.aws().create_change_set(&self.account, region, &self.stack_id, &new).await {
            Ok(()) => {}
            // The answer to an earlier call was lost.
            Err(error) if error.code.trim_end_matches("Exception") == "AlreadyExists" => {}
            Err(error) if is_busy(&error) => return self.wait_for_stack(self.context.entry_started_at()).await,
            Err(error) => return Err(self.rejected(error)),
        }
        let now = self.context.now();
        let outcome = self.wait_for_change_set(now).await?;
        let updated_before = stack.updated_at.map_or(Value::Null, |at| at.to_rfc3339().into());
        Ok(outcome
            .with("try", attempt)
            .with("change_set", name)
            .with("requested_at", now.to_rfc3339())
            .with("updated_before", updated_before))
    }

    /// Executes the change set once it is complete.
    async fn use_change_set(&self, name: &str) -> StepResult {
        let (context, region) = (self.context, self.stack.region);
        // Only a legal hold needs all changes.
        let is_held = context.is_on_legal_hold().await?;
        let found = context.aws().change_set(&self.account, region, &self.stack_id, name, is_held).await?;
        let requested_at = context.step_fact("requested_at").unwrap_or_else(|| context.entry_started_at());
        let Some(found) = found else { return self.next_change_set().await };
        match found.state {
            ChangeSetState::Creating => self.wait_for_change_set(requested_at).await,
            ChangeSetState::NoChanges => {
                context.aws().delete_change_set(&self.account, region, &self.stack_id, name).await?;
                Ok(self.completed(self.stack_id.clone(), self.stack.outputs.clone()))
            }
            ChangeSetState::Available => {
                if is_held && let Some(change) = found.changes.iter().find(|change| change.may_delete()) {
                    context.aws().delete_change_set(&self.account, region, &self.stack_id, name).await?;
                    return Err(self.held(change));
                }
                let work = PolledWork::ChangeSet;
                let took = context.likely_duration_seconds(work, requested_at, CHANGE_SET_SECONDS).await;
                self.compare_template(name).await?;
                Ok(self.execute(name).await?.with(work.duration_fact(), took))
            }
            ChangeSetState::Executed => self.executed(requested_at).await,
            ChangeSetState::Obsolete => self.next_change_set().await,
            ChangeSetState::Failed => {
                context.aws().delete_change_set(&self.account, region, &self.stack_id, name).await?;
                Err(self.no_change_set(&found))
            }
        }
    }

    /// Compares a template that CloudFormation has read from S3 with the hash of the release.
    async fn compare_template(&self, name: &str) -> Result<(), StepError> {
        let Some(entry) = &self.target.template_url else { return Ok(()) };
        let (context, region) = (self.context, self.stack.region);
        let text = context.aws().change_set_template(&self.account, region, &self.stack_id, name).await?;
        if entry.has_content(&text) {
            return Ok(());
        }
        context.aws().delete_change_set(&self.account, region, &self.stack_id, name).await?;
        let message = format!(
            "CloudFormation has read a template from {} whose SHA-256 is not that of the release {}. The stack {} in \
             {region} is unchanged. Find out who has changed the object, then register another release.",
            entry.url,
            self.target.release().id,
            self.stack.name
        );
        Err(failed(AttentionCode::ReleaseChanged, message))
    }

    async fn execute(&self, name: &str) -> StepResult {
        let (context, region) = (self.context, self.stack.region);
        let intended =
            IntendedStack { kind: StackKind::Tenant, slot: self.stack.slot, region, name: self.stack.name.clone() };
        context.record_stack_intent(&name, &intended).await?;
        match context.aws().execute_change_set(&self.account, region, &self.stack_id, name, name).await {
            Ok(()) => self.executed(context.now()).await,
            // The next run reads the state of the change set again.
            Err(error) if error.code.starts_with("InvalidChangeSetStatus") => Ok(self.look_again()),
            Err(error) if error.code.starts_with("ChangeSetNotFound") => self.next_change_set().await,
            Err(error) if is_busy(&error) => self.wait_for_stack(context.entry_started_at()).await,
            Err(error) => Err(self.rejected(error)),
        }
    }

    async fn executed(&self, at: DateTime<Utc>) -> StepResult {
        Ok(self.wait_for_stack(at).await?.with("executed_at", at.to_rfc3339()))
    }

    /// Starts again with another change set, unless CloudFormation has executed the last one. It deletes all change
    /// sets of a stack except the executed one, so only the events show whether that was the one of this step.
    async fn next_change_set(&self) -> StepResult {
        let intended = self.context.pending_intent::<String>();
        if let Some((name, at)) = intended.filter(|(intent, _)| Some(intent) == self.change_set_name().as_ref()) {
            let region = self.stack.region;
            if self.context.aws().has_started(&self.account, Role::Access, region, &self.stack_id, &name).await? {
                return self.executed(at).await;
            }
        }
        Ok(self.look_again().with("change_set", Value::Null))
    }

    /// Follows the stack after the execution of the change set.
    async fn follow(&self) -> StepResult {
        let since = self.context.step_fact("executed_at").unwrap_or_else(|| self.context.now());
        let stack = self.find_stack().await?;
        match stack.status {
            StackStatus::InProgress => self.wait_for_stack(since).await,
            // A read can show the stack as it was before the call.
            StackStatus::Complete | StackStatus::UpdateRolledBack if !self.is_updated(&stack) => {
                self.wait_for_stack(since).await
            }
            StackStatus::Complete => {
                let (work, expected) = (PolledWork::ReleaseUpdate, self.expected_seconds());
                let took = self.context.likely_duration_seconds(work, since, expected).await;
                Ok(self.completed(stack.id, stack.outputs).with(work.duration_fact(), took))
            }
            StackStatus::UpdateRolledBack => Err(self.rolled_back(&stack).await?),
            StackStatus::UpdateStuck => self.continue_rollback(&stack).await,
            _ => Err(broken(&self.stack, &stack)),
        }
    }

    /// Returns whether the stack was updated after the change set was created.
    fn is_updated(&self, stack: &StackState) -> bool {
        stack.updated_at != self.context.step_fact::<DateTime<Utc>>("updated_before")
    }

    /// Returns the stack. It must belong to this environment.
    async fn find_stack(&self) -> Result<StackState, StepError> {
        let region = self.stack.region;
        let found = self.context.aws().stack(&self.account, Role::Access, region, &self.stack_id).await?;
        found.filter(|stack| self.context.belongs_to_environment(&stack.tags)).ok_or_else(|| no_stack(&self.stack))
    }

    fn completed(&self, id: String, outputs: BTreeMap<String, String>) -> StepOutcome {
        let release = DeployedRelease { id: self.target.release().id, parameters: self.target.parameters.clone() };
        let change = StackChange {
            kind: StackKind::Tenant,
            slot: self.stack.slot,
            region: self.stack.region,
            name: self.stack.name.clone(),
            progress: StackProgress::Completed { id: id.clone(), outputs },
            release: Some(release),
        };
        StepOutcome { stack: Some(change), ..StepOutcome::done() }.with("stack_id", id)
    }

    /// Returns the configured duration of an update of the stack in seconds.
    fn expected_seconds(&self) -> u64 {
        self.context.config().expected_durations.tenant_stack_seconds
    }

    async fn wait_for_change_set(&self, since: DateTime<Utc>) -> StepResult {
        let reason = WaitReason::ChangeSet { stack: self.stack.name.clone() };
        let limit = self.context.config().timeouts.stack_seconds;
        let polled = self.context.poll_work_later(PolledWork::ChangeSet, reason, since, CHANGE_SET_SECONDS, limit);
        self.until_deadline(polled.await?)
    }

    async fn wait_for_stack(&self, since: DateTime<Utc>) -> StepResult {
        let reason = WaitReason::StackUpdate { stack: self.stack.name.clone() };
        let (expected, limit) = (self.expected_seconds(), self.context.config().timeouts.stack_seconds);
        let polled = self.context.poll_work_later(PolledWork::ReleaseUpdate, reason, since, expected, limit);
        self.until_deadline(polled.await?)
    }

    /// Ends the update as failed after its deadline, so that a rollout does not wait for it.
    fn until_deadline(&self, outcome: StepOutcome) -> StepResult {
        let Some(late) = outcome.late else { return Ok(outcome) };
        let message = format!(
            "{} The environment keeps its release until CloudFormation has finished. Look at the stack {} in {}, then \
             request the update again.",
            late.message, self.stack.name, self.stack.region
        );
        Err(failed(AttentionCode::DeadlinePassed, message))
    }

    fn look_again(&self) -> StepOutcome {
        let reason = WaitReason::RepeatedRequest(RequestedWork::Stack);
        StepOutcome::wait(reason, self.context.now() + SHORT_PAUSE)
    }

    /// Parks the operation if CloudFormation could not restore the stack. A manual retry continues the rollback.
    async fn continue_rollback(&self, stack: &StackState) -> StepResult {
        let (context, region) = (self.context, self.stack.region);
        if context.step_fact::<bool>("stuck").unwrap_or(false) {
            context.aws().continue_rollback(&self.account, Role::Access, region, &stack.id).await?;
            let now = context.now();
            let outcome = self.wait_for_stack(now).await?;
            return Ok(outcome.with("stuck", false).with("executed_at", now.to_rfc3339()));
        }
        let reason = stack.reason.as_deref().unwrap_or("CloudFormation gave no reason.");
        let message = format!(
            "The update of the stack {} in {region} failed and could not be rolled back: {reason} Fix the cause, then \
             retry.",
            self.stack.name
        );
        let error = StepError::needs_attention(AttentionCode::StackUpdateStuck, message);
        Ok(StepOutcome::failed(error).with("stuck", true))
    }

    /// Returns the error of an update that CloudFormation has rolled back, with the first failed resource.
    async fn rolled_back(&self, stack: &StackState) -> Result<StepError, StepError> {
        let region = self.stack.region;
        let failure = self.context.aws().stack_failure(&self.account, Role::Access, region, &stack.id).await?;
        let reason = failure.map_or_else(
            || stack.reason.clone().unwrap_or_else(|| stack.status_text.clone()),
            |failure| format!("{}: {}", failure.resource, failure.reason),
        );
        Ok(failed(
            AttentionCode::StackFailed,
            format!(
                "The update of the stack {} in {region} to the release {} failed with {reason} CloudFormation has \
                 restored the release before. Correct the release, or fix the cause and request the update again.",
                self.stack.name,
                self.target.release().id
            ),
        ))
    }

    fn no_change_set(&self, found: &ChangeSet) -> StepError {
        failed(
            AttentionCode::StackRejected,
            format!(
                "CloudFormation cannot prepare the update of the stack {} in {} to the release {}: {} The stack is \
                 unchanged. Correct the release or its parameters.",
                self.stack.name,
                self.stack.region,
                self.target.release().id,
                found.reason
            ),
        )
    }

    fn held(&self, change: &ResourceChange) -> StepError {
        let ResourceChange { resource, resource_type, .. } = change;
        failed(
            AttentionCode::LegalHold,
            format!(
                "The tenant is on legal hold, and the release {} may delete {resource} ({resource_type}) of the stack \
                 {} in {}. The stack is unchanged. Update the environment after the hold ends.",
                self.target.release().id,
                self.stack.name,
                self.stack.region
            ),
        )
    }

    /// Converts the error of a refused call. The stack is unchanged, so a refusal for good ends the operation.
    fn rejected(&self, error: CloudError) -> StepError {
        let is_final = error.kind == CloudErrorKind::Failed && error.origin == ErrorOrigin::Aws;
        if is_final && attention_codes::for_error(&error).is_none() {
            let message = format!(
                "CloudFormation rejects the update of the stack {} in {} to the release {}. The stack is unchanged. \
                 Correct the release or its parameters. {error}",
                self.stack.name,
                self.stack.region,
                self.target.release().id
            );
            return failed(AttentionCode::StackRejected, message).caused_by(&error);
        }
        error.into()
    }
}

/// Returns whether a call was refused because another change of the stack is in progress.
fn is_busy(error: &CloudError) -> bool {
    error.message.contains("_IN_PROGRESS state and can not be updated")
}

fn failed(code: AttentionCode, message: String) -> StepError {
    StepError::Failed(Attention::new(code, message))
}

fn no_stack(stack: &EnvironmentStack) -> StepError {
    let message = format!(
        "The account has no stack {} in {} that belongs to this environment. Repair the environment, then request the \
         update again.",
        stack.name, stack.region
    );
    failed(AttentionCode::StackBroken, message)
}

fn broken(stack: &EnvironmentStack, found: &StackState) -> StepError {
    let message = format!(
        "The stack {} in {} has the state {} and cannot be updated. Repair the environment, then request the update \
         again.",
        stack.name, stack.region, found.status_text
    );
    failed(AttentionCode::StackBroken, message)
}
