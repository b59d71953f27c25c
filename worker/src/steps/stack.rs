//! Bringing a CloudFormation stack into an account.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::operation::OperationKind;
use serde_json::Value;

use super::StepResult;
use crate::cloud::{Kind, NewStack, Role, StackState, StackStatus};
use crate::context::StepContext;
use crate::step::{Outcome, StepError};

/// How often a stack is tried before a person is asked.
const TRIES: u64 = 3;

/// A stack, and where it goes.
pub(super) struct Deployment {
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

impl Deployment {
    /// Deploys the stack; done when CloudFormation has completed it.
    ///
    /// Facts of the step: `stack_id`, `try`, `asked_at`, and each output as `output_…`.
    pub(super) async fn run(&self, context: &StepContext) -> StepResult {
        let Some(stack) = self.mine(context).await? else { return self.create(context).await };
        match stack.status {
            StackStatus::Complete => Ok(self.completed(context, stack)),
            StackStatus::InProgress => self.look_again(context, &format!("the stack {}", self.name)).await,
            StackStatus::Deleting => {
                self.look_again(context, &format!("the failed stack {} to be gone", self.name)).await
            }
            StackStatus::Deleted => self.create(context).await,
            StackStatus::RolledBack => self.start_over(context, &stack).await,
            StackStatus::Broken => Err(StepError::park(
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
        let earlier = || context.earlier(context.step).find_map(|entry| entry.facts.get("stack_id")?.as_str());
        let id: Option<String> = context.remembered("stack_id").or_else(|| earlier().map(ToOwned::to_owned));
        let first = context.subject.kind == OperationKind::Onboard;
        if id.is_none() && first && context.intended::<Value>().is_none() {
            // Nothing was asked: there is nothing to look for.
            return Ok(None);
        }
        let account = context.account()?;
        let name = id.as_deref().unwrap_or(&self.name);
        let found = match context.cloud().stack(&account, self.role, self.region, name).await {
            Ok(found) => found,
            Err(error) => return Err(self.not_yet(context, error)),
        };
        match found {
            Some(stack) if !context.is_ours(&stack.tags) => Err(self.taken()),
            found => Ok(found),
        }
    }

    async fn create(&self, context: &StepContext) -> StepResult {
        let account = context.account()?;
        let attempt: u64 = context.remembered("try").unwrap_or(0) + 1;
        let stack = NewStack {
            name: self.name.clone(),
            template: self.template.clone(),
            parameters: self.parameters.clone(),
            tags: context.tags(),
            // A new token for a new try, and the same one however often this try is repeated.
            token: format!("{}-{}-{attempt}", context.claim.operation_id, self.name).replace('_', "-"),
        };
        context.intend(&stack).await?;
        let id = match context.cloud().create_stack(&account, self.role, self.region, &stack).await {
            Ok(id) => id,
            Err(error) if error.kind == Kind::Conflict => {
                match context.cloud().stack(&account, self.role, self.region, &self.name).await? {
                    Some(found) if context.is_ours(&found.tags) => found.id,
                    Some(_) => return Err(self.taken()),
                    None => return Err(error.into()),
                }
            }
            Err(error) => {
                if error.had_no_effect() {
                    context.withdraw().await?;
                }
                return Err(self.not_yet(context, error));
            }
        };
        let now = context.now();
        let outcome = self.look_again_from(context, now, &format!("the stack {}", self.name)).await?;
        Ok(outcome.with("stack_id", id).with("try", attempt).with("asked_at", now.to_rfc3339()))
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
        let attempt: u64 = context.remembered("try").unwrap_or(1);
        if attempt >= TRIES {
            let error = StepError::park(
                "stack_failed",
                format!(
                    "The stack {} in {} failed {attempt} times, the last time with {reason}. Remove the cause, then retry.",
                    self.name, self.region
                ),
            );
            return Ok(Outcome::failed(error).with("stack_id", stack.id.clone()).with("try", attempt));
        }
        let now = context.now();
        let outcome = self.look_again_from(context, now, &format!("the failed stack {} to be gone", self.name)).await?;
        // By its id a stack is found also when it is gone; and the next try is another one.
        let outcome = outcome.with("stack_id", stack.id.clone()).with("try", attempt);
        Ok(outcome.with("asked_at", now.to_rfc3339()).with("last_failure", reason))
    }

    fn completed(&self, context: &StepContext, stack: StackState) -> Outcome {
        let mut outcome = Outcome::done()
            .with("took_seconds", context.took_seconds(asked_at(context)))
            .with("stack_id", stack.id)
            .with("region", self.region.as_str());
        for (output, value) in stack.outputs {
            outcome = outcome.with(&format!("output_{output}"), value);
        }
        outcome
    }

    async fn look_again(&self, context: &StepContext, why: &str) -> StepResult {
        self.look_again_from(context, asked_at(context), why).await
    }

    async fn look_again_from(&self, context: &StepContext, since: DateTime<Utc>, why: &str) -> StepResult {
        context.look_again(why, since, self.usually_seconds, context.config().waits.stack_seconds).await
    }

    /// A fresh account, a fresh role and a fresh region all refuse for a while what they will soon allow.
    fn not_yet(&self, context: &StepContext, error: crate::cloud::CloudError) -> StepError {
        match error.kind {
            Kind::Wait | Kind::Denied { explicit: false } => StepError::NotYet {
                why: format!("{} to accept CloudFormation calls ({})", self.region, error.code),
                until: None,
                at_most: Some(context.propagation()),
            },
            Kind::Terminal => StepError::park(
                "stack_rejected",
                format!("CloudFormation does not take the stack {}. Mend the template, then retry. {error}", self.name),
            ),
            _ => error.into(),
        }
    }

    fn taken(&self) -> StepError {
        StepError::park(
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
    let intended = || context.intended::<Value>().map(|(_, at)| at);
    context.remembered("asked_at").or_else(intended).unwrap_or_else(|| context.now())
}
