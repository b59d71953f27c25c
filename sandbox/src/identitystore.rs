//! Simulated Identity Store, the user directory of Identity Center: users (`users.rs`) and groups (`groups.rs`).

mod groups;
mod inputs;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use winterbaume_core::MockResponse;
use winterbaume_identitystore::model;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State, access_denied};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IdentityStore {
    /// Id of the Identity Store in the format `d-…`.
    pub id: String,
    pub users: BTreeMap<String, User>,
    pub groups: BTreeMap<String, Group>,
    /// Memberships of users in groups, by membership id.
    pub memberships: BTreeMap<String, Membership>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    /// User name, unique among all users when case is ignored.
    pub user_name: String,
    /// User attributes, stored as the JSON input of CreateUser.
    pub attributes: Value,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    /// Group name, unique among all groups when case is ignored.
    pub display_name: String,
    pub description: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The membership of a user in a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Membership {
    pub id: String,
    pub group: String,
    pub user: String,
    pub created_at: DateTime<Utc>,
}

impl IdentityStore {
    /// Creates an Identity Store with the groups named in the settings and without users.
    pub fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        let digest = |name: &str| {
            let digest = Sha256::new().chain_update(name).chain_update(settings.seed.to_be_bytes()).finalize();
            hex::encode(digest)
        };
        let group = |name: &String| {
            let hex = digest(&format!("group/{name}"));
            let id = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
            let group = Group { id: id.clone(), display_name: name.clone(), description: None, created_at: now };
            (id, group)
        };
        Self {
            id: format!("d-{}", &digest("identity-store")[..10]),
            groups: settings.groups.iter().map(group).collect(),
            ..Self::default()
        }
    }

    /// Returns the ids of the groups that a user is a member of.
    pub fn groups_of(&self, user: &str) -> BTreeSet<String> {
        let memberships = self.memberships.values().filter(|membership| membership.user == user);
        memberships.map(|membership| membership.group.clone()).collect()
    }
}

pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: Value = request.json()?;
    inputs::check_input(operation, &input)?;
    if ctx.caller.account != ctx.settings.management_account {
        return Err(access_denied(ctx.service, "You do not have sufficient access to perform this action."));
    }
    let store_id = input.get("IdentityStoreId").and_then(Value::as_str).unwrap_or_default();
    let store_id = store_id.rsplit('/').next().unwrap_or_default();
    if ctx.region != ctx.settings.home_region || store_id != state.identity_store.id {
        return Err(not_found("IDENTITY_STORE", store_id));
    }
    let body = &request.body;
    match operation {
        "CreateUser" => users::create(state, ctx, body),
        "DescribeUser" => users::describe(state, body),
        "GetUserId" => users::get_id(state, body),
        "ListUsers" => users::list(state, ctx, body),
        "DeleteUser" => users::delete(state, body),
        "CreateGroup" => groups::create(state, ctx, body),
        "DescribeGroup" => groups::describe(state, body),
        "GetGroupId" => groups::get_id(state, body),
        "ListGroups" => groups::list(state, ctx, body),
        "DeleteGroup" => groups::delete(state, body),
        "CreateGroupMembership" => groups::add_member(state, ctx, body),
        "GetGroupMembershipId" => groups::get_membership_id(state, body),
        "ListGroupMemberships" => groups::list_members(state, ctx, body),
        "ListGroupMembershipsForMember" => groups::list_groups_of_user(state, ctx, body),
        "IsMemberInGroups" => groups::is_member(state, body),
        "DeleteGroupMembership" => groups::remove_member(state, body),
        _ => Err(AwsError::unknown_operation(operation)),
    }
}

/// Returns the error for a missing resource; `kind` is `USER`, `GROUP` or another resource type.
fn not_found(kind: &str, id: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("{kind} not found."))
        .with("ResourceType", kind)
        .with("ResourceId", id)
}

fn already_exists(kind: &str, attribute: &str) -> AwsError {
    AwsError::new("ConflictException", format!("Duplicate {kind} {attribute}"))
        .reason("UNIQUENESS_CONSTRAINT_VIOLATION")
}

/// Extracts the id from an ARN. An id is returned unchanged.
fn id(id_or_arn: &str) -> &str {
    id_or_arn.rsplit('/').next().unwrap_or_default()
}

/// Returns the value of the unique attribute in lower case. Returns an error if the identifier contains a different
/// attribute than `path`.
fn unique_attribute(identifier: &model::AlternateIdentifier, path: &str) -> Result<String, AwsError> {
    let attribute =
        identifier.unique_attribute.as_ref().filter(|unique| unique.attribute_path.eq_ignore_ascii_case(path));
    let value = attribute.and_then(|unique| unique.attribute_value.as_str()).map(str::to_lowercase);
    value.ok_or_else(|| AwsError::new("ValidationException", format!("The AlternateIdentifier must name {path}")))
}

/// Returns the filter value in lower case, or `None` if there is no filter. Returns an error if the filter is for a
/// different attribute than `path`.
fn filter(filters: Option<&Vec<model::Filter>>, path: &str) -> Result<Option<String>, AwsError> {
    match filters.and_then(|filters| filters.first()) {
        None => Ok(None),
        Some(filter) if filter.attribute_path.eq_ignore_ascii_case(path) => {
            Ok(Some(filter.attribute_value.to_lowercase()))
        }
        Some(filter) => {
            Err(AwsError::new("ValidationException", format!("Cannot filter by {}", filter.attribute_path)))
        }
    }
}

/// Returns one page of items and the token of the next page.
fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<i32>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let max = max.and_then(|max| usize::try_from(max).ok());
    let invalid = || AwsError::new("ValidationException", "The provided NextToken is invalid");
    crate::world::page(ctx, items, token, max, invalid)
}

/// Converts a time to the timestamp format of AWS JSON 1.1, which is seconds since 1970.
fn seconds(time: DateTime<Utc>) -> f64 {
    (time - DateTime::UNIX_EPOCH).as_seconds_f64()
}

#[cfg(test)]
mod tests;
