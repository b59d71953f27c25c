//! Waits until the account exists, and maps it to the environment.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::operation::Remedy;

use super::{StepResult, account};
use crate::cloud::CreationState;
use crate::context::StepContext;
use crate::step::{Outcome, StepError, attention};

/// Creations take "a few minutes" (Organizations API Reference); sooner in most reports.
pub(super) const USUALLY_SECONDS: u64 = 60;

/// For what it waits.
const FOR: &str = "the account to be created";

/// How often AWS may fail to create the account before a person is asked.
const TRIES: u32 = 3;

/// Within this time no creation has ended yet.
const JUST_NOW: TimeDelta = TimeDelta::seconds(2);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if let Some(id) = context.known("account_id") {
        // Found or adopted when it was asked for.
        return account::mapped(context, id);
    }
    let Some(request) = context.known::<Option<String>>("creation_request_id").flatten() else {
        // The creation asked for before has failed in a way that asking again may mend.
        let outcome = account::obtain(context).await?;
        let asked = outcome.wait.is_none() && !outcome.facts.contains_key("account_id");
        return Ok(if asked { again(outcome, context, FOR) } else { outcome });
    };
    let since = account::requested_at(context);
    if !context.has_looked() && context.now() - since < JUST_NOW {
        return still_in_progress(context, &request, since).await;
    }
    if context.remembered("ended") != Some(true) {
        if let Some(next) = context.looked_for_everybody(USUALLY_SECONDS).await {
            return Ok(Outcome::wait(FOR, next));
        }
        let in_progress = context.cloud().creations_in_progress().await?;
        let at_most = context.config().quotas.account_creations;
        context.share_look("creation_request_id", &in_progress, at_most).await?;
        if in_progress.contains(&request) {
            return still_in_progress(context, &request, since).await;
        }
    }
    let creation = context.cloud().creation(&request).await?;
    match creation.state {
        CreationState::InProgress => still_in_progress(context, &request, since).await,
        CreationState::Succeeded(id) => {
            let ended = creation.completed_at.unwrap_or_else(|| context.now());
            let took = (ended - creation.requested_at).as_seconds_f64();
            Ok(account::mapped(context, id)?.with("took_seconds", took).with("created_at", ended.to_rfc3339()))
        }
        CreationState::Failed(reason) => failed(context, &reason).await,
    }
}

async fn still_in_progress(context: &StepContext, request: &str, since: DateTime<Utc>) -> StepResult {
    let at_most = context.config().waits.account_creation_seconds;
    let outcome = context.look_again(FOR, since, USUALLY_SECONDS, at_most).await?;
    Ok(outcome.with("creation_request_id", request).with("ended", false))
}

async fn failed(context: &StepContext, reason: &str) -> StepResult {
    // What came of the intent is known: nothing. The request is over, and so is its place.
    context.withdraw().await?;
    let forget = |outcome: Outcome| {
        outcome.with("creation_request_id", serde_json::Value::Null).releasing(account::place(context))
    };
    let failures = context.remembered::<u32>("creation_failures").unwrap_or(0) + 1;
    let email = account::email(context);
    let worth_a_look = ["EMAIL_ALREADY_EXISTS", "INTERNAL_FAILURE", "CONCURRENT_ACCOUNT_MODIFICATION"];
    if worth_a_look.contains(&reason)
        && let Some(found) = context.cloud().find_account(&email).await?
    {
        return match account::adopt(context, found).await {
            Err(error) if error.parks() => Ok(forget(Outcome::failed(error))),
            adopted => adopted,
        };
    }
    let error = match reason {
        // AWS's side; or our own request reached it twice, and one of the two goes on.
        "INTERNAL_FAILURE" | "CONCURRENT_ACCOUNT_MODIFICATION" if failures < TRIES => {
            let why = "another request for the account, since AWS failed the last one";
            let outcome = Outcome::wait(why, context.now() + account::CERTAINTY);
            return Ok(forget(outcome).with("creation_failures", failures));
        }
        "EMAIL_ALREADY_EXISTS" => account::taken(&email, "it is outside this organisation or closed"),
        "ACCOUNT_LIMIT_EXCEEDED" => account::quota_reached(),
        reason => {
            let sentence = format!("AWS could not create the account: {reason}. Remove the cause, then retry.");
            StepError::Park(attention("account_creation_failed", sentence).or(Remedy::Correct).or(Remedy::Adopt))
        }
    };
    Ok(forget(Outcome::failed(error)).with("creation_failures", 0))
}

fn again(outcome: Outcome, context: &StepContext, why: &str) -> Outcome {
    let wait = Outcome::wait(why, context.now() + TimeDelta::minutes(1)).wait;
    Outcome { wait, ..outcome }
}
