//! ★ Workflows of changing the replica regions and the front door of an environment, which stays ready. This file
//! contains only the lists of steps.

use freehold_tenancy::step::StepName;

use crate::front_door_steps::{close_front_door, delete_front_door, deploy_front_door, verify_front_door};
use crate::replica_steps::{delete_replica, deploy_replica, enable_region, verify_replica};
use crate::step::{Step, Undo};
use crate::steps::upgrade_baseline;

/// Steps of a `change_regions` operation.
pub static CHANGE_REGIONS_STEPS: &[Step] = &[
    // The roles may lack permissions that a new region or the front door needs.
    Step {
        name: StepName::UpgradeBaseline,
        after: &[],
        quota: None,
        run: |context| Box::pin(upgrade_baseline::run(context)),
        undo: Undo::NotNeeded("a newer baseline has the permissions of the older one"),
    },
    enable_region(StepName::EnableRegion1, &[]),
    enable_region(StepName::EnableRegion2, &[]),
    enable_region(StepName::EnableRegion3, &[]),
    deploy_replica(
        StepName::DeployReplica1,
        &[StepName::UpgradeBaseline, StepName::EnableRegion1],
        StepName::DeleteReplica1,
    ),
    deploy_replica(
        StepName::DeployReplica2,
        &[StepName::UpgradeBaseline, StepName::EnableRegion2],
        StepName::DeleteReplica2,
    ),
    deploy_replica(
        StepName::DeployReplica3,
        &[StepName::UpgradeBaseline, StepName::EnableRegion3],
        StepName::DeleteReplica3,
    ),
    verify_replica(StepName::VerifyReplica1, &[StepName::DeployReplica1]),
    verify_replica(StepName::VerifyReplica2, &[StepName::DeployReplica2]),
    verify_replica(StepName::VerifyReplica3, &[StepName::DeployReplica3]),
    // An operation either deploys the front door or deletes it.
    deploy_front_door(&[
        StepName::UpgradeBaseline,
        StepName::DeployReplica1,
        StepName::DeployReplica2,
        StepName::DeployReplica3,
    ]),
    verify_front_door(&[StepName::FrontDoor]),
    close_front_door(&[StepName::UpgradeBaseline]),
    delete_front_door(&[StepName::CloseFrontDoor]),
];

/// Steps of a `remove_regions` operation.
pub static REMOVE_REGIONS_STEPS: &[Step] = &[
    // The front door must not send requests to a replica that is deleted.
    deploy_front_door(&[]),
    verify_front_door(&[StepName::FrontDoor]),
    delete_replica(StepName::DeleteReplica1, &[StepName::FrontDoor]),
    delete_replica(StepName::DeleteReplica2, &[StepName::FrontDoor]),
    delete_replica(StepName::DeleteReplica3, &[StepName::FrontDoor]),
];
