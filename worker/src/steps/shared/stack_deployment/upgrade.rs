//! Update of a CloudFormation stack that serves. A failed update ends the operation: CloudFormation has restored the
//! version before it, and the stack works as before.

use chrono::TimeDelta;
use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};

use super::StackDeployment;
use crate::attention_codes;
use crate::cloud::{CloudError, CloudErrorKind, NewStack, StackFailure, StackState, StackStatus};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;

/// Fact with the token of an update that was rolled back and reported. A retry of the step requests another update.
const ROLLED_BACK_FACT: &str = "rolled_back_token";

impl StackDeployment {
    /// Brings an existing stack to the template, parameters and tags of this deployment. `is_current` returns whether
    /// a stack needs no update.
    ///
    /// Facts of the step: those of [`StackDeployment::run`].
    pub(in crate::steps) async fn upgrade(
        &self,
        context: &StepContext,
        is_current: impl Fn(&StackState) -> bool,
    ) -> StepResult {
        Ok(self.with_stack_change(context, self.bring_up_to_date(context, is_current).await?))
    }

    async fn bring_up_to_date(&self, context: &StepContext, is_current: impl Fn(&StackState) -> bool) -> StepResult {
        let stack = self.find_by_name(context).await?;
        match stack.status {
            StackStatus::InProgress => self.poll_later(context, self.update_wait()).await,
            StackStatus::UpdateStuck => self.recover_stuck_stack(context, &stack).await,
            StackStatus::Complete | StackStatus::UpdateRolledBack => {
                if let Some((token, failure)) = self.own_rollback(context, &stack).await? {
                    let StackFailure { resource, reason } = failure;
                    let message = format!(
                        "CloudFormation has rolled back the update of the stack {} in {}, which works as before. \
                         {resource} failed with: {reason} Fix the cause, then {}.",
                        self.name,
                        self.region,
                        next_action(context)
                    );
                    let outcome = StepOutcome::failed(failed(AttentionCode::StackFailed, message));
                    return Ok(outcome.with(ROLLED_BACK_FACT, token));
                }
                if is_current(&stack) {
                    return Ok(self.completed_outcome(context, stack));
                }
                self.request_update(context, is_current).await
            }
            _ => Err(failed(
                AttentionCode::StackBroken,
                format!(
                    "The stack {} in {} has the state {}, in which it cannot be updated. Repair the environment, then \
                     {}.",
                    self.name,
                    self.region,
                    stack.status_text,
                    next_action(context)
                ),
            )),
        }
    }

    /// Returns the stack with the name of this deployment. A missing stack ends the operation.
    async fn find_by_name(&self, context: &StepContext) -> Result<StackState, StepError> {
        let found = match context.aws().stack(&context.account()?, self.role, self.region, &self.name).await {
            Ok(found) => found,
            Err(error) => return Err(self.convert_call_error(context, error).await?),
        };
        match found {
            Some(stack) if context.belongs_to_environment(&stack.tags) => Ok(stack),
            Some(_) => Err(self.name_taken()),
            None => Err(failed(
                AttentionCode::StackBroken,
                format!(
                    "The stack {} does not exist in {}. Repair the environment, which installs the current version \
                     (`freehold reconcile --repair`).",
                    self.name, self.region
                ),
            )),
        }
    }

    /// Returns the token and the first failure of the update that this step has requested, if CloudFormation has
    /// rolled it back and the step has not reported it yet. A rollback of an earlier update is no result of this step.
    async fn own_rollback(
        &self,
        context: &StepContext,
        stack: &StackState,
    ) -> Result<Option<(String, StackFailure)>, StepError> {
        let reported: Option<String> = context.step_fact(ROLLED_BACK_FACT);
        let request = context.pending_intent::<NewStack>().map(|(request, _)| request.token);
        let is_rolled_back = stack.status == StackStatus::UpdateRolledBack;
        let Some(token) = request.filter(|token| is_rolled_back && reported.as_ref() != Some(token)) else {
            return Ok(None);
        };
        let account = context.account()?;
        let failure = context.aws().update_failure(&account, self.role, self.region, &stack.id, &token).await?;
        Ok(failure.map(|failure| (token, failure)))
    }

    async fn request_update(&self, context: &StepContext, is_current: impl Fn(&StackState) -> bool) -> StepResult {
        let account = context.account()?;
        let attempt: u64 = context.step_fact("try").unwrap_or(0) + 1;
        let request = self.request(context, attempt);
        let request = NewStack { token: format!("{}-update", request.token), ..request };
        context.record_stack_intent(&request, &self.intended()).await?;
        let now = context.now();
        match context.aws().update_stack(&account, self.role, self.region, &request).await {
            Ok(true) => {
                let outcome = self.poll_since(context, now, self.update_wait()).await?;
                Ok(outcome.with("try", attempt).with("asked_at", now.to_rfc3339()))
            }
            Ok(false) => self.repeat_request(context, attempt, is_current).await,
            // An update whose response was lost has finished. The next update needs another token.
            Err(error) if error.code == "TokenAlreadyExistsException" => {
                self.repeat_request(context, attempt, is_current).await
            }
            Err(error) => {
                if error.had_no_effect() {
                    context.withdraw_stack_intent(&self.intended()).await?;
                }
                Err(self.convert_update_error(context, error).await?)
            }
        }
    }

    /// Requests the update again with another token, unless the stack is current.
    async fn repeat_request(
        &self,
        context: &StepContext,
        attempt: u64,
        is_current: impl Fn(&StackState) -> bool,
    ) -> StepResult {
        let stack = self.find_by_name(context).await?;
        if matches!(stack.status, StackStatus::Complete | StackStatus::UpdateRolledBack) && is_current(&stack) {
            return Ok(self.completed_outcome(context, stack));
        }
        context.withdraw_stack_intent(&self.intended()).await?;
        let check_at = context.now() + TimeDelta::seconds(5);
        let reason = WaitReason::RepeatedRequest(RequestedWork::Stack);
        Ok(StepOutcome::wait(reason, check_at).with("try", attempt))
    }

    /// Converts an error of UpdateStack. A rejected request ends the operation, because the stack is unchanged.
    async fn convert_update_error(&self, context: &StepContext, error: CloudError) -> Result<StepError, StepError> {
        if error.kind == CloudErrorKind::Failed && attention_codes::for_error(&error).is_none() {
            let message = format!(
                "CloudFormation rejects the update of the stack {}, which is unchanged. Correct the configuration, \
                 then {}. {error}",
                self.name,
                next_action(context)
            );
            return Ok(failed(AttentionCode::StackRejected, message).caused_by(&error));
        }
        self.convert_call_error(context, error).await
    }

    fn update_wait(&self) -> WaitReason {
        WaitReason::StackUpdate { stack: self.name.clone() }
    }
}

/// Returns the action after the cause of a failure is fixed: a failed operation cannot be retried.
fn next_action(context: &StepContext) -> &'static str {
    match context.operation_kind() {
        OperationKind::UpgradeBaseline => "start another upgrade",
        kind if kind.keeps_environment_state() => "request the change again",
        _ => "retry",
    }
}

fn failed(code: AttentionCode, message: String) -> StepError {
    StepError::Failed(Attention::new(code, message))
}
