//! Deletes the two narrow roles from the account; after that Freehold does nothing in it any more.

use freehold_tenancy::step::StepName;

use super::shared::stack_deletion::StackDeletion;
use super::{StepResult, install_baseline};
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let baseline = install_baseline::deployment(context);
    let removal = StackDeletion {
        made_by: StepName::InstallBaseline,
        role: baseline.role,
        region: baseline.region,
        name: baseline.name,
    };
    removal.run(context).await
}
