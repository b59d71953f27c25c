//! Simulated administration API of Identity Center: permission sets and account assignments.
//!
//! | topic | file |
//! |---|---|
//! | permission sets, their policies and tags | `permission_sets.rs` |
//! | account assignments | `assignments.rs` |
//! | provisioning a changed permission set to its accounts | `provisioning.rs` |
//! | completion of requests | `progress.rs` |

mod assignments;
mod inputs;
mod permission_sets;
mod progress;
mod provisioning;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use winterbaume_core::MockResponse;
use winterbaume_ssoadmin::{model, wire};

pub(crate) use inputs::violation_error;
pub(crate) use permission_sets::duration_seconds;
pub(crate) use progress::{advance, role_name};

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State, access_denied};

/// The Identity Center instance of the organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IdentityCenter {
    /// ARN of the instance in the format `arn:aws:sso:::instance/ssoins-…`.
    pub instance_arn: String,
    pub created_at: DateTime<Utc>,
    /// Permission sets, by their ARN.
    pub permission_sets: BTreeMap<String, PermissionSet>,
    pub assignments: BTreeSet<Assignment>,
    pub requests: BTreeMap<String, AssignmentRequest>,
    pub provisionings: BTreeMap<String, ProvisioningRequest>,
    /// Provisioned version of each permission set, by account id and ARN of the permission set.
    pub provisioned: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PermissionSet {
    /// ARN of the permission set in the format `arn:aws:sso:::permissionSet/{instance}/ps-…`.
    pub arn: String,
    /// Name of the permission set, unique within the instance.
    pub name: String,
    pub description: Option<String>,
    /// Session duration in ISO 8601 format, from one to twelve hours.
    pub session_duration: String,
    /// URL to which Identity Center redirects a user after sign-in.
    pub relay_state: Option<String>,
    /// ARNs of the attached AWS-managed policies.
    pub managed: Vec<String>,
    /// JSON text of the inline policy.
    pub inline: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
    /// Number that increases with each change. An account keeps the old version until the permission set is provisioned
    /// again.
    pub version: u64,
}

/// An account assignment, which gives a user or group the permissions of a permission set in an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    pub account: String,
    pub permission_set: String,
    /// Type of the principal, either `USER` or `GROUP`.
    pub principal_type: String,
    /// Id of the user or group in the Identity Store.
    pub principal_id: String,
}

/// Status of an asynchronous request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestStatus {
    InProgress,
    Succeeded,
    /// Contains the reason of the failure.
    Failed(String),
}

impl RequestStatus {
    /// Returns the status in the wire format.
    fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }
}

/// A request to create or delete an assignment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AssignmentRequest {
    pub id: String,
    /// True if the request creates the assignment, false if it deletes the assignment.
    pub creates: bool,
    pub assignment: Assignment,
    pub created_at: DateTime<Utc>,
    /// Time at which the request completes; `None` if the request is stuck.
    pub ready_at: Option<DateTime<Utc>>,
    pub progress: RequestStatus,
    /// Failure reason of an injected fault. The request fails with this reason when it completes.
    injected_failure: Option<String>,
}

/// A request to provision a permission set to accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProvisioningRequest {
    pub id: String,
    pub permission_set: String,
    /// Account id, or `None` for all accounts to which the permission set is provisioned.
    pub account: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Time at which the request completes; `None` if the request is stuck.
    pub ready_at: Option<DateTime<Utc>>,
    pub progress: RequestStatus,
    /// Failure reason of an injected fault. The request fails with this reason when it completes.
    injected_failure: Option<String>,
}

impl IdentityCenter {
    /// Creates an Identity Center instance without permission sets.
    pub fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        let digest = Sha256::new().chain_update("identity-center").chain_update(settings.seed.to_be_bytes()).finalize();
        let id = &hex::encode(digest)[..16];
        Self { instance_arn: format!("arn:aws:sso:::instance/ssoins-{id}"), created_at: now, ..Self::default() }
    }
}

pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: serde_json::Value = request.json()?;
    inputs::check_input(operation, &input)?;
    if operation == "ListInstances" {
        return Ok(list_instances(state, ctx, &input));
    }
    if ctx.caller.account != ctx.settings.management_account {
        return Err(access_denied(ctx.service, "You do not have sufficient access to perform this action."));
    }
    let instance = input.get("InstanceArn").and_then(serde_json::Value::as_str);
    let is_home_region = ctx.region == ctx.settings.home_region;
    if !is_home_region || instance.is_some_and(|arn| arn != state.identity_center.instance_arn) {
        return Err(not_found("Instance", instance.unwrap_or_default()));
    }
    let body = &request.body;
    let response = match operation {
        "CreatePermissionSet" => permission_sets::create(state, ctx, body),
        "DescribePermissionSet" => permission_sets::describe(state, body),
        "ListPermissionSets" => permission_sets::list(state, ctx, body),
        "UpdatePermissionSet" => permission_sets::update(state, body),
        "DeletePermissionSet" => permission_sets::delete(state, body),
        "AttachManagedPolicyToPermissionSet" => permission_sets::attach(state, body),
        "DetachManagedPolicyFromPermissionSet" => permission_sets::detach(state, body),
        "ListManagedPoliciesInPermissionSet" => permission_sets::list_attached(state, ctx, body),
        "PutInlinePolicyToPermissionSet" => permission_sets::put_inline(state, body),
        "GetInlinePolicyForPermissionSet" => permission_sets::get_inline(state, body),
        "DeleteInlinePolicyFromPermissionSet" => permission_sets::delete_inline(state, body),
        "TagResource" => permission_sets::tag(state, body),
        "UntagResource" => permission_sets::untag(state, body),
        "ListTagsForResource" => permission_sets::list_tags(state, ctx, body),
        "ProvisionPermissionSet" => provisioning::provision(state, ctx, body),
        "DescribePermissionSetProvisioningStatus" => provisioning::describe(state, body),
        "ListPermissionSetsProvisionedToAccount" => provisioning::list_sets_of_account(state, ctx, body),
        "ListAccountsForProvisionedPermissionSet" => provisioning::list_accounts_of_set(state, ctx, body),
        "CreateAccountAssignment" => assignments::create(state, ctx, body),
        "DeleteAccountAssignment" => assignments::delete(state, ctx, body),
        "DescribeAccountAssignmentCreationStatus" => assignments::describe_creation(state, body),
        "DescribeAccountAssignmentDeletionStatus" => assignments::describe_deletion(state, body),
        "ListAccountAssignmentCreationStatus" => assignments::list_creations(state, ctx, body),
        "ListAccountAssignmentDeletionStatus" => assignments::list_deletions(state, ctx, body),
        "ListAccountAssignments" => assignments::list(state, ctx, body),
        "ListAccountAssignmentsForPrincipal" => assignments::list_for_principal(state, ctx, body),
        _ => Err(AwsError::unknown_operation(operation)),
    };
    progress::advance(state, ctx.now);
    response
}

/// Handles ListInstances. Returns the instance only in its home region, or if the request is for all regions.
fn list_instances(state: &State, ctx: &Ctx, input: &serde_json::Value) -> MockResponse {
    let all_regions = input.get("RegionScope").is_some_and(|scope| scope == "ALL_REGIONS");
    let center = &state.identity_center;
    let instance = model::InstanceMetadata {
        instance_arn: Some(center.instance_arn.clone()),
        identity_store_id: Some(state.identity_store.id.clone()),
        owner_account_id: Some(ctx.settings.management_account.clone()),
        status: Some("ACTIVE".into()),
        created_date: Some(seconds(center.created_at)),
        ..Default::default()
    };
    let is_visible = all_regions || ctx.region == ctx.settings.home_region;
    let instances = Some(is_visible.then_some(instance).into_iter().collect());
    wire::serialize_list_instances_response(&model::ListInstancesResponse { instances, next_token: None })
}

fn not_found(kind: &str, name: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("{kind} {name} not found"))
}

fn conflict(message: impl Into<String>) -> AwsError {
    AwsError::new("ConflictException", message)
}

fn quota_exceeded(message: impl Into<String>) -> AwsError {
    AwsError::new("ServiceQuotaExceededException", message)
}

fn validation_error(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

/// Returns one page of items and the token of the next page.
fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<i32>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let max = max.and_then(|max| usize::try_from(max).ok());
    crate::world::page(ctx, items, token, max, || validation_error("The provided NextToken is invalid"))
}

/// Converts a time to the timestamp format of AWS JSON 1.1, which is seconds since 1970.
fn seconds(time: DateTime<Utc>) -> f64 {
    (time - DateTime::UNIX_EPOCH).as_seconds_f64()
}

#[cfg(test)]
mod tests;
