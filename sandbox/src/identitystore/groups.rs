//! Groups of the Identity Store and their members.

use winterbaume_core::MockResponse;
use winterbaume_identitystore::{model, wire};

use super::{Group, Membership, already_exists, filter, id, not_found, page, seconds, unique_attribute};
use crate::world::{AwsError, Ctx, State};

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_group_request(body).map_err(AwsError::serialization)?;
    let missing = || AwsError::new("ValidationException", "displayName is a required attribute");
    let display_name = input.display_name.ok_or_else(missing)?;
    let group_id = state.ids.uuid();
    let store = &mut state.identity_store;
    let has_same_name = |group: &Group| group.display_name.to_lowercase() == display_name.to_lowercase();
    if store.groups.values().any(has_same_name) {
        return Err(already_exists("GroupDisplayName", &display_name));
    }
    let group = Group { id: group_id.clone(), display_name, description: input.description, created_at: ctx.now };
    store.groups.insert(group_id.clone(), group);
    Ok(wire::serialize_create_group_response(&model::CreateGroupResponse {
        identity_store_id: Some(store.id.clone()),
        group_id: Some(group_id),
    }))
}

pub(super) fn describe(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_group_request(body).map_err(AwsError::serialization)?;
    let group = find(state, &input.group_id)?;
    let body = serde_json::to_string(&to_wire(&state.identity_store.id, group)).unwrap_or_default();
    Ok(MockResponse::json(200, body))
}

pub(super) fn get_id(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_get_group_id_request(body).map_err(AwsError::serialization)?;
    let name = unique_attribute(&input.alternate_identifier, "displayName")?;
    let store = &state.identity_store;
    let matches_name = |group: &&Group| group.display_name.to_lowercase() == name;
    let group = store.groups.values().find(matches_name).ok_or_else(|| not_found("GROUP", ""))?;
    Ok(wire::serialize_get_group_id_response(&model::GetGroupIdResponse {
        identity_store_id: Some(store.id.clone()),
        group_id: Some(group.id.clone()),
    }))
}

