//! ★ Workflow of moving the home of an environment to one of its replicas, while the environment stays ready. This
//! file contains only the list of steps.

use freehold_tenancy::step::StepName;

use crate::front_door_steps::{deploy_front_door, verify_front_door};
use crate::step::{Step, Undo};
use crate::steps::{move_home, set_home_region};

/// Steps of a `move_home` operation.
pub static MOVE_HOME_STEPS: &[Step] = &[
    // This step changes only the records of Freehold. The following ones bring AWS into line with them.
    Step {
        name: StepName::MoveHome,
        after: &[],
        quota: None,
        run: |context| Box::pin(move_home::run(context)),
        undo: Undo::NotNeeded("another move brings the home back"),
    },
    deploy_front_door(&[StepName::MoveHome]),
    verify_front_door(&[StepName::FrontDoor]),
    Step {
        name: StepName::SetHomeRegion,
        after: &[StepName::MoveHome],
        quota: None,
        run: |context| Box::pin(set_home_region::run(context)),
        undo: Undo::NotNeeded("another move sets it again"),
    },
];
