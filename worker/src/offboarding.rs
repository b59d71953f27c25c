//! ★ From a living environment to one that is gone: the list of steps, and nothing else.
//!
//! It suspends at once. What destroys comes after `cool-off`, until whose end everything can be restored.

use crate::quota::{ACCOUNT_CLOSURES, ACCOUNT_CREATIONS, ASSIGNMENTS};
use crate::step::{Step, Undo};
use crate::steps::{
    await_closure, close_account, cool_off, delete_baseline, delete_stack, revoke_access, settle_account, suspend,
};

/// The list that an `offboard` operation walks.
pub static OFFBOARDING: &[Step] = &[
    Step {
        name: "settle-account",
        after: &[],
        quota: Some(ACCOUNT_CREATIONS),
        run: |context| Box::pin(settle_account::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
    Step {
        name: "suspend",
        after: &["settle-account"],
        quota: None,
        run: |context| Box::pin(suspend::run(context)),
        undo: Undo::NotNeeded("restoring moves the account back"),
    },
    Step {
        name: "revoke-access",
        after: &["suspend"],
        quota: Some(ASSIGNMENTS),
        run: |context| Box::pin(revoke_access::run(context)),
        undo: Undo::NotNeeded("restoring grants it anew"),
    },
    Step {
        name: "cool-off",
        after: &["revoke-access"],
        quota: None,
        run: |context| Box::pin(cool_off::run(context)),
        undo: Undo::NotNeeded("it only waits"),
    },
    Step {
        name: "delete-stack",
        after: &["cool-off"],
        quota: None,
        run: |context| Box::pin(delete_stack::run(context)),
        undo: Undo::Manual("what was deleted is gone"),
    },
    Step {
        name: "delete-baseline",
        after: &["delete-stack"],
        quota: None,
        run: |context| Box::pin(delete_baseline::run(context)),
        undo: Undo::Manual("what was deleted is gone"),
    },
    Step {
        name: "close-account",
        after: &["delete-baseline"],
        quota: Some(ACCOUNT_CLOSURES),
        run: |context| Box::pin(close_account::run(context)),
        undo: Undo::Manual("AWS reopens a closed account within 90 days, on request"),
    },
    Step {
        name: "await-closure",
        after: &["close-account"],
        quota: Some(ACCOUNT_CLOSURES),
        run: |context| Box::pin(await_closure::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
];