pub(super) fn list(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_groups_request(body).map_err(AwsError::serialization)?;
    let name = filter(input.filters.as_ref(), "DisplayName")?;
    let store = &state.identity_store;
    let found = store
        .groups
        .values()
        .filter(|group| name.as_ref().is_none_or(|name| group.display_name.to_lowercase() == *name));
    let (groups, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    let groups = groups.into_iter().map(|group| to_wire(&store.id, group)).collect();
    Ok(wire::serialize_list_groups_response(&model::ListGroupsResponse { groups: Some(groups), next_token }))
}

/// Deletes a group with all memberships. As in AWS, its account assignments remain.
pub(super) fn delete(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_group_request(body).map_err(AwsError::serialization)?;
    let id = find(state, &input.group_id)?.id.clone();
    let store = &mut state.identity_store;
    store.groups.remove(&id);
    store.memberships.retain(|_, membership| membership.group != id);
    Ok(wire::serialize_delete_group_response(&model::DeleteGroupResponse {}))
}

pub(super) fn add_member(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_group_membership_request(body).map_err(AwsError::serialization)?;
    let group = find(state, &input.group_id)?.id.clone();
    let user = find_user_id(state, &input.member_id)?;
    let membership_id = state.ids.uuid();
    let store = &mut state.identity_store;
    if store.memberships.values().any(|other| other.group == group && other.user == user) {
        return Err(already_exists("GroupMembership", "MemberId"));
    }
    let membership = Membership { id: membership_id.clone(), group, user, created_at: ctx.now };
    store.memberships.insert(membership_id.clone(), membership);
    Ok(wire::serialize_create_group_membership_response(&model::CreateGroupMembershipResponse {
        identity_store_id: Some(store.id.clone()),
        membership_id: Some(membership_id),
    }))
}

pub(super) fn get_membership_id(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_get_group_membership_id_request(body).map_err(AwsError::serialization)?;
    let group = find(state, &input.group_id)?.id.clone();
    let user = find_user_id(state, &input.member_id)?;
    let store = &state.identity_store;
    let found = store.memberships.values().find(|membership| membership.group == group && membership.user == user);
    let membership = found.ok_or_else(|| not_found("GROUP_MEMBERSHIP", ""))?;
    Ok(wire::serialize_get_group_membership_id_response(&model::GetGroupMembershipIdResponse {
        identity_store_id: Some(store.id.clone()),
        membership_id: Some(membership.id.clone()),
    }))
}

pub(super) fn list_members(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_group_memberships_request(body).map_err(AwsError::serialization)?;
    let group = find(state, &input.group_id)?.id.clone();
    let store = &state.identity_store;
    let found = store.memberships.values().filter(|membership| membership.group == group);
    let (found, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    let found = found.into_iter().map(|membership| membership_to_wire(&store.id, membership)).collect();
    Ok(wire::serialize_list_group_memberships_response(&model::ListGroupMembershipsResponse {
        group_memberships: Some(found),
        next_token,
    }))
}

pub(super) fn list_groups_of_user(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_group_memberships_for_member_request(body).map_err(AwsError::serialization)?;
    let user = find_user_id(state, &input.member_id)?;
    let store = &state.identity_store;
    let found = store.memberships.values().filter(|membership| membership.user == user);
    let (found, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    let found = found.into_iter().map(|membership| membership_to_wire(&store.id, membership)).collect();
    Ok(wire::serialize_list_group_memberships_for_member_response(&model::ListGroupMembershipsForMemberResponse {
        group_memberships: Some(found),
        next_token,
    }))
}

pub(super) fn is_member(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_is_member_in_groups_request(body).map_err(AwsError::serialization)?;
    let user = find_user_id(state, &input.member_id)?;
    let groups = state.identity_store.groups_of(&user);
    let results = input
        .group_ids
        .into_iter()
        .map(|group| model::GroupMembershipExistenceResult {
            membership_exists: Some(groups.contains(id(&group))),
            group_id: Some(group),
            member_id: Some(model::MemberId { user_id: Some(user.clone()) }),
        })
        .collect();
    Ok(wire::serialize_is_member_in_groups_response(&model::IsMemberInGroupsResponse { results: Some(results) }))
}

pub(super) fn remove_member(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_group_membership_request(body).map_err(AwsError::serialization)?;
    let id = id(&input.membership_id);
    state.identity_store.memberships.remove(id).ok_or_else(|| not_found("GROUP_MEMBERSHIP", id))?;
    Ok(wire::serialize_delete_group_membership_response(&model::DeleteGroupMembershipResponse {}))
}

fn find<'a>(state: &'a State, group: &str) -> Result<&'a Group, AwsError> {
    let id = id(group);
    state.identity_store.groups.get(id).ok_or_else(|| not_found("GROUP", id))
}

fn find_user_id(state: &State, member: &model::MemberId) -> Result<String, AwsError> {
    let id = id(member.user_id.as_deref().unwrap_or_default());
    let user = state.identity_store.users.get(id).ok_or_else(|| not_found("USER", id))?;
    Ok(user.id.clone())
}

fn to_wire(store: &str, group: &Group) -> model::Group {
    model::Group {
        identity_store_id: Some(store.to_owned()),
        group_id: Some(group.id.clone()),
        display_name: Some(group.display_name.clone()),
        description: group.description.clone(),
        created_at: Some(seconds(group.created_at)),
        updated_at: Some(seconds(group.created_at)),
        ..Default::default()
    }
}

fn membership_to_wire(store: &str, membership: &Membership) -> model::GroupMembership {
    model::GroupMembership {
        identity_store_id: Some(store.to_owned()),
        membership_id: Some(membership.id.clone()),
        group_id: Some(membership.group.clone()),
        member_id: Some(model::MemberId { user_id: Some(membership.user.clone()) }),
        created_at: Some(seconds(membership.created_at)),
        updated_at: Some(seconds(membership.created_at)),
        ..Default::default()
    }
}
