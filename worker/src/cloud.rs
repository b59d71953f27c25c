//! The cloud API that steps use. Its only implementation is [`crate::aws`].
//!
//! Each method reads or changes one thing; none of them waits, retries or decides. A change of an account takes a
//! [`Target`], which cannot be created for a protected account.

mod access;
mod accounts;
mod error;
mod reconcile_reads;
mod stacks;
mod target;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use freehold_tenancy::config::Residency;
use freehold_tenancy::{AwsAccountId, Region};

pub use access::{Assignment, AssignmentState, Grant, Membership, Person, User};
pub use accounts::{Creation, CreationState, ListedAccount, NewAccount, RegionStatus, ResidencyOu};
pub use error::{CloudError, CloudErrorKind};
pub use reconcile_reads::{GuardedOu, Page, PolicyAttachment, Principal};
pub use stacks::{NewStack, Role, StackFailure, StackState, StackStatus};
pub use target::{ProtectedAccount, Target};

pub type Result<T> = std::result::Result<T, CloudError>;

/// Tags of an account, a stack or a permission set.
pub type Tags = BTreeMap<String, String>;

/// The calls that steps make.
#[async_trait]
pub trait Cloud: Send + Sync {
    // The organisation.

    /// Requests an account and returns at once. There is no client token: a repeated call creates a second account.
    async fn create_account(&self, account: &NewAccount) -> Result<Creation>;
    /// Returns the status of a CreateAccount request.
    async fn creation_status(&self, request_id: &str) -> Result<Creation>;
    /// Returns the ids of all CreateAccount requests in progress in the organisation.
    async fn creations_in_progress(&self) -> Result<Vec<String>>;
    /// Returns the latest request for an account named `name` that was made at or after `since`, if there is one.
    async fn find_creation(&self, name: &str, since: DateTime<Utc>) -> Result<Option<Creation>>;
    /// Returns the account with this e-mail address, or `None` if the organisation has none.
    async fn find_account(&self, email: &str) -> Result<Option<ListedAccount>>;
    /// Returns an account of the organisation, or `None` if it has no such account.
    async fn account(&self, account: &AwsAccountId) -> Result<Option<ListedAccount>>;
    /// Adds tags to an account.
    async fn tag_account(&self, account: &Target, tags: &Tags) -> Result<()>;
    /// Requests the closure of an account. Succeeds if it is closed already. Only AWS support can reopen it.
    async fn close_account(&self, account: &Target) -> Result<()>;
    async fn account_tags(&self, account: &AwsAccountId) -> Result<Tags>;
    /// Returns the id of the OU or root that contains the account.
    async fn parent_of(&self, account: &Target) -> Result<String>;
    /// Moves an account. Succeeds if it is in `to` already.
    async fn move_account(&self, account: &Target, from: &str, to: &str) -> Result<()>;
    /// Returns the OU of a residency, or `None` before `freehold bootstrap` has created it.
    async fn residency_ou(&self, residency: &Residency) -> Result<Option<ResidencyOu>>;
    /// Returns the id of the quarantine OU, or `None` before `freehold bootstrap` has created it.
    async fn quarantine_ou(&self) -> Result<Option<String>>;

    // Regions.

    /// Returns the opt-in status of a region in an account.
    async fn region_status(&self, account: &Target, region: Region) -> Result<RegionStatus>;
    /// Requests the opt-in to a region.
    async fn enable_region(&self, account: &Target, region: Region) -> Result<()>;

    // Inside the account.

