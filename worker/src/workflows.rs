//! Which list an operation walks.

use freehold_tenancy::operation::OperationKind;

use crate::offboarding::OFFBOARDING;
use crate::onboarding::ONBOARDING;
use crate::restoring::RESTORING;
use crate::step::Step;

/// The list of each kind of operation.
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
    fn what_undoes_a_step_is_a_step_of_the_offboarding() {
        for step in ONBOARDING {
            if let Undo::Step(name) = step.undo {
                assert!(OFFBOARDING.iter().any(|step| step.name == name), "{} is undone by {name}", step.name);
            }
        }
    }

    #[test]
    fn every_list_names_a_step_once_and_only_waits_for_steps_before() {
        for kind in OperationKind::ALL {
            let list = steps_of(*kind);
            for (place, step) in list.iter().enumerate() {
                let before: Vec<_> = list[..place].iter().map(|step| step.name).collect();
                assert!(!before.contains(&step.name), "{kind} names {} twice", step.name);
                for after in step.after {
                    assert!(before.contains(after), "{kind}: {} waits for {after}", step.name);
                }
            }
        }
    }
}
