//! Deletes the stack with Freehold's two roles from the account. Freehold has no access afterwards.

use freehold_tenancy::step::StepName;

use super::shared::stack_deletion::StackDeletion;
use super::{StepResult, install_baseline};
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let baseline = install_baseline::deployment(context);
    let deletion = StackDeletion {
        created_by: StepName::InstallBaseline,
        role: baseline.role,
        region: baseline.region,
        name: baseline.name,
    };
    deletion.run(context).await
}
