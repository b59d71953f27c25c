//! Checks that the OU of the residency has its region guardrail before an account is moved there.

use freehold_tenancy::attention::AttentionCode;

use super::StepResult;
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    Ok(StepOutcome::done().with("residency_ou_id", guarded_ou(context).await?))
}

/// Returns the id of the residency's OU. If the OU or its guardrail is missing, the operation needs attention.
pub(super) async fn guarded_ou(context: &StepContext) -> Result<String, StepError> {
    let residency = context.residency()?;
    match context.aws().residency_ou(residency).await? {
        Some(ou) if ou.guarded => Ok(ou.ou_id),
        Some(ou) => Err(StepError::needs_attention(
            AttentionCode::GuardrailMissing,
            format!(
                "The OU {} of residency `{}` does not have its region guardrail. Run `freehold bootstrap`, then retry.",
                ou.ou_id, residency.name
            ),
        )),
        None => Err(StepError::needs_attention(
            AttentionCode::ResidencyNotPrepared,
            format!("The residency `{}` has no OU yet. Run `freehold bootstrap`, then retry.", residency.name),
        )),
    }
}
