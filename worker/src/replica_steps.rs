//! Steps of replicas. A workflow has the steps of all slots; an operation has only those of the replicas that it
//! concerns.

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

use crate::step::{Step, Undo};
use crate::steps::{delete_replica, deploy_replica, enable_replica_region, update_replica, verify_replica};

/// Step that opts the account in to the region of a replica.
pub(crate) const fn enable_region(name: StepName, after: &'static [StepName]) -> Step {
    Step {
        name,
        after,
        quota: Some(Quota::RegionOptIns),
        run: |context| Box::pin(enable_replica_region::run(context)),
        undo: Undo::NotNeeded("an enabled region costs nothing, and the guardrail denies its use"),
    }
}

/// Step that deploys the tenant stack in the region of a replica. `deleted_by` is the step that deletes the stack.
pub(crate) const fn deploy_replica(name: StepName, after: &'static [StepName], deleted_by: StepName) -> Step {
    Step {
        name,
        after,
        quota: None,
        run: |context| Box::pin(deploy_replica::run(context)),
        undo: Undo::Step(deleted_by),
    }
}

/// Step that verifies a replica.
pub(crate) const fn verify_replica(name: StepName, after: &'static [StepName]) -> Step {
    Step {
        name,
        after,
        quota: None,
        run: |context| Box::pin(verify_replica::run(context)),
        undo: Undo::NotNeeded("it only reads"),
    }
}

/// Step that deletes the stack of a replica.
pub(crate) const fn delete_replica(name: StepName, after: &'static [StepName]) -> Step {
    Step {
        name,
        after,
        quota: None,
        run: |context| Box::pin(delete_replica::run(context)),
        undo: Undo::Manual("a deleted stack cannot be restored"),
    }
}

/// Step that updates the stack of a replica to the release of the operation.
pub(crate) const fn update_replica(name: StepName, after: &'static [StepName]) -> Step {
    Step {
        name,
        after,
        quota: None,
        run: |context| Box::pin(update_replica::run(context)),
        undo: Undo::NotNeeded("CloudFormation restores the release before if the update fails"),
    }
}
