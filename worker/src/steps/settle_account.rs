//! Searches for the account that the onboarding may have requested, so that no account is left behind unnoticed.

use chrono::{DateTime, Utc};
use freehold_tenancy::step::{JournalEntry, StepName};
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use serde_json::Value;

use super::StepResult;
use super::shared::account_request;
use crate::cloud::{Creation, CreationState, NewAccount};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Account request in the journal of the earlier onboarding.
enum EarlierAccountRequest {
    NotRequested,
    /// An account was requested. Contains the id of the request.
    Request(String),
    /// The outcome of the intent is unknown. Contains the intent and its time.
    Unknown(NewAccount, DateTime<Utc>),
}

pub(crate) async fn run(context: &StepContext) -> StepResult {
    if let Some(id) = context.account_id() {
        return account_request::use_known_account(context, id).await;
    }
    match earlier_account_request(context) {
        EarlierAccountRequest::NotRequested => {
            Ok(StepOutcome { skip_reason: Some("no account was requested".to_owned()), ..no_account(context) })
        }
        EarlierAccountRequest::Request(id) => {
            let creation = context.aws().creation_status(&id).await?;
            requested_account(context, creation).await
        }
        EarlierAccountRequest::Unknown(account, at) => {
            if let Some(creation) = context.aws().find_creation(&account.name, at).await? {
                return requested_account(context, creation).await;
            }
            if let Some(found) = context.aws().find_account(&account.email).await? {
                return own_account_or_none(context, account_request::adopt(context, found).await);
            }
            if context.now() < at + account_request::RETRY_REQUEST_AFTER {
                let reason = WaitReason::LostResponse(RequestedWork::Account);
                return Ok(StepOutcome::wait(reason, at + account_request::RETRY_REQUEST_AFTER));
            }
            Ok(no_account(context))
        }
    }
}

async fn requested_account(context: &StepContext, creation: Creation) -> StepResult {
    match creation.state {
        // The account of another environment is not offboarded with this one.
        CreationState::Succeeded(id) if context.is_mapped_to_other(&id).await? => Ok(no_account(context)),
        CreationState::Succeeded(id) => account_request::map_account(context, id).await,
        CreationState::Failed(_) => Ok(no_account(context)),
        CreationState::InProgress => {
            let (expected, limits) = (&context.config().expected_durations, &context.config().timeouts);
            let (expected, at_most) = (expected.account_creation_seconds, limits.account_creation_seconds);
            let reason = WaitReason::AccountCreationBeforeOffboarding;
            let waiting = context.poll_later(reason, creation.requested_at, expected, at_most).await?;
            Ok(waiting.with("creation_request_id", creation.request_id))
        }
    }
}

/// Completes the step without an account if the account that was found belongs to another owner. Such an account
/// contains no resources of this environment.
fn own_account_or_none(context: &StepContext, adopted: StepResult) -> StepResult {
    match adopted {
        Err(StepError::NeedsAttention(_)) => Ok(no_account(context)),
        adopted => adopted,
    }
}

fn no_account(context: &StepContext) -> StepOutcome {
    StepOutcome::done().with("account_id", Value::Null).with_released_slot(account_request::slot(context))
}

/// Returns the account request in the journal of the onboarding. The entry of `await-account` takes precedence over
/// that of `request-account`.
fn earlier_account_request(context: &StepContext) -> EarlierAccountRequest {
    if let Some(request) = context.step_fact::<String>("creation_request_id") {
        return EarlierAccountRequest::Request(request);
    }
    let awaiting = context.earlier_entries(StepName::AwaitAccount).next();
    let latest = awaiting.filter(|entry| entry.intent.is_some() || entry.facts.contains_key("creation_request_id"));
    latest.or_else(|| context.earlier_entries(StepName::RequestAccount).next()).map_or(
        EarlierAccountRequest::NotRequested,
        |entry| {
            let request = entry.facts.get("creation_request_id").and_then(Value::as_str);
            match (request, intent(entry)) {
                (Some(request), _) => EarlierAccountRequest::Request(request.to_owned()),
                (None, Some((account, at))) => EarlierAccountRequest::Unknown(account, at),
                (None, None) => EarlierAccountRequest::NotRequested,
            }
        },
    )
}

fn intent(entry: &JournalEntry) -> Option<(NewAccount, DateTime<Utc>)> {
    Some((serde_json::from_value(entry.intent.clone()?).ok()?, entry.intent_at?))
}
