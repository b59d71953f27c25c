//! Identity Center's administration: permission sets, and who has which in an account.
//!
//! | what | file |
//! |---|---|
//! | permission sets, their policies and tags | `permission_sets.rs` |
//! | account assignments | `assignments.rs` |
//! | bringing a changed set to the accounts that have it | `provisioning.rs` |
//! | what happens meanwhile | `progress.rs` |

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

pub(crate) use inputs::violated;
pub(crate) use progress::advance;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State, access_denied};

/// The Identity Center instance of the organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IdentityCenter {
    /// `arn:aws:sso:::instance/ssoins-…`
    pub instance_arn: String,
    /// When it was enabled.
    pub created_at: DateTime<Utc>,
    /// Permission sets by ARN.
    pub permission_sets: BTreeMap<String, PermissionSet>,
    /// Who has what where.
    pub assignments: BTreeSet<Assignment>,
    /// Requests to create or delete assignments, by request id.
    pub requests: BTreeMap<String, AssignmentRequest>,
    /// Requests to provision, by request id.
    pub provisionings: BTreeMap<String, Provisioning>,
    /// Which version of which set an account has: account, then ARN of the set, then the version.
    pub provisioned: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PermissionSet {
    /// `arn:aws:sso:::permissionSet/{instance}/ps-…`
    pub arn: String,
    /// Name, unique within the instance.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// ISO 8601, one to twelve hours.
    pub session_duration: String,
    /// Where a person lands.
    pub relay_state: Option<String>,
    /// ARNs of AWS-managed policies.
    pub managed: Vec<String>,
    /// The inline policy's text.
    pub inline: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Raised by every change that accounts do not have until they are provisioned again.
    pub version: u64,
}

/// Who has which permission set in which account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    pub account: String,
    /// ARN of the permission set.
    pub permission_set: String,
    /// `USER` or `GROUP`.
    pub principal_type: String,
    /// Id in the Identity Store.
    pub principal_id: String,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    InProgress,
    Succeeded,
    /// Not done, and never will be, for this reason.
    Failed(String),
}

impl Progress {
    /// Returns the status as AWS writes it on the wire.
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
    /// Whether it creates; else it deletes.
    pub creates: bool,
    /// What it is about.
    pub assignment: Assignment,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it will be done; never, where there is none.
    pub ready_at: Option<DateTime<Utc>>,
    pub progress: Progress,
    /// Why it is going to fail, where a fault says so.
    doomed: Option<String>,
}

/// A request to bring a permission set to accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provisioning {
    pub id: String,
    /// ARN of the set.
    pub permission_set: String,
    /// The one account; every account that has the set, where there is none.
    pub account: Option<String>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it will be done; never, where there is none.
    pub ready_at: Option<DateTime<Utc>>,
    pub progress: Progress,
    /// Why it is going to fail, where a fault says so.
    doomed: Option<String>,
}

impl IdentityCenter {
    /// An instance in the home region, without permission sets.
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
    let here = ctx.region == ctx.settings.home_region;
    if !here || instance.is_some_and(|arn| arn != state.identity_center.instance_arn) {
        return Err(absent("Instance", instance.unwrap_or_default()));
    }
    let body = &request.body;
    let answer = match operation {
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
        "ListPermissionSetsProvisionedToAccount" => provisioning::sets_of_account(state, ctx, body),
        "ListAccountsForProvisionedPermissionSet" => provisioning::accounts_of_set(state, ctx, body),
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
    answer
}

/// Only the region in which Identity Center lives knows it, unless all regions are asked for.
fn list_instances(state: &State, ctx: &Ctx, input: &serde_json::Value) -> MockResponse {
    let everywhere = input.get("RegionScope").is_some_and(|scope| scope == "ALL_REGIONS");
    let center = &state.identity_center;
    let instance = model::InstanceMetadata {
        instance_arn: Some(center.instance_arn.clone()),
        identity_store_id: Some(state.identity_store.id.clone()),
        owner_account_id: Some(ctx.settings.management_account.clone()),
        status: Some("ACTIVE".into()),
        created_date: Some(seconds(center.created_at)),
        ..Default::default()
    };
    let known = everywhere || ctx.region == ctx.settings.home_region;
    let instances = Some(known.then_some(instance).into_iter().collect());
    wire::serialize_list_instances_response(&model::ListInstancesResponse { instances, next_token: None })
}

fn absent(what: &str, name: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("{what} {name} not found"))
}

fn conflict(message: impl Into<String>) -> AwsError {
    AwsError::new("ConflictException", message)
}

fn quota(message: impl Into<String>) -> AwsError {
    AwsError::new("ServiceQuotaExceededException", message)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

/// One page of items.
fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<i32>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let max = max.and_then(|max| usize::try_from(max).ok());
    crate::world::page(ctx, items, token, max, || validation("The provided NextToken is invalid"))
}

/// A time as JSON 1.1 states it: seconds since 1970.
fn seconds(time: DateTime<Utc>) -> f64 {
    (time - DateTime::UNIX_EPOCH).as_seconds_f64()
}

#[cfg(test)]
mod tests;
