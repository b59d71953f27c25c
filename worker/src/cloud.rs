//! Types of AWS calls: parameters, results and errors. [`crate::aws`] makes the calls.

mod access;
mod accounts;
mod alarm;
mod change_set;
mod checks;
mod error;
mod reconcile_reads;
mod stacks;
mod target;

use std::collections::BTreeMap;

pub use access::{Assignment, AssignmentState, Grant, Membership, OwnGroup, OwnUser, Person, User};
pub use accounts::{Creation, CreationState, ListedAccount, NewAccount, RegionStatus, ResidencyOu};
pub use alarm::{Alarm, AlarmState};
pub use change_set::{ChangeSet, ChangeSetState, NewChangeSet, ResourceChange, ResourceReplacement};
pub use checks::{CheckRequest, CheckResponse};
pub use error::{CloudError, CloudErrorKind, ErrorOrigin};
pub use reconcile_reads::{GuardedOu, Page, PolicyAttachment, Principal};
pub use stacks::{NewStack, Role, StackFailure, StackState, StackStatus};
pub use target::{ProtectedAccount, Target};

pub type Result<T> = std::result::Result<T, CloudError>;

/// Tags of an account, a stack or a permission set.
pub type Tags = BTreeMap<String, String>;
