//! ★ From signup to a ready environment: the list of steps, and nothing else.

use crate::quota::{ACCOUNT_CREATIONS, ASSIGNMENTS, REGION_OPT_INS};
use crate::step::{Step, Undo};
use crate::steps::{
    await_account, deploy_stack, enable_regions, enforce_residency, grant_access, install_baseline, place_account,
    reach_account, request_account, verify,
};

/// The list that an `onboard` operation walks. Steps whose `after` are done run side by side.
pub static ONBOARDING: &[Step] = &[
    Step {
        name: "request-account",
        after: &[],
        quota: Some(ACCOUNT_CREATIONS),
        run: |context| Box::pin(request_account::run(context)),
        undo: Undo::Step("settle-account"),
    },
    Step {
        name: "await-account",
        after: &["request-account"],
        quota: Some(ACCOUNT_CREATIONS),
        run: |context| Box::pin(await_account::run(context)),
        undo: Undo::Manual("an account cannot be un-created; it rests in quarantine until somebody has it closed"),
    },
    Step {
        name: "enforce-residency",
        after: &[],
        quota: None,
        run: |context| Box::pin(enforce_residency::run(context)),
        undo: Undo::NotNeeded("the guardrail is shared by the OU"),
    },
    Step {
        name: "place-account",
        after: &["await-account", "enforce-residency"],
        quota: None,
        run: |context| Box::pin(place_account::run(context)),
        undo: Undo::Step("suspend"),
    },
    Step {
        name: "reach-account",
        after: &["place-account"],
        quota: None,
        run: |context| Box::pin(reach_account::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
    Step {
        name: "install-baseline",
        after: &["reach-account"],
        quota: None,
        run: |context| Box::pin(install_baseline::run(context)),
        undo: Undo::Step("delete-baseline"),
    },
    Step {
        name: "enable-regions",
        after: &["place-account"],
        quota: Some(REGION_OPT_INS),
        run: |context| Box::pin(enable_regions::run(context)),
        undo: Undo::NotNeeded("an enabled region costs nothing and the guardrail holds it shut"),
    },
    Step {
        name: "deploy-stack",
        after: &["install-baseline", "enable-regions"],
        quota: None,
        run: |context| Box::pin(deploy_stack::run(context)),
        undo: Undo::Step("delete-stack"),
    },
    Step {
        name: "grant-access",
        after: &["reach-account"],
        quota: Some(ASSIGNMENTS),
        run: |context| Box::pin(grant_access::run(context)),
        undo: Undo::Step("revoke-access"),
    },
    Step {
        name: "verify",
        after: &["deploy-stack", "grant-access"],
        quota: None,
        run: |context| Box::pin(verify::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
];
