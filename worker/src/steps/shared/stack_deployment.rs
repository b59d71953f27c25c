//! Bringing a CloudFormation stack into an account.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::operation::OperationKind;
use serde_json::Value;

use super::account_request;
use super::failure_tables::{FailureAction, stack_failure};
use crate::attention_codes;
use crate::cloud::{CloudError, CloudErrorKind, NewStack, Role, StackState, StackStatus};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;

/// How often a stack is tried before a person is asked.
const TRIES: u64 = 3;

/// Who refuses for longer than this may be an account that somebody has closed.
const UNUSUAL: TimeDelta = TimeDelta::minutes(2);

/// A stack, and where it goes.
pub(in crate::steps) struct StackDeployment {
    /// As whom.
    pub role: Role,
    /// Where.
    pub region: Region,
    /// The stack's name.
    pub name: String,
    /// The template's text.
    pub template: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// About how many seconds it takes.
    pub usually_seconds: u64,
}

impl StackDeployment {
    /// Deploys the stack; done when CloudFormation has completed it.
    ///
    /// Facts of the step: `stack_id`, `try`, `asked_at`, and each output as `output_…`.
    pub(in crate::steps) async fn run(&self, context: &StepContext) -> StepResult {
        let Some(stack) = self.mine(context).await? else { return self.create(context).await };
        match stack.status {
            StackStatus::Complete => Ok(self.completed(context, stack)),
            StackStatus::InProgress => self.poll_later(context, &format!("the stack {}", self.name)).await,
            StackStatus::Deleting => {
                self.poll_later(context, &format!("the failed stack {} to be gone", self.name)).await
            }
            StackStatus::Deleted => self.create(context).await,
            StackStatus::RolledBack => self.start_over(context, &stack).await,
            StackStatus::DeleteStuck | StackStatus::UpdateStuck => self.unstick(context, &stack).await,
            StackStatus::Broken => Err(StepError::needs_attention(
                "stack_broken",
                format!(
                    "The stack {} in {} is in state {}, which only a person can judge. Mend or delete it, then retry.",
                    self.name, self.region, stack.status_text
                ),
            )),
        }
    }

    /// The stack that this environment has asked for, as it is now.
    async fn mine(&self, context: &StepContext) -> Result<Option<StackState>, StepError> {
        let earlier =
            || context.earlier_entries(context.step_name()).find_map(|entry| entry.facts.get("stack_id")?.as_str());
        let id: Option<String> = context.step_fact("stack_id").or_else(|| earlier().map(ToOwned::to_owned));
        let first = context.operation_kind() == OperationKind::Onboard;
        if id.is_none() && first && context.pending_intent::<Value>().is_none() {
            // Nothing was asked: there is nothing to look for.
            return Ok(None);
        }
        let account = context.account()?;
        let name = id.as_deref().unwrap_or(&self.name);
        let found = match context.cloud().stack(&account, self.role, self.region, name).await {
            Ok(found) => found,
            Err(error) => return Err(self.not_yet(context, error).await?),
        };
        match found {
            Some(stack) if !context.is_ours(&stack.tags) => Err(self.taken()),
            found => Ok(found),
        }
    }

    fn wanted(&self, context: &StepContext, attempt: u64) -> NewStack {
        NewStack {
            name: self.name.clone(),
            template: self.template.clone(),
            parameters: self.parameters.clone(),
            tags: context.tags(),
            // A new token for a new try, and the same one however often this try is repeated.
            token: format!("{}-{}-{attempt}", context.operation_id(), self.name).replace('_', "-"),
        }
    }

