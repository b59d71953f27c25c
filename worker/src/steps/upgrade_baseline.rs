//! Brings the baseline stack of an existing account to the current version, with the organisation's access role: the
//! role `freehold-access` must not change its own permissions.

use super::{StepResult, install_baseline};
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    install_baseline::upgrade(context).await
}
