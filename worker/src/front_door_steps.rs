//! Steps of front doors. An operation on an environment without a front door has none of them.

use freehold_tenancy::step::StepName;

use crate::step::{Step, Undo};
use crate::steps::{close_front_door, delete_front_door, disable_front_door, front_door, verify_front_door};

/// Step that creates the distribution, or brings it to the current regions.
pub(crate) const fn deploy_front_door(after: &'static [StepName]) -> Step {
    Step {
        name: StepName::FrontDoor,
        after,
        quota: None,
        run: |context| Box::pin(front_door::run(context)),
        undo: Undo::Step(StepName::DeleteFrontDoor),
    }
}

/// Step that verifies the distribution.
pub(crate) const fn verify_front_door(after: &'static [StepName]) -> Step {
    Step {
        name: StepName::VerifyFrontDoor,
        after,
        quota: None,
        run: |context| Box::pin(verify_front_door::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    }
}

/// Step that makes the functions refuse the distribution.
pub(crate) const fn close_front_door(after: &'static [StepName]) -> Step {
    Step {
        name: StepName::CloseFrontDoor,
        after,
        quota: None,
        run: |context| Box::pin(close_front_door::run(context)),
        undo: Undo::NotNeeded("restoring and resuming allow the distribution again"),
    }
}

/// Step that disables the distribution.
pub(crate) const fn disable_front_door(after: &'static [StepName]) -> Step {
    Step {
        name: StepName::DisableFrontDoor,
        after,
        quota: None,
        run: |context| Box::pin(disable_front_door::run(context)),
        undo: Undo::NotNeeded("restoring and resuming enable the distribution again"),
    }
}

/// Step that deletes the distribution.
pub(crate) const fn delete_front_door(after: &'static [StepName]) -> Step {
    Step {
        name: StepName::DeleteFrontDoor,
        after,
        quota: None,
        run: |context| Box::pin(delete_front_door::run(context)),
        undo: Undo::Manual("a new distribution has another domain name"),
    }
}