    async fn create(&self, context: &StepContext) -> StepResult {
        let account = context.account()?;
        let attempt: u64 = context.step_fact("try").unwrap_or(0) + 1;
        let stack = self.wanted(context, attempt);
        context.intend(&stack).await?;
        let id = match context.cloud().create_stack(&account, self.role, self.region, &stack).await {
            Ok(id) => id,
            Err(error) if error.kind == CloudErrorKind::Conflict => {
                match context.cloud().stack(&account, self.role, self.region, &self.name).await? {
                    Some(found) if context.is_ours(&found.tags) => return self.adopt(context, found, attempt).await,
                    Some(_) => return Err(self.taken()),
                    // The try was made before, and what came of it is gone: the next one needs another token.
                    None => {
                        context.withdraw().await?;
                        let soon = context.now() + TimeDelta::seconds(5);
                        return Ok(StepOutcome::wait("another try at the stack", soon).with("try", attempt));
                    }
                }
            }
            Err(error) => {
                if error.had_no_effect() {
                    context.withdraw().await?;
                }
                return Err(self.not_yet(context, error).await?);
            }
        };
        let now = context.now();
        let outcome = self.look_again_from(context, now, &format!("the stack {}", self.name)).await?;
        Ok(outcome.with("stack_id", id).with("try", attempt).with("asked_at", now.to_rfc3339()))
    }

    /// A stack of this environment that stands there already is taken, and brought to what is wanted now.
    async fn adopt(&self, context: &StepContext, found: StackState, attempt: u64) -> StepResult {
        let account = context.account()?;
        if found.status == StackStatus::Complete {
            let wanted = self.wanted(context, attempt);
            let wanted = NewStack { token: format!("{}-update", wanted.token), ..wanted };
            if !context.cloud().update_stack(&account, self.role, self.region, &wanted).await? {
                return Ok(self.completed(context, found).with("try", attempt));
            }
        }
        let now = context.now();
        let outcome = self.look_again_from(context, now, &format!("the stack {}", self.name)).await?;
        Ok(outcome.with("stack_id", found.id).with("try", attempt).with("asked_at", now.to_rfc3339()))
    }

    /// A stack that CloudFormation itself could not bring further: a person removes the cause, and what they have retried
    /// is then gone on with, where need be leaving behind what cannot be deleted.
    async fn unstick(&self, context: &StepContext, stack: &StackState) -> StepResult {
        let account = context.account()?;
        let place = (&account, self.role, self.region);
        let retried = context.step_fact::<String>("stuck").as_ref() == Some(&stack.status_text);
        let deleting = stack.status == StackStatus::DeleteStuck;
        if retried {
            let now = context.now();
            let why = if deleting {
                context.cloud().force_delete_stack(place.0, place.1, place.2, &stack.id).await?;
                format!("the failed stack {} to be gone", self.name)
            } else {
                context.cloud().continue_rollback(place.0, place.1, place.2, &stack.id).await?;
                format!("the stack {} to be as it was", self.name)
            };
            let outcome = self.look_again_from(context, now, &why).await?;
            return Ok(outcome.with("stuck", Value::Null).with("asked_at", now.to_rfc3339()));
        }
        let reason = stack.reason.as_deref().unwrap_or("CloudFormation gives no reason");
        let error = if deleting {
            StepError::needs_attention(
                "stack_not_deleted",
                format!(
                    "The stack {} in {} could not be deleted: {reason} Remove the cause, then retry; what cannot be deleted \
                     even then is left behind.",
                    self.name, self.region
                ),
            )
        } else {
            StepError::needs_attention(
                "stack_update_stuck",
                format!(
                    "An update of the stack {} in {} failed and could not be taken back: {reason} Remove the cause, then \
                     retry.",
                    self.name, self.region
                ),
            )
        };
        Ok(StepOutcome::failed(error).with("stack_id", stack.id.clone()).with("stuck", stack.status_text.clone()))
    }

