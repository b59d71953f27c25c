//! Conversion of the result of a step into its record in the journal.

use chrono::TimeDelta;
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::attention::{Attention, AttentionCode, Remedy};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::lifecycle::{StepDisposition, StepRecord};
use freehold_tenancy::jitter;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::step::Facts;

use crate::context::StepContext;
use crate::shorten::shorten;
use crate::step::Step;
use crate::step_outcome::{StepError, StepOutcome, Wait};

/// Number of consecutive failures without progress after which the operation needs attention. Retries continue.
const MAX_FAILURES_WITHOUT_ATTENTION: u32 = 12;

/// Maximum number of characters of a text in the journal.
const MAX_TEXT_CHARS: usize = 1_000;

/// Converts the result of a run of `step` into a journal record. Returns a [`StepError::Journal`] as an error, because
/// it cannot be written to the journal.
pub(super) fn to_record(
    context: &StepContext,
    step: &'static Step,
    result: Result<StepOutcome, StepError>,
) -> Result<StepRecord, DbError> {
    let without_facts = |state| StepRecord {
        step: step.name,
        state,
        late: None,
        facts: Facts::new(),
        released: Vec::new(),
        quota: step.quota,
        mapped: None,
        access: None,
        stack: None,
        proof: None,
    };
    let failures = context.attempts_without_progress();
    Ok(match result {
        Ok(StepOutcome { failed: Some(error), facts, released, access, stack, .. }) => {
            StepRecord { facts, released, access, stack, ..to_record(context, step, Err(error))? }
        }
        Ok(StepOutcome { wait, skip_reason, late, facts, released, mapped, access, stack, proof, failed: None }) => {
            let state = match wait {
                None => skip_reason.map_or(StepDisposition::Done, StepDisposition::Skipped),
                Some(Wait { reason, check_at }) => StepDisposition::Waiting { why: reason.to_string(), check_at },
            };
            let (step, quota) = (step.name, step.quota);
            StepRecord { step, state, late, facts, released, quota, mapped, access, stack, proof }
        }
        Err(StepError::Blocked { reason, until, at_most }) => {
            let late = context.attention_if_blocked_too_long(&reason, at_most);
            let why = reason.to_string();
            let check_at = until.unwrap_or_else(|| context.now() + context.pause_while_blocked());
            StepRecord { late, ..without_facts(StepDisposition::Blocked { why, check_at }) }
        }
        Err(StepError::Retry { error, aws_request_id }) => {
            let late = (failures + 1 >= MAX_FAILURES_WITHOUT_ATTENTION).then(|| Attention {
                aws_request_id: aws_request_id.clone(),
                ..repeated_failure(failures + 1, &error)
            });
            let check_at = context.now() + retry_pause(failures);
            StepRecord { late, ..without_facts(StepDisposition::Retrying { error, aws_request_id, check_at }) }
        }
        Err(StepError::Failed(failure)) if context.operation_kind().keeps_environment_state() => {
            without_facts(StepDisposition::Failed(Attention { remedies: Vec::new(), ..failure }))
        }
        Err(StepError::NeedsAttention(attention) | StepError::Failed(attention)) => {
            without_facts(StepDisposition::Parked(attention))
        }
        Err(StepError::Journal(error)) => return Err(error),
    })
}

/// Shortens texts of AWS and removes control characters, because PostgreSQL cannot store some of them.
pub(super) fn sanitize_texts(mut record: StepRecord) -> StepRecord {
    let clean = |text: &mut String| {
        *text = shorten(&text.chars().filter(|c| !c.is_control()).collect::<String>(), MAX_TEXT_CHARS);
    };
    match &mut record.state {
        StepDisposition::Done => {}
        StepDisposition::Skipped(reason) => clean(reason),
        StepDisposition::Waiting { why, .. } | StepDisposition::Blocked { why, .. } => clean(why),
        StepDisposition::Retrying { error, .. } => clean(error),
        StepDisposition::Parked(attention) | StepDisposition::Failed(attention) => clean(&mut attention.message),
    }
    if let Some(late) = &mut record.late {
        clean(&mut late.message);
    }
    record
}

