//! Makes sure that the OU of the residency carries its region guardrail, before any account is put there.

use super::StepResult;
use crate::context::StepContext;
use crate::step::{Outcome, StepError};

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let residency = context.residency()?;
    match context.cloud().residency_ou(residency).await? {
        Some(ou) if ou.guarded => Ok(Outcome::done().with("residency_ou_id", ou.ou_id)),
        Some(ou) => Err(StepError::park(
            "guardrail_missing",
            format!(
                "The OU {} of residency `{}` does not carry its region guardrail. Run `freehold bootstrap`, then retry.",
                ou.ou_id, residency.name
            ),
        )),
        None => Err(StepError::park(
            "residency_not_prepared",
            format!("The residency `{}` has no OU yet. Run `freehold bootstrap`, then retry.", residency.name),
        )),
    }
}
