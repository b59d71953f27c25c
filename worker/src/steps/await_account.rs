//! Waits until the account exists, and maps it to the environment.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::operation::Remedy;

use super::creation_failures::{self, Then};
use super::{StepResult, account};
use crate::cloud::{CreationState, NewAccount};
use crate::context::StepContext;
use crate::holds;
use crate::step::{Outcome, StepError, attention};

/// For what it waits.
const FOR: &str = "the account to be created";

/// How often AWS may fail to create the account before a person is asked.
const TRIES: u32 = 3;

/// Within this time no creation has ended yet.
const JUST_NOW: TimeDelta = TimeDelta::seconds(2);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if let Some(id) = context.known("account_id") {
        // Found or adopted when it was asked for.
        return account::mapped(context, id).await;
    }
    let Some(request) = context.known::<Option<String>>("creation_request_id").flatten() else {
        // The creation asked for before has failed in a way that asking again may mend; or AWS had made the account after all.
        if context.remembered::<u32>("creation_failures").unwrap_or(0) > 0
            && context.intended::<NewAccount>().is_none()
            && let Some(found) = context.cloud().find_account(&account::email(context)).await?
        {
            return account::adopt(context, found).await;
        }
        let outcome = account::obtain(context).await?;
        let asked = outcome.wait.is_none() && !outcome.facts.contains_key("account_id");
        return Ok(if asked { again(outcome, context, FOR) } else { outcome });
    };
    let since = account::requested_at(context);
    if context.now() - since < JUST_NOW {
        return still_in_progress(context, &request, since).await;
    }
    let creation = match context.cloud().creation(&request).await {
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
            Ok(account::mapped(context, id).await?.with("took_seconds", took).with("created_at", ended.to_rfc3339()))
        }
        CreationState::Failed(reason) => failed(context, &reason).await,
    }
}

async fn still_in_progress(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    let (usually, at_most) =
        (context.config().usual.account_creation_seconds, context.config().waits.account_creation_seconds);
    let outcome = context.wait_to_be_told(FOR, since, usually, at_most).await?;
    Ok(outcome.with("creation_request_id", request))
}

/// AWS does not know the request any more, or not yet: the account itself is the proof.
async fn forgotten(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    match context.cloud().find_account(&account::email(context)).await? {
        Some(found) => account::adopt(context, found).await,
        None => still_in_progress(context, request, since).await,
    }
}

async fn failed(context: &StepContext, reason: &str) -> StepResult {
    // What came of the intent is known: nothing. The request is over, and so is its place.
    context.withdraw().await?;
    let place = account::place(context);
    let forget = |outcome: Outcome| outcome.with("creation_request_id", serde_json::Value::Null);
    let email = account::email(context);
    let failures = context.remembered::<u32>("creation_failures").unwrap_or(0) + 1;
    let then = creation_failures::then(reason);
    if let Then::Hold(kind) = then {
        // It keeps its turn, not its place.
        return Ok(forget(Outcome::failed(holds::begin(context, &place, kind).await?)));
    }
    if let Then::AdoptOrPark | Then::AdoptOrAskAgain = then
        && let Some(found) = context.cloud().find_account(&email).await?
    {
        return match account::adopt(context, found).await {
            Err(error) if error.parks() => Ok(forget(Outcome::failed(error)).releasing(place)),
            adopted => adopted,
        };
    }
    holds::hand_over(context, &place).await?;
    let error = match then {
        Then::AdoptOrAskAgain if failures < TRIES => {
            let why = "another request for the account, since AWS failed the last one";
            let outcome = Outcome::wait(why, context.now() + account::CERTAINTY);
            return Ok(forget(outcome).releasing(place).with("creation_failures", failures));
        }
        Then::AdoptOrPark => account::taken(&email, "it is outside this organisation or closed"),
        Then::Park { code, sentence } => failed_for_good(code, format!("{sentence} AWS says {reason}.")),
        Then::AdoptOrAskAgain | Then::Hold(_) => failed_for_good(
            "account_creation_failed",
            format!(
                "AWS could not create the account {TRIES} times, the last time with {reason}. Ask AWS, then retry."
            ),
        ),
    };
    Ok(forget(Outcome::failed(error)).releasing(place).with("creation_failures", 0))
}

/// A person removes the cause, names another address, or an account that is there already.
fn failed_for_good(code: &str, sentence: String) -> StepError {
    StepError::Park(attention(code, sentence).or(Remedy::Correct).or(Remedy::Adopt))
}

fn again(outcome: Outcome, context: &StepContext, why: &str) -> Outcome {
    let wait = Outcome::wait(why, context.now() + TimeDelta::minutes(1)).wait;
    Outcome { wait, ..outcome }
}
