//! Deletion of a CloudFormation stack from an account.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::baseline::BASELINE_STACK;
use freehold_tenancy::environment_stack::{EnvironmentStack, StackChange, StackKind, StackProgress, StackSlot};
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;

use super::{HAS_LEFT, NO_ACCOUNT, preconditions};
use crate::cloud::{self, CloudError, CloudErrorKind, Role, StackState, StackStatus, Target};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::{StepResult, install_baseline};

/// Expected duration of a stack deletion, which is about the same as that of a creation.
const EXPECTED_SECONDS: u64 = 60;

/// Time after a request after which a stack that is not being deleted proves that CloudFormation has cancelled the
/// deletion. An earlier status may be older than the request.
const CANCELLED_AFTER: TimeDelta = TimeDelta::minutes(2);

/// Fact of a deletion that was not needed, because the account with the stack is closed or outside the organisation.
const GONE_FACT: &str = "went_with_the_account";

#[derive(Clone)]
pub(in crate::steps) struct StackDeletion {
    pub kind: StackKind,
    /// Region of the environment that the stack serves.
    pub slot: StackSlot,
    /// Step that has created the stack.
    pub created_by: StepName,
    /// Role that deletes the stack.
    pub role: Role,
    pub region: Region,
    pub name: String,
    /// Stack on record; `None` if no intent to create one is known.
    pub on_record: Option<EnvironmentStack>,
}

impl StackDeletion {
    /// Deletes the stack. The step is done when the environment has no such stack, and skipped if it never had one.
    pub(in crate::steps) async fn run(&self, context: &StepContext) -> StepResult {
        let outcome = self.delete_existing(context).await?;
        let is_gone = outcome.wait.is_none()
            && outcome.failed.is_none()
            && (outcome.skip_reason.is_none() || outcome.facts.contains_key(GONE_FACT));
        if !is_gone || self.on_record.is_none() {
            return Ok(outcome);
        }
        let (name, progress) = (self.name.clone(), StackProgress::Deleted);
        let change =
            StackChange { kind: self.kind, slot: self.slot, region: self.region, name, progress, release: None };
        Ok(StepOutcome { stack: Some(change), ..outcome })
    }

    async fn delete_existing(&self, context: &StepContext) -> StepResult {
        let Some(account) = context.account_if_any()? else { return Ok(StepOutcome::skipped(NO_ACCOUNT)) };
        if preconditions::has_left(context) {
            return Ok(StepOutcome::skipped(HAS_LEFT));
        }
        let mut created =
            context.earlier_entries(self.created_by).filter(|entry| entry.intent.is_some() || !entry.facts.is_empty());
        let entry = created.next();
        // After a recovery, the journal does not have all requests.
        let is_recovered = context.input_flag("recovered");
        if self.on_record.is_none() && entry.is_none() && !is_recovered {
            return Ok(StepOutcome::skipped(format!("the stack {} was never requested", self.name)));
        }
        // CloudFormation finds a deleted stack only by its id.
        let id = self.on_record.as_ref().and_then(|stack| stack.id.as_deref());
        let id = id.or_else(|| entry.and_then(|entry| entry.facts.get("stack_id")?.as_str())).unwrap_or(&self.name);
        let stack = match context.aws().stack(&account, self.role, self.region, id).await {
            Ok(Some(stack)) if context.belongs_to_environment(&stack.tags) => stack,
            Ok(Some(_)) => {
                return Ok(StepOutcome::skipped(format!(
                    "the stack {} in {} does not have the tags of this environment",
                    self.name, self.region
                )));
            }
            // A crashed run may have deleted the stack.
            Ok(None) => return Ok(StepOutcome::done()),
            Err(error) if is_recovered && self.is_without_role(context, &account, &error).await? => {
                let reason = format!("the account has no stack {BASELINE_STACK}, and so no stack {}", self.name);
                return Ok(StepOutcome::skipped(reason));
            }
            // The role is part of a baseline stack that is damaged. The organisation's role deletes both stacks.
            Err(CloudError { kind: CloudErrorKind::Denied { .. }, .. })
                if self.role == Role::Access && self.can_use_organization_role(context, &account).await =>
            {
                let deletion = Self { role: Role::Organization, ..self.clone() };
                return Box::pin(deletion.delete_existing(context)).await;
            }
            Err(error) => return self.access_denied(context, &account, error).await,
        };
        match stack.status {
            StackStatus::Deleted => Ok(StepOutcome::done().with("stack_id", stack.id)),
            StackStatus::Deleting => self.poll_later(context, requested_at(context)).await,
            StackStatus::DeleteStuck => self.failed_deletion(context, &account, stack).await,
            _ => self.delete_or_report(context, &account, &stack).await,
        }
    }

