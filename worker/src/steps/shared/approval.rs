//! What waits for a second person's word: before an account is spent, and before one is closed.

use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::attention::{Attention, Remedy};
use freehold_tenancy::config::{TierConfig, VendingApproval};
use freehold_tenancy::operation::OperationKind;
use serde_json::json;

use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Waits until another person has approved or rejected it.
pub(in crate::steps) fn needed(message: &str) -> StepError {
    let (code, message) = ("approval_required".to_owned(), message.to_owned());
    StepError::NeedsAttention(Attention { code, message, remedies: vec![Remedy::Approve] })
}

/// Passes where an account may be asked for: the tenant's tier does not want to be asked about it, or another person than the
/// one that signed up has approved just this. Who rejects it ends the onboarding.
///
/// What was asked for once is waited for, whatever the tier has become meanwhile: else whoever may change the tier could do
/// without the other person. Only where no tier wants anything approved any more is nobody waited for.
pub(in crate::steps) async fn to_vend(context: &StepContext) -> Result<(), StepError> {
    let required = |tier: &TierConfig| tier.approval == VendingApproval::Required;
    if context.operation_kind() != OperationKind::Onboard || !context.config().tiers.iter().any(required) {
        return Ok(());
    }
    let (tenant, environment) = (context.tenant(), context.environment());
    let asked = context.approvals().await?;
    let last = asked.iter().rfind(|approval| approval.action == ApprovalAction::Vend);
    let wanted = context.config().tier(&tenant.tier).is_some_and(required);
    if !wanted && last.is_none() {
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
    Err(needed(
        "An account of the organisation is about to be spent on this tenant, whose tier wants that approved. Another person \
         than the one that asked for it has to approve or reject that.",
    ))
}
