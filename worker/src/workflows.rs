//! Workflows by kind of operation.

use std::collections::BTreeSet;

use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::replica::ReplicaSlot;

use crate::changing_regions::{CHANGE_REGIONS_STEPS, REMOVE_REGIONS_STEPS};
use crate::offboarding::OFFBOARD_STEPS;
use crate::onboarding::ONBOARD_STEPS;
use crate::restoring::RESTORE_STEPS;
use crate::step::Step;
use crate::suspending::SUSPEND_STEPS;
use crate::upgrading_baseline::UPGRADE_BASELINE_STEPS;

/// Returns the steps of an operation: the workflow of its kind, with the steps of the replicas in `slots` only.
pub(crate) fn steps_for(kind: OperationKind, slots: &BTreeSet<ReplicaSlot>) -> Vec<&'static Step> {
    let concerns = |step: &&Step| step.name.replica().is_none_or(|(slot, _)| slots.contains(&slot));
    steps_of(kind).iter().filter(concerns).collect()
}

/// Returns the workflow of a kind of operation, with the steps of all replicas.
pub fn steps_of(kind: OperationKind) -> &'static [Step] {
    match kind {
        OperationKind::Onboard => ONBOARD_STEPS,
        OperationKind::Offboard => OFFBOARD_STEPS,
        OperationKind::Restore | OperationKind::Repair | OperationKind::Resume => RESTORE_STEPS,
        OperationKind::UpgradeBaseline => UPGRADE_BASELINE_STEPS,
        OperationKind::Suspend => SUSPEND_STEPS,
        OperationKind::ChangeRegions => CHANGE_REGIONS_STEPS,
        OperationKind::RemoveRegions => REMOVE_REGIONS_STEPS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Undo;

    #[test]
    fn every_undo_is_a_step_of_the_offboarding_workflow() {
        for step in ONBOARD_STEPS {
            if let Undo::Step(name) = step.undo {
                assert!(OFFBOARD_STEPS.iter().any(|step| step.name == name), "{} is undone by {name}", step.name);
            }
        }
    }

    #[test]
    fn a_workflow_has_each_step_once_after_its_dependencies() {
        for kind in OperationKind::ALL {
            let list = steps_of(*kind);
            for (index, step) in list.iter().enumerate() {
                let before: Vec<_> = list[..index].iter().map(|step| step.name).collect();
                assert!(!before.contains(&step.name), "{kind} names {} twice", step.name);
                for after in step.after {
                    assert!(before.contains(after), "{kind}: {} waits for {after}", step.name);
                }
            }
        }
    }
}
