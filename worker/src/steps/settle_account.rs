//! Finds out what became of the account that onboarding asked for, so that no account is left that nobody knows of.

use chrono::{DateTime, Utc};
use freehold_tenancy::step::{JournalEntry, StepName};
use serde_json::Value;

use super::StepResult;
use super::shared::account_request;
use crate::cloud::{Creation, CreationState, NewAccount};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// What the onboarding has left behind.
enum LeftoverAccount {
    /// Nothing was asked for.
    Nothing,
    /// A request that AWS knows by this id.
    Request(String),
    /// It set out to ask, and nobody knows whether it did.
    Unknown(NewAccount, DateTime<Utc>),
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if let Some(id) = context.account_id() {
        return account_request::mapped(context, id).await;
    }
    match left(context) {
        LeftoverAccount::Nothing => Ok(nothing(context)),
        LeftoverAccount::Request(id) => {
            let creation = context.cloud().creation_status(&id).await?;
            ended(context, creation).await
        }
        LeftoverAccount::Unknown(asked, at) => {
            if let Some(creation) = context.cloud().find_creation(&asked.name, at).await? {
                return ended(context, creation).await;
            }
            if let Some(found) = context.cloud().find_account(&asked.email).await? {
                return ours_or_nothing(context, account_request::adopt(context, found).await);
            }
            if context.now() < at + account_request::RECREATE_AFTER {
                let why = "certainty that the request made before left nothing behind";
                return Ok(StepOutcome::wait(why, at + account_request::RECREATE_AFTER));
            }
            Ok(nothing(context))
        }
    }
}

async fn ended(context: &StepContext, creation: Creation) -> StepResult {
    match creation.state {
        CreationState::Succeeded(id) => account_request::mapped(context, id).await,
        CreationState::Failed(_) => Ok(nothing(context)),
        CreationState::InProgress => {
            let (usual, waits) = (&context.config().expected_durations, &context.config().timeouts);
            let (usually, at_most) = (usual.account_creation_seconds, waits.account_creation_seconds);
            let why = "the account that was asked for to be created, so that it can be let go";
            let waiting = context.poll_later(why, creation.requested_at, usually, at_most).await?;
            Ok(waiting.with("creation_request_id", creation.request_id))
        }
    }
}

/// An account that is somebody else's is none of this environment's to let go.
fn ours_or_nothing(context: &StepContext, adopted: StepResult) -> StepResult {
    match adopted {
        Err(StepError::NeedsAttention(_)) => Ok(nothing(context)),
        adopted => adopted,
    }
}

fn nothing(context: &StepContext) -> StepOutcome {
    StepOutcome::done().with("account_id", Value::Null).releasing(account_request::place(context))
}

/// What the journal of the onboarding says; the later step knows better.
fn left(context: &StepContext) -> LeftoverAccount {
    if let Some(request) = context.step_fact::<String>("creation_request_id") {
        return LeftoverAccount::Request(request);
    }
    let awaiting = context.earlier_entries(StepName::AwaitAccount).next();
    let latest = awaiting.filter(|entry| entry.intent.is_some() || entry.facts.contains_key("creation_request_id"));
    latest.or_else(|| context.earlier_entries(StepName::RequestAccount).next()).map_or(
        LeftoverAccount::Nothing,
        |entry| {
            let request = entry.facts.get("creation_request_id").and_then(Value::as_str);
            match (request, intent(entry)) {
                (Some(request), _) => LeftoverAccount::Request(request.to_owned()),
                (None, Some((asked, at))) => LeftoverAccount::Unknown(asked, at),
                (None, None) => LeftoverAccount::Nothing,
            }
        },
    )
}

fn intent(entry: &JournalEntry) -> Option<(NewAccount, DateTime<Utc>)> {
    Some((serde_json::from_value(entry.intent.clone()?).ok()?, entry.intent_at?))
}
