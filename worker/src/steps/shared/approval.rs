//! Approval by a second person before an account is created or closed.

use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::operation::OperationKind;
use serde_json::json;

use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Returns the error that parks the operation until a second person has approved or rejected it.
pub(in crate::steps) fn approval_required(message: &str) -> StepError {
    StepError::needs_attention(AttentionCode::ApprovalRequired, message)
}

/// Checks that the account may be requested: the operation needs no approval, or a second person has approved this
/// exact request. Otherwise requests the approval. A rejection cancels the onboarding.
///
/// Whether an approval is required was decided when the operation was accepted. A later change of the tenant's tier or
/// of the configuration has no influence.
pub(in crate::steps) async fn check_account_creation(context: &StepContext) -> Result<(), StepError> {
    if context.operation_kind() != OperationKind::Onboard || context.approval_required() == Some(false) {
        return Ok(());
    }
    let (tenant, environment) = (context.tenant(), context.environment());
    let approvals = context.approvals().await?;
    let last = approvals.iter().rfind(|approval| approval.action == ApprovalAction::Vend);
    // The previous version accepted operations without the decision.
    if context.approval_required().is_none() && !context.config().requires_approval(&tenant.tier) && last.is_none() {
        return Ok(());
    }
    let request = json!({
        "company_name": tenant.company_name,
        "tier": tenant.tier,
        "environment": environment.name,
        "home_region": environment.home_region,
    });
    match last {
        Some(last) if last.state == ApprovalState::Approved && last.request == request => return Ok(()),
        Some(last) if last.state == ApprovalState::Pending => {}
        _ => context.request_vending_approval(&request).await?,
    }
    Err(approval_required(
        "The tier in which the account was requested requires approval before an AWS account is created. A person \
         other than the requester must approve or reject it.",
    ))
}