    /// Requests the deletion, or reports that CloudFormation has cancelled it, for example because another stack
    /// imports an export. The stack then has its earlier status again.
    async fn delete_or_report(&self, context: &StepContext, account: &Target, stack: &StackState) -> StepResult {
        let asked_at = context.step_fact::<DateTime<Utc>>("asked_at").filter(|at| !is_retried_after(context, *at));
        let Some(asked_at) = asked_at else { return self.delete(context, account, stack, false).await };
        if context.now() < asked_at + CANCELLED_AFTER {
            return self.poll_later(context, asked_at).await;
        }
        let reason = context.aws().latest_stack_reason(account, self.role, self.region, &stack.id).await?;
        let reason = reason.unwrap_or_else(|| "AWS gave no reason".to_owned());
        let message = format!(
            "CloudFormation has cancelled the deletion of the stack {} in {}: {reason}. Fix the cause, then retry.",
            self.name, self.region
        );
        Err(StepError::needs_attention(AttentionCode::StackNotDeleted, message))
    }

    /// Returns whether the organisation's access role can read stacks in the account.
    async fn can_use_organization_role(&self, context: &StepContext, account: &Target) -> bool {
        context.aws().stack(account, Role::Organization, self.region, &self.name).await.is_ok()
    }

    /// Returns whether a call was denied because the baseline stack, which contains the role of this deletion, does
    /// not exist.
    async fn is_without_role(
        &self,
        context: &StepContext,
        account: &Target,
        error: &CloudError,
    ) -> Result<bool, StepError> {
        if self.role != Role::Access || !matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. }) {
            return Ok(false);
        }
        let region = install_baseline::region(context).await?;
        Ok(context.aws().stack(account, Role::Organization, region, BASELINE_STACK).await?.is_none())
    }

    async fn delete(&self, context: &StepContext, account: &Target, stack: &StackState, force: bool) -> StepResult {
        preconditions::check_deletion_allowed(context, account).await?;
        context.record_intent(&stack.id).await?;
        let result = match self.request(context, account, stack, force).await {
            Err(error) if error.message.contains("TerminationProtection") => {
                match self.remove_protection(context, account, stack).await {
                    Ok(()) => self.request(context, account, stack, force).await,
                    denied => denied,
                }
            }
            result => result,
        };
        match result {
            Ok(()) => {
                let now = context.now();
                let outcome = self.poll_later(context, now).await?;
                Ok(outcome.with("stack_id", stack.id.clone()).with("asked_at", now.to_rfc3339()).with("forced", force))
            }
            Err(error) if error.kind == CloudErrorKind::Failed => {
                let message = format!(
                    "CloudFormation rejects the deletion of the stack {} in {}. Fix the cause, then retry. {error}",
                    self.name, self.region
                );
                Err(StepError::needs_attention(AttentionCode::StackNotDeletable, message).caused_by(&error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Requests the deletion.
    async fn request(
        &self,
        context: &StepContext,
        account: &Target,
        stack: &StackState,
        force: bool,
    ) -> cloud::Result<()> {
        match self.request_as(self.role, context, account, stack, force).await {
            // The permissions of the role are damaged.
            Err(CloudError { kind: CloudErrorKind::Denied { .. }, .. }) if self.role == Role::Access => {
                self.request_as(Role::Organization, context, account, stack, force).await
            }
            result => result,
        }
    }

    async fn request_as(
        &self,
        role: Role,
        context: &StepContext,
        account: &Target,
        stack: &StackState,
        force: bool,
    ) -> cloud::Result<()> {
        let aws = context.aws();
        if force {
            aws.force_delete_stack(account, role, self.region, &stack.id).await
        } else {
            aws.delete_stack(account, role, self.region, &stack.id).await
        }
    }

    /// Removes the termination protection of the stack. A baseline of revision 2 or older does not allow this to the
    /// role `freehold-access`.
    async fn remove_protection(
        &self,
        context: &StepContext,
        account: &Target,
        stack: &StackState,
    ) -> cloud::Result<()> {
        let remove = |role| context.aws().remove_termination_protection(account, role, self.region, &stack.id);
        match remove(self.role).await {
            Err(CloudError { kind: CloudErrorKind::Denied { .. }, .. }) => remove(Role::Organization).await,
            result => result,
        }
    }

    /// Parks the operation after a failed deletion. After a manual retry, resources that cannot be deleted are
    /// retained.
    async fn failed_deletion(&self, context: &StepContext, account: &Target, stack: StackState) -> StepResult {
        if is_retried_after(context, requested_at(context)) {
            return self.delete(context, account, &stack, true).await;
        }
        let failure = context.aws().stack_failure(account, self.role, self.region, &stack.id).await?;
        let is_enabled = |reason: &str| reason.contains("DistributionNotDisabled") || reason.contains("not disabled");
        if self.kind == StackKind::FrontDoor && failure.as_ref().is_some_and(|failure| is_enabled(&failure.reason)) {
            // CloudFormation disables a distribution before it deletes it, and may delete it before all edge locations
            // know. Nothing is retained: the distribution would go on answering.
            return self.delete(context, account, &stack, false).await;
        }
        let reason = failure.map(|failure| format!("{}: {}", failure.resource, failure.reason)).or(stack.reason);
        Err(StepError::needs_attention(
            AttentionCode::StackNotDeleted,
            format!(
                "CloudFormation could not delete the stack {} in {}: {}. A retry deletes the stack and retains the \
                 resources that cannot be deleted.",
                self.name,
                self.region,
                reason.unwrap_or_else(|| "AWS gave no reason".to_owned())
            ),
        ))
    }

    /// Handles a denied call. In a closed account nothing is left to delete, so the step is skipped. For an active
    /// account, waits until calls are allowed.
    async fn access_denied(&self, context: &StepContext, account: &Target, error: CloudError) -> StepResult {
        if !matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. }) {
            return Err(error.into());
        }
        match context.aws().account(account.id()).await? {
            Some(found) if found.state == "ACTIVE" => Err(StepError::Blocked {
                reason: WaitReason::CloudFormationUsable { region: self.region, error: error.to_string() },
                until: None,
                at_most: Some(TimeDelta::minutes(15)),
            }),
            _ => {
                let reason = format!("account {account} is closed or no longer in the organisation");
                Ok(StepOutcome::skipped(reason).with(GONE_FACT, true))
            }
        }
    }

    async fn poll_later(&self, context: &StepContext, since: DateTime<Utc>) -> StepResult {
        let reason = WaitReason::StackDeletion { stack: self.name.clone() };
        context.poll_later(reason, since, EXPECTED_SECONDS, context.config().timeouts.stack_seconds).await
    }
}

/// Returns whether the step was retried after `at`.
fn is_retried_after(context: &StepContext, at: DateTime<Utc>) -> bool {
    context.entry().and_then(|entry| entry.retried_at).is_some_and(|retried_at| retried_at > at)
}

fn requested_at(context: &StepContext) -> DateTime<Utc> {
    let pending_intent = || context.pending_intent::<String>().map(|(_, at)| at);
    context.step_fact("asked_at").or_else(pending_intent).unwrap_or_else(|| context.now())
}
