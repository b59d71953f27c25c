//! ★ Workflow of offboarding, from an active to an offboarded environment. This file contains only the list of steps.
//!
//! The environment is suspended immediately and can be restored until the step `cool-off` is done. Destructive steps
//! follow.

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use crate::front_door_steps::{close_front_door, delete_front_door, disable_front_door};
use crate::replica_steps::delete_replica;
use crate::step::{Step, Undo};
use crate::steps::{
    await_closure, close_account, cool_off, delete_baseline, delete_stack, revoke_access, settle_account, suspend,
};

/// Steps of an `offboard` operation.
pub static OFFBOARD_STEPS: &[Step] = &[
    Step {
        name: StepName::SettleAccount,
        after: &[],
        quota: Some(Quota::AccountCreations),
        run: |context| Box::pin(settle_account::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
    Step {
        name: StepName::Suspend,
        after: &[StepName::SettleAccount],
        quota: None,
        run: |context| Box::pin(suspend::run(context)),
        undo: Undo::NotNeeded("restoring moves the account back"),
    },
    Step {
        name: StepName::RevokeAccess,
        after: &[StepName::Suspend],
        quota: Some(Quota::Assignments),
        run: |context| Box::pin(revoke_access::run(context)),
        undo: Undo::NotNeeded("restoring assigns the access again"),
    },
    Step {
        name: StepName::CoolOff,
        after: &[StepName::RevokeAccess],
        quota: None,
        run: |context| Box::pin(cool_off::run(context)),
        undo: Undo::NotNeeded("it only waits"),
    },
    close_front_door(&[StepName::Suspend]),
    disable_front_door(&[StepName::Suspend]),
    delete_front_door(&[StepName::CoolOff, StepName::CloseFrontDoor, StepName::DisableFrontDoor]),
    delete_replica(StepName::DeleteReplica1, &[StepName::CoolOff, StepName::DeleteFrontDoor]),
    delete_replica(StepName::DeleteReplica2, &[StepName::CoolOff, StepName::DeleteFrontDoor]),
    delete_replica(StepName::DeleteReplica3, &[StepName::CoolOff, StepName::DeleteFrontDoor]),
    Step {
        name: StepName::DeleteStack,
        after: &[
            StepName::CoolOff,
            StepName::DeleteFrontDoor,
            StepName::DeleteReplica1,
            StepName::DeleteReplica2,
            StepName::DeleteReplica3,
        ],
        quota: None,
        run: |context| Box::pin(delete_stack::run(context)),
        undo: Undo::Manual("a deleted stack cannot be restored"),
    },
    Step {
        name: StepName::DeleteBaseline,
        after: &[StepName::DeleteStack],
        quota: None,
        run: |context| Box::pin(delete_baseline::run(context)),
        undo: Undo::Manual("a deleted stack cannot be restored"),
    },
    Step {
        name: StepName::CloseAccount,
        after: &[StepName::DeleteBaseline],
        quota: Some(Quota::AccountClosures),
        run: |context| Box::pin(close_account::run(context)),
        undo: Undo::Manual("AWS reopens a closed account within 90 days, on request"),
    },
    Step {
        name: StepName::AwaitClosure,
        after: &[StepName::CloseAccount],
        quota: Some(Quota::AccountClosures),
        run: |context| Box::pin(await_closure::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
];
