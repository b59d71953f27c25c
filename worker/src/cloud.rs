//! What a step may ask of a cloud. One implementation stands behind it: [`crate::aws`].
//!
//! Every verb is one look or one act; none of them waits, retries or decides. An act on an account takes a [`Target`],
//! which cannot be made of an account that Freehold must leave alone.

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

/// The answer of every verb.
pub type Result<T> = std::result::Result<T, CloudError>;

/// Tags of an account, a stack or a permission set.
pub type Tags = BTreeMap<String, String>;

/// What a step may ask.
#[async_trait]
pub trait Cloud: Send + Sync {
    // The organisation.

    /// Asks for an account. There is no client token: asking twice makes two requests.
    async fn create_account(&self, account: &NewAccount) -> Result<Creation>;
    /// How far a creation has come.
    async fn creation_status(&self, request_id: &str) -> Result<Creation>;
    /// The ids of the creations that are in progress, whoever asked for them.
    async fn creations_in_progress(&self) -> Result<Vec<String>>;
    /// The latest creation of an account called `name`, requested at or after `since`.
    async fn find_creation(&self, name: &str, since: DateTime<Utc>) -> Result<Option<Creation>>;
    /// The account with this e-mail address, if the organisation has it.
    async fn find_account(&self, email: &str) -> Result<Option<ListedAccount>>;
    /// An account of the organisation by its id.
    async fn account(&self, account: &AwsAccountId) -> Result<Option<ListedAccount>>;
    /// Marks an account as made for an environment.
    async fn tag_account(&self, account: &Target, tags: &Tags) -> Result<()>;
    /// Asks for an account to be closed; that it is closed already is a success. There is no way back but AWS's support.
    async fn close_account(&self, account: &Target) -> Result<()>;
    /// An account's tags.
    async fn account_tags(&self, account: &AwsAccountId) -> Result<Tags>;
    /// The OU or root that an account is in.
    async fn parent_of(&self, account: &Target) -> Result<String>;
    /// Moves an account; that it is there already is a success.
    async fn move_account(&self, account: &Target, from: &str, to: &str) -> Result<()>;
    /// A residency's OU; `None` where `freehold bootstrap` has not made it.
    async fn residency_ou(&self, residency: &Residency) -> Result<Option<ResidencyOu>>;
    /// The quarantine OU; `None` where `freehold bootstrap` has not made it.
    async fn quarantine_ou(&self) -> Result<Option<String>>;

    // Regions.

    /// Where a region stands in an account.
    async fn region_status(&self, account: &Target, region: Region) -> Result<RegionStatus>;
    /// Asks for an opt-in region.
    async fn enable_region(&self, account: &Target, region: Region) -> Result<()>;

    // Inside the account.

    /// Whether `role` can be assumed and used there.
    async fn check_role(&self, account: &Target, role: Role) -> Result<()>;
    /// A stack by name or id; `None` where there is none. A deleted stack is only found by its id.
    async fn stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<Option<StackState>>;
    /// Asks for a stack and answers its id.
    async fn create_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<String>;
    /// Asks for a stack to be as described; false where it is so already.
    async fn update_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<bool>;
    /// Asks for the taking back of a failed update to be gone on with.
    async fn continue_rollback(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()>;
    /// Asks for a stack's deletion; that there is none is a success.
    async fn delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()>;
    /// The same for a stack whose deletion has failed: what cannot be deleted is left behind.
    async fn force_delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()>;
    /// The first resource that failed in a stack, where one did.
    async fn stack_failure(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<Option<StackFailure>>;
    /// One harmless read in a region as `freehold-verify`: allowed, or refused as [`CloudErrorKind::Denied`].
    async fn read_in_region(&self, account: &Target, region: Region) -> Result<()>;
    /// A signed GET of the stack's Function URL as `freehold-verify`; answers its JSON.
    async fn call_function_url(&self, account: &Target, region: Region, url: &str) -> Result<serde_json::Value>;

    // Identity Center.

    /// The ARN of a permission set by name.
    async fn permission_set(&self, name: &str) -> Result<Option<String>>;
    /// The id of a group by its display name.
    async fn group(&self, display_name: &str) -> Result<Option<String>>;
    /// Makes a group, or finds the one that is there.
    async fn ensure_group(&self, display_name: &str, description: &str) -> Result<String>;
    /// Makes a user, or finds the one that is there.
    async fn ensure_user(&self, person: &Person<'_>) -> Result<String>;
    /// Puts a user into a group; that it is there already is a success.
    async fn ensure_member(&self, group_id: &str, user_id: &str) -> Result<()>;
    /// Who is in a group.
    async fn members(&self, group_id: &str) -> Result<Vec<Membership>>;
    /// Takes somebody out of a group; that nobody is there is a success.
    async fn remove_member(&self, membership: &Membership) -> Result<()>;
    /// What a user is there for; `None` where there is no such user.
    async fn user(&self, user_id: &str) -> Result<Option<User>>;
    /// Deletes a user and the memberships; that there is none is a success.
    async fn delete_user(&self, user_id: &str) -> Result<()>;
    /// Deletes a group; that there is none is a success.
    async fn delete_group(&self, display_name: &str, group_id: &str) -> Result<()>;
    /// Asks for an assignment.
    async fn assign(&self, account: &Target, grant: &Grant) -> Result<Assignment>;
    /// The ids of the assignments that are being made, whoever asked for them.
    async fn assignments_in_progress(&self) -> Result<Vec<String>>;
    /// Whether a request was made for this very assignment.
    async fn is_request_for(&self, request_id: &str, account: &Target, grant: &Grant) -> Result<bool>;
    /// How far an assignment has come.
    async fn assignment_status(&self, request_id: &str) -> Result<AssignmentState>;
    /// The groups that hold a permission set in an account.
    async fn assigned_groups(&self, account: &Target, permission_set_arn: &str) -> Result<Vec<String>>;
    /// Asks for an assignment's end.
    async fn unassign(&self, account: &Target, grant: &Grant) -> Result<Assignment>;
    /// How far an assignment's end has come.
    async fn unassignment_status(&self, request_id: &str) -> Result<AssignmentState>;

    // The whole organisation, a page at a time.

    /// Every account.
    async fn accounts(&self, page: Option<&str>) -> Result<Page<ListedAccount>>;
    /// The accounts directly in an OU or root.
    async fn accounts_in(&self, parent: &str, page: Option<&str>) -> Result<Page<AwsAccountId>>;
    /// One of Freehold's OUs by name, and how the policy of a name stands to it; `None` where there is no such OU.
    async fn guarded_ou(&self, ou_name: &str, policy_name: &str) -> Result<Option<GuardedOu>>;
    /// The accounts that have a permission set.
    async fn accounts_with_permission_set(
        &self,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<AwsAccountId>>;
    /// Who holds a permission set in an account.
    async fn assignment_principals(
        &self,
        account: &Target,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<Principal>>;
}
