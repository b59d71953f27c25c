//! Workflows by kind of operation.

use std::collections::BTreeSet;

use freehold_tenancy::front_door::FrontDoorChange;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::replica::ReplicaSlot;
use freehold_tenancy::step::FrontDoorWork;

use crate::changing_regions::{CHANGE_REGIONS_STEPS, REMOVE_REGIONS_STEPS};
use crate::moving_home::MOVE_HOME_STEPS;
use crate::offboarding::OFFBOARD_STEPS;
use crate::onboarding::ONBOARD_STEPS;
use crate::proving_residency::PROVE_RESIDENCY_STEPS;
use crate::restoring::RESTORE_STEPS;
use crate::step::Step;
use crate::suspending::SUSPEND_STEPS;
use crate::updating::{PREVIEW_STEPS, UPDATE_STEPS};
use crate::upgrading_baseline::UPGRADE_BASELINE_STEPS;

/// Parts of an environment that an operation concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Concerns {
    pub(crate) replicas: BTreeSet<ReplicaSlot>,
    pub(crate) front_door: FrontDoorConcern,
}

/// Steps of the front door that an operation has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FrontDoorConcern {
    #[default]
    None,
    /// All of the workflow.
    All,
    /// Those of the requested change.
    Change(FrontDoorChange),
}

impl FrontDoorConcern {
    fn has(self, work: FrontDoorWork) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Change(FrontDoorChange::Deploy) => matches!(work, FrontDoorWork::Deploy | FrontDoorWork::Verify),
            Self::Change(FrontDoorChange::Delete) => matches!(work, FrontDoorWork::Close | FrontDoorWork::Delete),
        }
    }
}

/// Returns the steps of an operation: the workflow of its kind, without the steps of parts that the operation does not
/// concern.
pub(crate) fn steps_for(kind: OperationKind, concerns: &Concerns) -> Vec<&'static Step> {
    let is_concerned = |step: &&Step| {
        step.name.replica().is_none_or(|(slot, _)| concerns.replicas.contains(&slot))
            && step.name.front_door().is_none_or(|work| concerns.front_door.has(work))
    };
    steps_of(kind).iter().filter(is_concerned).collect()
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
        OperationKind::MoveHome => MOVE_HOME_STEPS,
        OperationKind::ProveResidency => PROVE_RESIDENCY_STEPS,
        OperationKind::Update => UPDATE_STEPS,
        OperationKind::Preview => PREVIEW_STEPS,
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
