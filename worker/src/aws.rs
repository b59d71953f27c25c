//! Implementation of [`Cloud`] with the AWS SDK. No other module calls AWS.
//!
//! Calls are not retried here: [`crate::cloud::CloudErrorKind`] classifies each failure, and the steps decide.

mod account;
mod audit;
mod bootstrap;
mod cache;
mod call;
mod cloudformation;
mod connection;
mod errors;
mod function_url;
mod identitystore;
mod organizations;
mod reconcile_reads;
mod resumable_list;
mod ssoadmin;
mod sts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::config::Residency;
use freehold_tenancy::{AwsAccountId, Clock, Config, Region};

pub(crate) use bootstrap::{Contact, PermissionSetFacts};
pub use connection::{AccessKey, ConnectError, Connection, refuse_endpoint_override};
pub use ssoadmin::Instance;
pub use sts::Caller;

use crate::cloud::{
    Assignment, AssignmentState, Cloud, Creation, Grant, GuardedOu, ListedAccount, Membership, NewAccount, NewStack,
    Page, Person, Principal, RegionStatus, ResidencyOu, Result, Role, StackFailure, StackState, Tags, Target, User,
};
use crate::limits::Limits;
use audit::Audited;
use cache::Cache;
use resumable_list::ListCursors;
use sts::Sessions;

/// AWS client of one installation. Cheap to clone; clones share sessions and caches.
#[derive(Clone)]
pub struct Aws {
    config: Arc<Config>,
    clock: Clock,
    limits: Option<Arc<Limits>>,
    connection: Connection,
    sessions: Arc<Sessions>,
    known: Arc<Caches>,
    session_name: &'static str,
    /// Whether calls on the organisation use the process's own credentials instead of the control role.
    acts_directly: bool,
    audit: Option<Audited>,
}

/// Recent responses of AWS, so that concurrent operations do not repeat the same reads.
struct Caches {
    root: Cache<(), String>,
    ous: Cache<String, String>,
    guarded: Cache<String, ()>,
    /// Policies attached to each OU, cached until their content has been read as well. If a rate limit interrupts that
    /// read, the next one continues from here.
    attached_policies: Cache<String, Vec<(String, String)>>,
    instance: Cache<(), Instance>,
    permission_sets: Cache<String, String>,
    permission_set_arns: Cache<(), Vec<String>>,
    permission_set_names: Mutex<HashMap<String, String>>,
    groups: Cache<String, String>,
    users: Cache<String, String>,
    /// Groups and users that were not found.
    missing: Cache<String, ()>,
    creation_searches: ListCursors<Creation>,
    account_searches: ListCursors<()>,
}

impl Aws {
    /// Creates a client; makes no call. Without `limits` no rate limit applies, which suits a run of
    /// `freehold bootstrap` without a database.
    pub fn connect(config: Arc<Config>, clock: Clock, limits: Option<Arc<Limits>>, connection: Connection) -> Self {
        Self {
            config,
            clock,
            limits,
            connection,
            sessions: Arc::new(Cache::new(sts::MAX_SESSIONS)),
            known: Arc::new(Caches {
                root: Cache::new(1),
                ous: Cache::new(64),
                guarded: Cache::new(64),
                attached_policies: Cache::new(64),
                instance: Cache::new(1),
                permission_sets: Cache::new(256),
                permission_set_arns: Cache::new(1),
                permission_set_names: Mutex::default(),
                groups: Cache::new(256),
                users: Cache::new(256),
                missing: Cache::new(256),
                creation_searches: ListCursors::default(),
                account_searches: ListCursors::default(),
            }),
            session_name: sts::SESSION_NAME,
            acts_directly: false,
            audit: None,
        }
    }

