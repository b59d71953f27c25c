//! Code that several steps share.

pub(super) mod account_request;
pub(super) mod approval;
pub(super) mod change_set;
pub(super) mod check_target;
pub(super) mod failure_tables;
pub(super) mod front_door_stack;
pub(super) mod preconditions;
pub(super) mod region_checks;
pub(super) mod release_update;
pub(super) mod stack_deletion;
pub(super) mod stack_deployment;
pub(super) mod stack_parameter;
pub(super) mod stack_response;
pub(super) mod stack_update;
mod template_comparison;
mod template_faults;
mod template_in_s3;
pub(super) mod tenant_group;
pub(super) mod tenant_stack;

/// Reason of a skipped step that works on the account of the environment.
pub(super) const NO_ACCOUNT: &str = "the environment has no account";

/// Reason of a skipped step that works on a replica.
pub(super) const NO_REPLICA: &str = "the environment no longer has this replica";

/// Reason of a skipped step that works on a front door.
pub(super) const NO_FRONT_DOOR: &str = "the environment no longer has a front door";

/// Reason of a skipped step that works on an account outside the organisation.
pub(super) const HAS_LEFT: &str = "the account has left the organisation";