/// Adds the remedy `cancel` to the [`Attention`] of an onboarding.
pub(super) fn add_cancel_remedy(context: &StepContext, mut record: StepRecord) -> StepRecord {
    // The environment is ready before its replicas are deployed, and a cancellation would not offboard it.
    if context.operation_kind() == OperationKind::Onboard && record.step.replica().is_none() {
        if let StepDisposition::Parked(attention) = &mut record.state {
            attention.remedies.push(Remedy::Cancel);
        }
        if let Some(late) = &mut record.late {
            late.remedies.push(Remedy::Cancel);
        }
    }
    record
}

/// Returns the pause before a retry: 2 s, 4 s, 8 s, up to five minutes. A random share of up to a quarter is
/// subtracted, so that simultaneous failures are not retried at the same time.
fn retry_pause(failures: u32) -> TimeDelta {
    let longest = f64::from(2_u32.saturating_pow(failures.min(16) + 1)).min(300.0);
    seconds(longest * jitter::factor(0.75..1.0))
}

pub(super) fn log(context: &StepContext, record: &StepRecord) {
    let (tenant, operation, step) = (context.tenant().id, context.operation_id(), record.step.as_str());
    match &record.state {
        StepDisposition::Failed(_) => {}
        StepDisposition::Done => {
            tracing::info!(%tenant, %operation, step, "step {step} of operation {operation} of tenant {tenant} done");
        }
        StepDisposition::Skipped(reason) => {
            tracing::info!(
                %tenant, %operation, step, reason,
                "step {step} of operation {operation} of tenant {tenant} skipped: {reason}"
            );
        }
        StepDisposition::Waiting { why, check_at } | StepDisposition::Blocked { why, check_at } => {
            tracing::debug!(
                %tenant, %operation, step, why, %check_at,
                "step {step} of operation {operation} waits for {why}"
            );
        }
        StepDisposition::Retrying { error, aws_request_id, check_at } => {
            tracing::warn!(
                %tenant, %operation, step, error, aws_request_id, %check_at,
                "step {step} of operation {operation} failed and will be retried"
            );
        }
        StepDisposition::Parked(attention) => {
            tracing::warn!(
                %tenant, %operation, step, code = attention.code, aws_request_id = attention.aws_request_id,
                "step {step} of operation {operation} is parked: {}", attention.message
            );
        }
    }
    if let StepDisposition::Failed(failure) = &record.state {
        tracing::warn!(
            %tenant, %operation, step, code = failure.code,
            "step {step} of operation {operation} of tenant {tenant} failed: {}", failure.message
        );
    }
    if let Some(late) = &record.late {
        tracing::warn!(
            %tenant, %operation, step, code = late.code, aws_request_id = late.aws_request_id,
            "step {step} of operation {operation} is late: {}", late.message
        );
    }
}

/// Returns the error for an account that another environment has obtained at the same time. A retry helps an
/// offboarding, which then finishes without the account.
pub(super) fn account_taken(context: &StepContext, account: Option<&AwsAccountId>) -> StepError {
    let account = account.map_or_else(String::new, |account| format!(" {account}"));
    let is_onboarding = context.operation_kind() == OperationKind::Onboard;
    let remedy = if is_onboarding { "Adopt another account, or cancel." } else { "Retry." };
    let message = format!(
        "The account{account} found for this environment is mapped to another one. Nothing was changed. {remedy}"
    );
    let mut attention = Attention::new(AttentionCode::AccountMappedElsewhere, message);
    if !is_onboarding {
        attention.remedies = vec![Remedy::Retry];
    }
    StepError::NeedsAttention(attention)
}

fn repeated_failure(times: u32, error: &str) -> Attention {
    let message = format!(
        "The step failed {times} times in a row and is retried automatically. Fix the cause; a retry runs the step \
         immediately. The last error: {error}"
    );
    Attention::new(AttentionCode::StepKeepsFailing, message)
}