    /// A creation that was rolled back left an empty shell: it is deleted, and the next try makes a new one.
    async fn start_over(&self, context: &StepContext, stack: &StackState) -> StepResult {
        let account = context.account()?;
        let failure = context.cloud().stack_failure(&account, self.role, self.region, &stack.id).await?;
        let reason = failure.map_or_else(
            || stack.reason.clone().unwrap_or_else(|| stack.status_text.clone()),
            |failure| format!("{}: {}", failure.resource, failure.reason),
        );
        context.cloud().delete_stack(&account, self.role, self.region, &stack.id).await?;
        let attempt: u64 = context.step_fact("try").unwrap_or(1);
        let fresh =
            context.now() < context.deadline(context.entry_started_at(), context.config().timeouts.propagation_seconds);
        let mut spared: u64 = context.step_fact("tries_not_counted").unwrap_or(0);
        let error = match stack_failure(&reason) {
            FailureAction::NeedsAttention { code, message } => Some(StepError::needs_attention(
                code,
                format!("The stack {} in {} failed with {reason}. {message} Then retry.", self.name, self.region),
            )),
            FailureAction::RetryWhileNew if fresh => {
                spared += 1;
                None
            }
            FailureAction::RetryWhileNew | FailureAction::Retry if attempt - spared.min(attempt) < TRIES => None,
            FailureAction::RetryWhileNew | FailureAction::Retry => Some(StepError::needs_attention(
                "stack_failed",
                format!(
                    "The stack {} in {} failed {attempt} times, the last time with {reason}. Remove the cause, then retry.",
                    self.name, self.region
                ),
            )),
        };
        if let Some(error) = error {
            return Ok(StepOutcome::failed(error).with("stack_id", stack.id.clone()).with("try", attempt));
        }
        let now = context.now();
        let outcome = self.look_again_from(context, now, &format!("the failed stack {} to be gone", self.name)).await?;
        // By its id a stack is found also when it is gone; and the next try is another one.
        let outcome = outcome.with("stack_id", stack.id.clone()).with("try", attempt);
        let outcome = outcome.with("asked_at", now.to_rfc3339()).with("last_failure", reason);
        Ok(outcome.with("tries_not_counted", spared))
    }

    fn completed(&self, context: &StepContext, stack: StackState) -> StepOutcome {
        let mut outcome = StepOutcome::done()
            .with("took_seconds", context.took_seconds(asked_at(context)))
            .with("stack_id", stack.id)
            .with("region", self.region.as_str());
        for (output, value) in stack.outputs {
            outcome = outcome.with(&format!("output_{output}"), value);
        }
        outcome
    }

    async fn poll_later(&self, context: &StepContext, why: &str) -> StepResult {
        self.look_again_from(context, asked_at(context), why).await
    }

    async fn look_again_from(&self, context: &StepContext, since: DateTime<Utc>, why: &str) -> StepResult {
        context.poll_later(why, since, self.usually_seconds, context.config().timeouts.stack_seconds).await
    }

    /// A fresh account, a fresh role and a fresh region all refuse for a while what they will soon allow.
    async fn not_yet(&self, context: &StepContext, error: CloudError) -> Result<StepError, StepError> {
        let refused = matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. });
        if refused && context.now() - context.entry_started_at() > UNUSUAL {
            account_request::check_active(context).await?;
        }
        Ok(match error.kind {
            CloudErrorKind::NotYet | CloudErrorKind::Denied { explicit: false } => StepError::Blocked {
                why: format!("{} to accept CloudFormation calls ({})", self.region, error.code),
                until: None,
                at_most: Some(context.propagation()),
            },
            CloudErrorKind::Failed if attention_codes::known(&error).is_none() => StepError::needs_attention(
                "stack_rejected",
                format!("CloudFormation does not take the stack {}. Mend the template, then retry. {error}", self.name),
            ),
            _ => error.into(),
        })
    }

    fn taken(&self) -> StepError {
        StepError::needs_attention(
            "stack_name_taken",
            format!(
                "In {} there is a stack {} that is not this environment's. Delete or rename it, then retry.",
                self.region, self.name
            ),
        )
    }
}

/// When the stack was asked for; where the answer was lost, when it was about to be.
fn asked_at(context: &StepContext) -> DateTime<Utc> {
    let pending_intent = || context.pending_intent::<Value>().map(|(_, at)| at);
    context.step_fact("asked_at").or_else(pending_intent).unwrap_or_else(|| context.now())
}
