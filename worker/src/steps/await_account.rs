//! Waits until the account exists, and maps it to the environment.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::Remedy;

use super::StepResult;
use super::shared::account_request;
use super::shared::failure_tables::{CreationFailureAction, creation_failure};
use crate::cloud::{CreationState, NewAccount};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome, attention};

/// For what it waits.
const FOR: &str = "the account to be created";

/// How often AWS may fail to create the account before a person is asked.
const TRIES: u32 = 3;

/// Within this time no creation has ended yet.
const JUST_NOW: TimeDelta = TimeDelta::seconds(2);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if let Some(id) = context.fact("account_id") {
        // Found or adopted when it was asked for.
        return account_request::mapped(context, id).await;
    }
    let Some(request) = context.fact::<Option<String>>("creation_request_id").flatten() else {
        // The creation asked for before has failed in a way that asking again may mend; or AWS had made the account after all.
        if context.step_fact::<u32>("creation_failures").unwrap_or(0) > 0
            && context.pending_intent::<NewAccount>().is_none()
            && let Some(found) = context.cloud().find_account(&account_request::email(context)).await?
        {
            return account_request::adopt(context, found).await;
        }
        let outcome = account_request::find_or_request(context).await?;
        let asked = outcome.wait.is_none() && !outcome.facts.contains_key("account_id");
        return Ok(if asked { again(outcome, context, FOR) } else { outcome });
    };
    let since = account_request::requested_at(context);
    if context.now() - since < JUST_NOW {
        return still_in_progress(context, &request, since).await;
    }
    let creation = match context.cloud().creation_status(&request).await {
        Ok(creation) => creation,
        Err(error) if error.code == "CreateAccountStatusNotFoundException" => {
            return forgotten(context, &request, since).await;
        }
        Err(error) => return Err(error.into()),
    };
    match creation.state {
        CreationState::InProgress => still_in_progress(context, &request, since).await,
        CreationState::Succeeded(id) => {
            let ended = creation.completed_at.unwrap_or_else(|| context.now());
            let took = (ended - creation.requested_at).as_seconds_f64();
            Ok(account_request::mapped(context, id)
                .await?
                .with("took_seconds", took)
                .with("created_at", ended.to_rfc3339()))
        }
        CreationState::Failed(reason) => failed(context, &reason).await,
    }
}

async fn still_in_progress(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    let (usually, at_most) = (
        context.config().expected_durations.account_creation_seconds,
        context.config().timeouts.account_creation_seconds,
    );
    let outcome = context.wait_for_shared_poll(FOR, since, usually, at_most).await?;
    Ok(outcome.with("creation_request_id", request))
}

/// AWS does not know the request any more, or not yet: the account itself is the proof.
async fn forgotten(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    match context.cloud().find_account(&account_request::email(context)).await? {
        Some(found) => account_request::adopt(context, found).await,
        None => still_in_progress(context, request, since).await,
    }
}

async fn failed(context: &StepContext, reason: &str) -> StepResult {
    // What came of the intent is known: nothing. The request is over, and so is its place.
    context.withdraw().await?;
    let place = account_request::place(context);
    let forget = |outcome: StepOutcome| outcome.with("creation_request_id", serde_json::Value::Null);
    let email = account_request::email(context);
    let failures = context.step_fact::<u32>("creation_failures").unwrap_or(0) + 1;
    let then = creation_failure(reason);
    if let CreationFailureAction::Hold(kind) = then {
        // It keeps its turn, not its place.
        return Ok(forget(StepOutcome::failed(context.start_fleet_hold(&place, kind).await?)));
    }
    if let CreationFailureAction::AdoptOrNeedsAttention | CreationFailureAction::AdoptOrRequestAgain = then
        && let Some(found) = context.cloud().find_account(&email).await?
    {
        return match account_request::adopt(context, found).await {
            Err(error) if error.is_needs_attention() => Ok(forget(StepOutcome::failed(error)).releasing(place)),
            adopted => adopted,
        };
    }
    context.hand_over_probe(&place).await?;
    let error = match then {
        CreationFailureAction::AdoptOrRequestAgain if failures < TRIES => {
            let why = "another request for the account, since AWS failed the last one";
            let outcome = StepOutcome::wait(why, context.now() + account_request::RECREATE_AFTER);
            return Ok(forget(outcome).releasing(place).with("creation_failures", failures));
        }
        CreationFailureAction::AdoptOrNeedsAttention => {
            account_request::email_taken(&email, "it is outside this organisation or closed")
        }
        CreationFailureAction::NeedsAttention { code, message } => {
            failed_for_good(code, format!("{message} AWS says {reason}."))
        }
        CreationFailureAction::AdoptOrRequestAgain | CreationFailureAction::Hold(_) => failed_for_good(
            "account_creation_failed",
            format!(
                "AWS could not create the account {TRIES} times, the last time with {reason}. Ask AWS, then retry."
            ),
        ),
    };
    Ok(forget(StepOutcome::failed(error)).releasing(place).with("creation_failures", 0))
}

/// A person removes the cause, names another address, or an account that is there already.
fn failed_for_good(code: &str, message: String) -> StepError {
    StepError::NeedsAttention(attention(code, message).with_remedy(Remedy::Correct).with_remedy(Remedy::Adopt))
}

fn again(outcome: StepOutcome, context: &StepContext, why: &str) -> StepOutcome {
    let wait = StepOutcome::wait(why, context.now() + TimeDelta::minutes(1)).wait;
    StepOutcome { wait, ..outcome }
}
