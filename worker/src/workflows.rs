//! Workflows by kind of operation.

use freehold_tenancy::operation::OperationKind;

use crate::offboarding::OFFBOARDING;
use crate::onboarding::ONBOARDING;
use crate::restoring::RESTORING;
use crate::step::Step;

/// Returns the workflow of a kind of operation.
pub fn steps_of(kind: OperationKind) -> &'static [Step] {
    match kind {
        OperationKind::Onboard => ONBOARDING,
        OperationKind::Offboard => OFFBOARDING,
        OperationKind::Restore | OperationKind::Repair => RESTORING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Undo;

    #[test]
    fn an_undo_is_a_step_of_the_offboarding() {
        for step in ONBOARDING {
            if let Undo::Step(name) = step.undo {
                assert!(OFFBOARDING.iter().any(|step| step.name == name), "{} is undone by {name}", step.name);
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
