//! ★ Workflows of updating an environment to a release, and of previewing that update. The environment stays ready.
//! This file contains only the lists of steps.

use freehold_tenancy::step::StepName;

use crate::front_door_steps::{deploy_front_door, verify_front_door};
use crate::replica_steps::{update_replica, verify_replica};
use crate::step::{Step, Undo};
use crate::steps::{preview_release, update_stack, upgrade_baseline, verify};

/// Steps of an `update` operation. One region is updated after the other, so that the others serve if it fails.
pub static UPDATE_STEPS: &[Step] = &[
    // The roles may lack permissions that the release needs.
    Step {
        name: StepName::UpgradeBaseline,
        after: &[],
        quota: None,
        run: |context| Box::pin(upgrade_baseline::run(context)),
        undo: Undo::NotNeeded("a newer baseline has the permissions of the older one"),
    },
    Step {
        name: StepName::UpdateStack,
        after: &[StepName::UpgradeBaseline],
        quota: None,
        run: |context| Box::pin(update_stack::run(context)),
        undo: Undo::NotNeeded("CloudFormation restores the release before if the update fails"),
    },
    Step {
        name: StepName::Verify,
        after: &[StepName::UpdateStack],
        quota: None,
        run: |context| Box::pin(verify::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    },
    update_replica(StepName::UpdateReplica1, &[StepName::Verify]),
    verify_replica(StepName::VerifyReplica1, &[StepName::UpdateReplica1]),
    update_replica(StepName::UpdateReplica2, &[StepName::Verify, StepName::VerifyReplica1]),
    verify_replica(StepName::VerifyReplica2, &[StepName::UpdateReplica2]),
    update_replica(StepName::UpdateReplica3, &[StepName::Verify, StepName::VerifyReplica1, StepName::VerifyReplica2]),
    verify_replica(StepName::VerifyReplica3, &[StepName::UpdateReplica3]),
    // The URL of a function may change with the release.
    deploy_front_door(&[
        StepName::Verify,
        StepName::VerifyReplica1,
        StepName::VerifyReplica2,
        StepName::VerifyReplica3,
    ]),
    verify_front_door(&[StepName::FrontDoor]),
];

/// Steps of a `preview` operation.
pub static PREVIEW_STEPS: &[Step] = &[Step {
    name: StepName::PreviewRelease,
    after: &[],
    quota: None,
    run: |context| Box::pin(preview_release::run(context)),
    undo: Undo::NotNeeded("it deletes the change sets that it has created"),
}];
