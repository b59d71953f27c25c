//! ★ Workflow of refreshing the residency proof of an environment, which stays ready. This file contains only the list
//! of steps.

use freehold_tenancy::step::StepName;

use crate::step::{Step, Undo};
use crate::steps::prove_residency;

/// Steps of a `prove_residency` operation.
pub static PROVE_RESIDENCY_STEPS: &[Step] = &[Step {
    name: StepName::ProveResidency,
    after: &[],
    quota: None,
    run: |context| Box::pin(prove_residency::run(context)),
    undo: Undo::NotNeeded("it only reads, and a proof describes the time of its observations"),
}];
