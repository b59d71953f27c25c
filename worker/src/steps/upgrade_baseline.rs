//! Brings the baseline stack of an existing account to the current version, with the organisation's access role: the
//! role `freehold-access` must not change its own permissions.

use freehold_tenancy::operation::OperationKind;

use super::{StepResult, install_baseline};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    // An update does not read a stack that is current on record: the tags that must be checked before the account is
    // entered are read at a rate that the whole fleet shares.
    if context.operation_kind() == OperationKind::Update && install_baseline::is_current_on_record(context) {
        return Ok(StepOutcome::done());
    }
    install_baseline::upgrade(context).await
}
