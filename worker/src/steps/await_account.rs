//! Waits until the account exists, and maps it to the environment.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};

use super::StepResult;
use super::shared::account_request;
use super::shared::failure_tables::{CreationFailureAction, creation_failure};
use crate::cloud::{CreationState, NewAccount};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Number of failed account creations after which the operation needs attention.
const MAX_ATTEMPTS: u32 = 3;

/// Time after the request during which a poll is too early, because no account is created so quickly.
const MIN_TIME_BEFORE_POLL: TimeDelta = TimeDelta::seconds(2);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if let Some(id) = account_request::approved_adoption(context) {
        return account_request::adopt_approved(context, id).await;
    }
    if let Some(id) = context.fact("account_id") {
        // The request step has found or adopted an existing account.
        return account_request::use_known_account(context, id).await;
    }
    let Some(request) = context.fact::<Option<String>>("creation_request_id").flatten() else {
        // After a failed creation, the account may exist nevertheless. It is adopted before another account is
        // requested.
        if context.step_fact::<u32>("creation_failures").unwrap_or(0) > 0
            && context.pending_intent::<NewAccount>().is_none()
            && let Some(found) = context.aws().find_account(&account_request::email(context)).await?
        {
            return account_request::adopt(context, found).await;
        }
        let outcome = account_request::find_or_request(context).await?;
        let is_requested = outcome.wait.is_none() && !outcome.facts.contains_key("account_id");
        return Ok(if is_requested { poll_in_a_minute(outcome, context) } else { outcome });
    };
    let since = account_request::requested_at(context);
    if context.now() - since < MIN_TIME_BEFORE_POLL {
        return wait_for_creation(context, &request, since).await;
    }
    let creation = match context.aws().creation_status(&request).await {
        Ok(creation) => creation,
        Err(error) if error.code == "CreateAccountStatusNotFoundException" => {
            return unknown_request(context, &request, since).await;
        }
        Err(error) => return Err(error.into()),
    };
    match creation.state {
        CreationState::InProgress => wait_for_creation(context, &request, since).await,
        CreationState::Succeeded(id) => {
            let finished_at = creation.completed_at.unwrap_or_else(|| context.now());
            let took = (finished_at - creation.requested_at).as_seconds_f64();
            Ok(account_request::map_account(context, id)
                .await?
                .with("took_seconds", took)
                .with("created_at", finished_at.to_rfc3339()))
        }
        CreationState::Failed(reason) => handle_failed_creation(context, &reason).await,
    }
}

async fn wait_for_creation(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    let (expected, at_most) = (
        context.config().expected_durations.account_creation_seconds,
        context.config().timeouts.account_creation_seconds,
    );
    let outcome = context.wait_for_shared_poll(WaitReason::AccountCreation, since, expected, at_most).await?;
    Ok(outcome.with("creation_request_id", request))
}

/// Searches for the account itself, because AWS does not know the request yet or no longer knows it.
async fn unknown_request(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    match context.aws().find_account(&account_request::email(context)).await? {
        Some(found) => account_request::adopt(context, found).await,
        None => wait_for_creation(context, request, since).await,
    }
}

async fn handle_failed_creation(context: &StepContext, reason: &str) -> StepResult {
    // The request had no effect. Its intent and its slot are no longer needed.
    context.withdraw_intent().await?;
    let slot = account_request::slot(context);
    let forget_request = |outcome: StepOutcome| outcome.with("creation_request_id", serde_json::Value::Null);
    let email = account_request::email(context);
    let failures = context.step_fact::<u32>("creation_failures").unwrap_or(0) + 1;
    let action = creation_failure(reason);
    if let CreationFailureAction::Hold(kind) = action {
        // The operation keeps its position in the queue, but not its slot.
        return Ok(forget_request(StepOutcome::failed(context.start_fleet_hold(&slot, kind).await?)));
    }
    if let CreationFailureAction::AdoptOrNeedsAttention | CreationFailureAction::AdoptOrRequestAgain = action
        && let Some(found) = context.aws().find_account(&email).await?
    {
        return match account_request::adopt(context, found).await {
            Err(error) if error.is_needs_attention() => {
                Ok(forget_request(StepOutcome::failed(error)).with_released_slot(slot))
            }
            adopted => adopted,
        };
    }
    context.hand_over_probe(&slot).await?;
    let error = match action {
        CreationFailureAction::AdoptOrRequestAgain if failures < MAX_ATTEMPTS => {
            let reason = WaitReason::RepeatedRequest(RequestedWork::Account);
            let outcome = StepOutcome::wait(reason, context.now() + account_request::RETRY_REQUEST_AFTER);
            return Ok(forget_request(outcome).with_released_slot(slot).with("creation_failures", failures));
        }
        CreationFailureAction::AdoptOrNeedsAttention => {
            account_request::email_taken(&email, "the account is outside this organisation or closed")
        }
        CreationFailureAction::NeedsAttention { code, message } => {
            StepError::needs_attention(code, format!("{message} AWS gave the reason {reason}."))
        }
        CreationFailureAction::AdoptOrRequestAgain | CreationFailureAction::Hold(_) => StepError::needs_attention(
            AttentionCode::AccountCreationFailed,
            format!(
                "AWS failed {MAX_ATTEMPTS} times to create the account, most recently with {reason}. Contact AWS, \
                 then retry."
            ),
        ),
    };
    let outcome = forget_request(StepOutcome::failed(error)).with_released_slot(slot).with("creation_failures", 0);
    Ok(match action {
        // No account has this address. A retry uses the address in the configuration.
        CreationFailureAction::NeedsAttention { code: AttentionCode::AccountEmailInvalid, .. } => {
            outcome.with(account_request::EMAIL_FACT, serde_json::Value::Null)
        }
        _ => outcome,
    })
}

fn poll_in_a_minute(outcome: StepOutcome, context: &StepContext) -> StepOutcome {
    let wait = StepOutcome::wait(WaitReason::AccountCreation, context.now() + TimeDelta::minutes(1)).wait;
    StepOutcome { wait, ..outcome }
}
