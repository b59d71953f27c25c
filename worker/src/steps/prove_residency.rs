//! Observes in AWS where an environment can run and where it runs, and signs the result as a residency proof. Makes no
//! changes.

mod assess;
mod observe;
mod sentences;

use chrono::TimeDelta;
use freehold_tenancy::attention::{Attention, AttentionCode};
use freehold_tenancy::residency_proof::ProofSigner;
use serde_json::{Value, json};

use super::StepResult;
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use observe::{PROGRESS_FACT, Progress};

/// Time after which the operation ends if AWS does not answer. An open operation would block other operations.
const MAX_DURATION: TimeDelta = TimeDelta::minutes(30);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let mut progress = Progress::resume(context);
    match prove(context, &mut progress).await {
        // The observations are in the proof and need not stay in the journal.
        Ok(outcome) => Ok(outcome.with(PROGRESS_FACT, Value::Null)),
        Err(error) => {
            let error = end_instead_of_waiting(context, error);
            let progress = if matches!(error, StepError::Failed(_)) { Value::Null } else { json!(progress) };
            Ok(StepOutcome::failed(error).with(PROGRESS_FACT, progress))
        }
    }
}

async fn prove(context: &StepContext, progress: &mut Progress) -> StepResult {
    let signer = signer(context)?;
    let mut document = observe::document(context, progress).await?;
    document.reasons = assess::reasons(&document, &context.residency()?.ou_name());
    document.conforms = document.reasons.is_empty();
    let conforms = document.conforms;
    let outcome = StepOutcome { proof: Some(signer.sign(&document)), ..StepOutcome::done() };
    Ok(outcome.with("proof_conforms", conforms))
}

fn signer(context: &StepContext) -> Result<ProofSigner, StepError> {
    let missing = |message: String| StepError::needs_attention(AttentionCode::CallNotPossible, message);
    let signer = context.config().proof.signer().map_err(|error| missing(error.to_string()))?;
    signer.ok_or_else(|| {
        missing(
            "The residency proof cannot be signed, because the worker has no proof.signing_key. Set \
             FREEHOLD_PROOF__SIGNING_KEY for all workers, restart them, then request the proof again."
                .to_owned(),
        )
    })
}

/// Turns an error into the end of the operation if a person must act, or if AWS has not answered for too long. The
/// earlier proof stays, and another can be requested.
fn end_instead_of_waiting(context: &StepContext, error: StepError) -> StepError {
    let is_late = context.now() - context.entry_started_at() >= MAX_DURATION;
    let late = |last: &str| {
        let message = format!(
            "The observations in AWS were not complete after {} minutes. Request the proof again. The last obstacle: \
             {last}",
            MAX_DURATION.num_minutes()
        );
        Attention::new(AttentionCode::DeadlinePassed, message)
    };
    match error {
        StepError::NeedsAttention(attention) => StepError::Failed(attention),
        StepError::Retry { error, aws_request_id } if is_late => {
            StepError::Failed(Attention { aws_request_id, ..late(&error) })
        }
        StepError::Blocked { reason, .. } if is_late => StepError::Failed(late(&reason.to_string())),
        error => error,
    }
}
