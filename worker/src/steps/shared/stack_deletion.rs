//! Taking a CloudFormation stack out of an account.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::step::StepName;

use super::preconditions;
use crate::cloud::{CloudError, CloudErrorKind, Role, StackState, StackStatus, Target};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;

/// Deletions take about as long as creations.
const USUALLY_SECONDS: u64 = 60;

/// A stack, and where it is.
pub(in crate::steps) struct StackDeletion {
    /// The step that made it.
    pub made_by: StepName,
    /// As whom it is deleted.
    pub role: Role,
    /// Where it is.
    pub region: Region,
    /// Its name.
    pub name: String,
}

impl StackDeletion {
    /// Deletes the stack; done when there is none of ours.
    pub(in crate::steps) async fn run(&self, context: &StepContext) -> StepResult {
        let Some(account) = context.account_if_any()? else { return Ok(StepOutcome::done()) };
        let mut asked =
            context.earlier_entries(self.made_by).filter(|entry| entry.intent.is_some() || !entry.facts.is_empty());
        let Some(made) = asked.next() else { return Ok(StepOutcome::done()) };
        // By its id a stack is found also once it is gone.
        let id = made.facts.get("stack_id").and_then(serde_json::Value::as_str).unwrap_or(&self.name);
        let stack = match context.cloud().stack(&account, self.role, self.region, id).await {
            Ok(Some(stack)) if context.is_ours(&stack.tags) => stack,
            // Somebody else's of the same name, or none.
            Ok(_) => return Ok(StepOutcome::done()),
            Err(error) => return self.shut_out(context, &account, error).await,
        };
        match stack.status {
            StackStatus::Deleted => Ok(StepOutcome::done().with("stack_id", stack.id)),
            StackStatus::Deleting => self.poll_later(context, asked_at(context)).await,
            StackStatus::DeleteStuck => self.again(context, &account, stack).await,
            _ => self.delete(context, &account, &stack, false).await,
        }
    }

    async fn delete(&self, context: &StepContext, account: &Target, stack: &StackState, force: bool) -> StepResult {
        preconditions::check_deletion_allowed(context, account).await?;
        context.intend(&stack.id).await?;
        let cloud = context.cloud();
        let asked = if force {
            cloud.force_delete_stack(account, self.role, self.region, &stack.id).await
        } else {
            cloud.delete_stack(account, self.role, self.region, &stack.id).await
        };
        match asked {
            Ok(()) => {
                let now = context.now();
                let outcome = self.poll_later(context, now).await?;
                Ok(outcome.with("stack_id", stack.id.clone()).with("asked_at", now.to_rfc3339()).with("forced", force))
            }
            Err(error) if error.kind == CloudErrorKind::Failed => Err(StepError::needs_attention(
                "stack_not_deletable",
                format!(
                    "CloudFormation does not delete the stack {} in {}. Where it is protected from termination, lift that; \
                     then retry. {error}",
                    self.name, self.region
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// A deletion that failed is tried again by a person; by then what cannot be deleted is left behind.
    async fn again(&self, context: &StepContext, account: &Target, stack: StackState) -> StepResult {
        let retried = context.entry().and_then(|entry| entry.retried_at).is_some_and(|at| at > asked_at(context));
        if retried {
            return self.delete(context, account, &stack, true).await;
        }
        let failure = context.cloud().stack_failure(account, self.role, self.region, &stack.id).await?;
        let reason = failure.map(|failure| format!("{}: {}", failure.resource, failure.reason)).or(stack.reason);
        Err(StepError::needs_attention(
            "stack_not_deleted",
            format!(
                "CloudFormation could not delete the stack {} in {}: {}. Retry to delete the rest and leave behind what \
                 cannot be deleted.",
                self.name,
                self.region,
                reason.unwrap_or_else(|| "it gave no reason".to_owned())
            ),
        ))
    }

    /// In an account that is closed there is nothing left to delete; any other will let us in sooner or later.
    async fn shut_out(&self, context: &StepContext, account: &Target, error: CloudError) -> StepResult {
        if !matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. }) {
            return Err(error.into());
        }
        match context.cloud().account(account.id()).await? {
            Some(found) if found.state == "ACTIVE" => Err(StepError::Blocked {
                why: format!("{} to accept CloudFormation calls ({error})", self.region),
                until: None,
                at_most: Some(TimeDelta::minutes(15)),
            }),
            _ => Ok(StepOutcome::done().with("went_with_the_account", true)),
        }
    }

    async fn poll_later(&self, context: &StepContext, since: DateTime<Utc>) -> StepResult {
        let why = format!("the stack {} to be gone", self.name);
        context.poll_later(&why, since, USUALLY_SECONDS, context.config().timeouts.stack_seconds).await
    }
}

fn asked_at(context: &StepContext) -> DateTime<Utc> {
    let pending_intent = || context.pending_intent::<String>().map(|(_, at)| at);
    context.step_fact("asked_at").or_else(pending_intent).unwrap_or_else(|| context.now())
}
