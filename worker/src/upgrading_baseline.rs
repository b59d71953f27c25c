//! ★ Workflow of upgrading the baseline of an environment, which stays ready. This file contains only the list of
//! steps.

use freehold_tenancy::step::StepName;

use crate::step::{Step, Undo};
use crate::steps::upgrade_baseline;

/// Steps of an `upgrade_baseline` operation.
pub static UPGRADE_BASELINE_STEPS: &[Step] = &[Step {
    name: StepName::UpgradeBaseline,
    after: &[],
    quota: None,
    run: |context| Box::pin(upgrade_baseline::run(context)),
    undo: Undo::Step(StepName::DeleteBaseline),
}];