    /// Writes every call that changes something to the audit trail, in the name of `process`.
    #[must_use]
    pub fn audited(self, audit_writer: AuditWriter, process: &str) -> Self {
        Self { audit: Some(Audited::new(audit_writer, process)), ..self }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

fn to_chrono(time: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

#[async_trait]
impl Cloud for Aws {
    async fn create_account(&self, account: &NewAccount) -> Result<Creation> {
        organizations::create_account(self, account).await
    }

    async fn creation_status(&self, request_id: &str) -> Result<Creation> {
        organizations::creation_status(self, request_id).await
    }

    async fn creations_in_progress(&self) -> Result<Vec<String>> {
        organizations::creations_in_progress(self).await
    }

    async fn find_creation(&self, name: &str, since: DateTime<Utc>) -> Result<Option<Creation>> {
        organizations::find_creation(self, name, since).await
    }

    async fn find_account(&self, email: &str) -> Result<Option<ListedAccount>> {
        organizations::find_account(self, email).await
    }

    async fn account(&self, account: &AwsAccountId) -> Result<Option<ListedAccount>> {
        organizations::account(self, account).await
    }

    async fn tag_account(&self, account: &Target, tags: &Tags) -> Result<()> {
        organizations::tag_account(self, account, tags).await
    }

    async fn close_account(&self, account: &Target) -> Result<()> {
        organizations::close_account(self, account).await
    }

    async fn account_tags(&self, account: &AwsAccountId) -> Result<Tags> {
        organizations::account_tags(self, account).await
    }

    async fn parent_of(&self, account: &Target) -> Result<String> {
        organizations::parent_of(self, account).await
    }

    async fn move_account(&self, account: &Target, from: &str, to: &str) -> Result<()> {
        organizations::move_account(self, account, from, to).await
    }

    async fn residency_ou(&self, residency: &Residency) -> Result<Option<ResidencyOu>> {
        organizations::residency_ou(self, residency).await
    }

    async fn quarantine_ou(&self) -> Result<Option<String>> {
        organizations::quarantine_ou(self).await
    }

    async fn region_status(&self, account: &Target, region: Region) -> Result<RegionStatus> {
        account::region_status(self, account, region).await
    }

    async fn enable_region(&self, account: &Target, region: Region) -> Result<()> {
        account::enable_region(self, account, region).await
    }

    async fn check_role(&self, account: &Target, role: Role) -> Result<()> {
        sts::check_role(self, account, role).await
    }

    async fn stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<Option<StackState>> {
        cloudformation::stack(self, account, role, region, name).await
    }

    async fn create_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<String> {
        cloudformation::create_stack(self, account, role, region, stack).await
    }

    async fn update_stack(&self, account: &Target, role: Role, region: Region, stack: &NewStack) -> Result<bool> {
        cloudformation::update_stack(self, account, role, region, stack).await
    }

    async fn continue_rollback(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()> {
        cloudformation::continue_rollback(self, account, role, region, name).await
    }

    async fn force_delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()> {
        cloudformation::force_delete_stack(self, account, role, region, name).await
    }

    async fn delete_stack(&self, account: &Target, role: Role, region: Region, name: &str) -> Result<()> {
        cloudformation::delete_stack(self, account, role, region, name).await
    }

    async fn stack_failure(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<Option<StackFailure>> {
        cloudformation::stack_failure(self, account, role, region, stack_id).await
    }

    async fn read_in_region(&self, account: &Target, region: Region) -> Result<()> {
        cloudformation::read_in_region(self, account, region).await
    }

    async fn call_function_url(&self, account: &Target, region: Region, url: &str) -> Result<serde_json::Value> {
        function_url::call_function_url(self, account, region, url).await
    }

    async fn permission_set(&self, name: &str) -> Result<Option<String>> {
        ssoadmin::permission_sets::permission_set(self, name).await
    }

    async fn group(&self, display_name: &str) -> Result<Option<String>> {
        identitystore::group(self, display_name).await
    }

    async fn ensure_group(&self, display_name: &str, description: &str) -> Result<String> {
        identitystore::ensure_group(self, display_name, description).await
    }

    async fn ensure_user(&self, person: &Person<'_>) -> Result<String> {
        identitystore::ensure_user(self, person).await
    }

    async fn ensure_member(&self, group_id: &str, user_id: &str) -> Result<()> {
        identitystore::ensure_member(self, group_id, user_id).await
    }

    async fn members(&self, group_id: &str) -> Result<Vec<Membership>> {
        identitystore::members(self, group_id).await
    }

    async fn remove_member(&self, membership: &Membership) -> Result<()> {
        identitystore::remove_member(self, membership).await
    }

    async fn user(&self, user_id: &str) -> Result<Option<User>> {
        identitystore::user(self, user_id).await
    }

    async fn delete_user(&self, user_id: &str) -> Result<()> {
        identitystore::delete_user(self, user_id).await
    }

    async fn delete_group(&self, display_name: &str, group_id: &str) -> Result<()> {
        identitystore::delete_group(self, display_name, group_id).await
    }

    async fn assign(&self, account: &Target, grant: &Grant) -> Result<Assignment> {
        ssoadmin::assignments::assign(self, account, grant).await
    }

    async fn assignments_in_progress(&self) -> Result<Vec<String>> {
        ssoadmin::assignments::assignments_in_progress(self).await
    }

    async fn is_request_for(&self, request_id: &str, account: &Target, grant: &Grant) -> Result<bool> {
        ssoadmin::assignments::is_request_for(self, request_id, account, grant).await
    }

    async fn assignment_status(&self, request_id: &str) -> Result<AssignmentState> {
        ssoadmin::assignments::assignment_status(self, request_id).await
    }

    async fn assigned_groups(&self, account: &Target, permission_set_arn: &str) -> Result<Vec<String>> {
        ssoadmin::assignments::assigned_groups(self, account, permission_set_arn).await
    }

    async fn unassign(&self, account: &Target, grant: &Grant) -> Result<Assignment> {
        ssoadmin::assignments::unassign(self, account, grant).await
    }

    async fn unassignment_status(&self, request_id: &str) -> Result<AssignmentState> {
        ssoadmin::assignments::unassignment_status(self, request_id).await
    }

    async fn accounts(&self, page: Option<&str>) -> Result<Page<ListedAccount>> {
        reconcile_reads::accounts(self, page).await
    }

    async fn accounts_in(&self, parent: &str, page: Option<&str>) -> Result<Page<AwsAccountId>> {
        reconcile_reads::accounts_in(self, parent, page).await
    }

    async fn guarded_ou(&self, ou_name: &str, policy_name: &str) -> Result<Option<GuardedOu>> {
        reconcile_reads::guarded_ou(self, ou_name, policy_name).await
    }

    async fn accounts_with_permission_set(
        &self,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<AwsAccountId>> {
        reconcile_reads::accounts_with_permission_set(self, permission_set_arn, page).await
    }

    async fn assignment_principals(
        &self,
        account: &Target,
        permission_set_arn: &str,
        page: Option<&str>,
    ) -> Result<Page<Principal>> {
        reconcile_reads::assignment_principals(self, account, permission_set_arn, page).await
    }
}
