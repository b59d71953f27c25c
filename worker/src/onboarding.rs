//! ★ Workflow of onboarding, from signup to a ready environment. This file contains only the list of steps.

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use crate::front_door_steps::{deploy_front_door, verify_front_door};
use crate::replica_steps::{deploy_replica, enable_region, verify_replica};
use crate::step::{Step, Undo};
use crate::steps::{
    await_account, deploy_stack, enable_regions, enforce_residency, grant_access, install_baseline, place_account,
    reach_account, request_account, verify,
};

/// Steps of an `onboard` operation. A step starts when all steps in its `after` are done; independent steps run
/// concurrently.
pub static ONBOARD_STEPS: &[Step] = &[
    Step {
        name: StepName::RequestAccount,
        after: &[],
        quota: Some(Quota::AccountCreations),
        run: |context| Box::pin(request_account::run(context)),
        undo: Undo::Step(StepName::SettleAccount),
    },
    Step {
        name: StepName::AwaitAccount,
        after: &[StepName::RequestAccount],
        quota: Some(Quota::AccountCreations),
        run: |context| Box::pin(await_account::run(context)),
        undo: Undo::Manual("a created account stays in quarantine until its closure is requested"),
    },
    Step {
        name: StepName::EnforceResidency,
        after: &[],
        quota: None,
        run: |context| Box::pin(enforce_residency::run(context)),
        undo: Undo::NotNeeded("all accounts of the OU share the guardrail"),
    },
    Step {
        name: StepName::PlaceAccount,
        after: &[StepName::AwaitAccount, StepName::EnforceResidency],
        quota: None,
        run: |context| Box::pin(place_account::run(context)),
        undo: Undo::Step(StepName::Suspend),
    },
    Step {
        name: StepName::ReachAccount,
        after: &[StepName::PlaceAccount],
        quota: None,
        run: |context| Box::pin(reach_account::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
    Step {
        name: StepName::InstallBaseline,
        after: &[StepName::ReachAccount],
        quota: None,
        run: |context| Box::pin(install_baseline::run(context)),
        undo: Undo::Step(StepName::DeleteBaseline),
    },
    Step {
        name: StepName::EnableRegions,
        after: &[StepName::PlaceAccount],
        quota: Some(Quota::RegionOptIns),
        run: |context| Box::pin(enable_regions::run(context)),
        undo: Undo::NotNeeded("an enabled region costs nothing, and the guardrail denies its use"),
    },
    Step {
        name: StepName::DeployStack,
        after: &[StepName::InstallBaseline, StepName::EnableRegions],
        quota: None,
        run: |context| Box::pin(deploy_stack::run(context)),
        undo: Undo::Step(StepName::DeleteStack),
    },
    Step {
        name: StepName::GrantAccess,
        after: &[StepName::ReachAccount],
        quota: Some(Quota::Assignments),
        run: |context| Box::pin(grant_access::run(context)),
        undo: Undo::Step(StepName::RevokeAccess),
    },
    Step {
        name: StepName::Verify,
        after: &[StepName::DeployStack, StepName::GrantAccess],
        quota: None,
        run: |context| Box::pin(verify::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
    // The environment is ready now. Its replicas follow, so that a fault of the template shows in one region only.
    enable_region(StepName::EnableRegion1, &[StepName::PlaceAccount]),
    enable_region(StepName::EnableRegion2, &[StepName::PlaceAccount]),
    enable_region(StepName::EnableRegion3, &[StepName::PlaceAccount]),
    deploy_replica(StepName::DeployReplica1, &[StepName::Verify, StepName::EnableRegion1], StepName::DeleteReplica1),
    deploy_replica(StepName::DeployReplica2, &[StepName::Verify, StepName::EnableRegion2], StepName::DeleteReplica2),
    deploy_replica(StepName::DeployReplica3, &[StepName::Verify, StepName::EnableRegion3], StepName::DeleteReplica3),
    verify_replica(StepName::VerifyReplica1, &[StepName::DeployReplica1]),
    verify_replica(StepName::VerifyReplica2, &[StepName::DeployReplica2]),
    verify_replica(StepName::VerifyReplica3, &[StepName::DeployReplica3]),
    deploy_front_door(&[StepName::Verify, StepName::DeployReplica1]),
    verify_front_door(&[StepName::FrontDoor]),
];
