//! ★ Workflow of suspending an environment, without a countdown to its deletion. This file contains only the list of
//! steps.
//!
//! The steps are the first ones of offboarding: they delete nothing, and `restoring.rs` reverses them.

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use crate::front_door_steps::{close_front_door, disable_front_door};
use crate::step::{Step, Undo};
use crate::steps::{revoke_access, settle_account, suspend};

/// Steps of a `suspend` operation.
pub static SUSPEND_STEPS: &[Step] = &[
    // A suspension may interrupt an onboarding whose account is being created.
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
        undo: Undo::NotNeeded("resuming moves the account back"),
    },
    Step {
        name: StepName::RevokeAccess,
        after: &[StepName::Suspend],
        quota: Some(Quota::Assignments),
        run: |context| Box::pin(revoke_access::run(context)),
        undo: Undo::NotNeeded("resuming assigns the access again"),
    },
    close_front_door(&[StepName::Suspend]),
    disable_front_door(&[StepName::Suspend]),
];
