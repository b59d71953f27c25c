//! ★ Workflows of changing the replica regions of an environment, which stays ready. This file contains only the lists
//! of steps.

use freehold_tenancy::step::StepName;

use crate::replica_steps::{delete_replica, deploy_replica, enable_region, verify_replica};
use crate::step::Step;

/// Steps of a `change_regions` operation.
pub static CHANGE_REGIONS_STEPS: &[Step] = &[
    enable_region(StepName::EnableRegion1, &[]),
    enable_region(StepName::EnableRegion2, &[]),
    enable_region(StepName::EnableRegion3, &[]),
    deploy_replica(StepName::DeployReplica1, &[StepName::EnableRegion1], StepName::DeleteReplica1),
    deploy_replica(StepName::DeployReplica2, &[StepName::EnableRegion2], StepName::DeleteReplica2),
    deploy_replica(StepName::DeployReplica3, &[StepName::EnableRegion3], StepName::DeleteReplica3),
    verify_replica(StepName::VerifyReplica1, &[StepName::DeployReplica1]),
    verify_replica(StepName::VerifyReplica2, &[StepName::DeployReplica2]),
    verify_replica(StepName::VerifyReplica3, &[StepName::DeployReplica3]),
];

/// Steps of a `remove_regions` operation.
pub static REMOVE_REGIONS_STEPS: &[Step] = &[
    delete_replica(StepName::DeleteReplica1, &[]),
    delete_replica(StepName::DeleteReplica2, &[]),
    delete_replica(StepName::DeleteReplica3, &[]),
];