    /// Checks that `role` can be assumed in the account and used there.
    async fn check_role(&self, account: &Target, role: Role) -> Result<()>;
    /// Returns a stack by name or id, or `None` if there is none. A deleted stack is only found by its id.
    async fn stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<Option<StackState>>;
    /// Starts the creation of a stack. Returns its id.
    async fn create_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<String>;
    /// Starts an update of a stack. Returns false if there is nothing to update.
    async fn update_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<bool>;
    /// Continues the rollback of a failed update.
    async fn continue_rollback(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()>;
    /// Starts the deletion of a stack. Succeeds if there is none.
    async fn delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()>;
    /// Starts the deletion of a stack whose deletion failed before. Resources that cannot be deleted are retained.
    async fn force_delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()>;
    /// Returns the first failure in a stack, or `None` if nothing failed.
    async fn stack_failure(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<Option<StackFailure>>;
    /// Makes a harmless read in a region as `freehold-verify`. Fails with [`CloudErrorKind::Denied`] if not allowed.
    async fn read_in_region(&self, account: &Target, region: Region) -> Result<()>;
    /// Sends a signed GET request to the stack's Function URL as `freehold-verify`. Returns the JSON of the response.
    async fn call_function_url(&self, account: &Target, region: Region, url: &str) -> Result<serde_json::Value>;

    // Identity Center.

    /// Returns the ARN of a permission set, or `None` if there is none of this name.
    async fn permission_set(&self, name: &str) -> Result<Option<String>>;
    /// Returns the id of a group by its display name, or `None` if there is none.
    async fn group(&self, display_name: &str) -> Result<Option<String>>;
    /// Creates a group if it does not exist. Returns its id.
    async fn ensure_group(&self, display_name: &str, description: &str) -> Result<String>;
    /// Creates a user if it does not exist. Returns its id.
    async fn ensure_user(&self, person: &Person<'_>) -> Result<String>;
    /// Adds a user to a group. Succeeds if the user is a member already.
    async fn ensure_member(&self, group_id: &str, user_id: &str) -> Result<()>;
    /// Returns the memberships of a group.
    async fn members(&self, group_id: &str) -> Result<Vec<Membership>>;
    /// Removes a user from a group. Succeeds if there is no such membership.
    async fn remove_member(&self, membership: &Membership) -> Result<()>;
    /// Returns a user, or `None` if there is no such user.
    async fn user(&self, user_id: &str) -> Result<Option<User>>;
    /// Deletes a user and its memberships. Succeeds if there is no such user.
    async fn delete_user(&self, user_id: &str) -> Result<()>;
    /// Deletes a group. Succeeds if there is no such group.
    async fn delete_group(&self, display_name: &str, group_id: &str) -> Result<()>;
    /// Requests the assignment of a permission set to a group.
    async fn assign(&self, account: &Target, grant: &Grant) -> Result<Assignment>;
    /// Returns the ids of all assignment requests in progress in the organisation.
    async fn assignments_in_progress(&self) -> Result<Vec<String>>;
    /// Returns whether a request is for exactly this assignment.
    async fn is_request_for(&self, request_id: &str, account: &Target, grant: &Grant) -> Result<bool>;
    /// Returns the status of an assignment request.
    async fn assignment_status(&self, request_id: &str) -> Result<AssignmentState>;
    /// Returns the ids of the groups with a permission set in an account.
    async fn assigned_groups(&self, account: &Target, permission_set_arn: &str) -> Result<Vec<String>>;
    /// Requests the deletion of an assignment.
    async fn unassign(&self, account: &Target, grant: &Grant) -> Result<Assignment>;
    /// Returns the status of a request to delete an assignment.
    async fn unassignment_status(&self, request_id: &str) -> Result<AssignmentState>;

    // The whole organisation, page by page.

    /// Returns a page of all accounts of the organisation.
    async fn accounts(&self, page: Option<&str>) -> Result<Page<ListedAccount>>;
    /// Returns a page of the accounts directly in an OU or root.
    async fn accounts_in(&self, parent: &str, page: Option<&str>) -> Result<Page<AwsAccountId>>;
    /// Returns an OU by name with the state of the policy `policy_name`, or `None` if there is no such OU.
    async fn guarded_ou(&self, ou_name: &str, policy_name: &str) -> Result<Option<GuardedOu>>;
    /// Returns a page of the accounts in which a permission set is provisioned.
    async fn accounts_with_permission_set(
        &self,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<AwsAccountId>>;
    /// Returns a page of the principals with a permission set in an account.
    async fn assignment_principals(
        &self,
        account: &Target,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<Principal>>;
}
