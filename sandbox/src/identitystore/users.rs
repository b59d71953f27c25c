//! Users of the Identity Store.

use serde_json::Value;
use winterbaume_core::MockResponse;
use winterbaume_identitystore::{model, wire};

use super::{User, already_exists, filter, id, not_found, page, seconds, unique_attribute};
use crate::world::{AwsError, Ctx, State};

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_user_request(body).map_err(AwsError::serialization)?;
    let attributes: Value = serde_json::from_slice(body).map_err(|error| AwsError::serialization(error.to_string()))?;
    let missing = |member: &str| AwsError::new("ValidationException", format!("{member} is a required attribute"));
    let user_name = input.user_name.ok_or_else(|| missing("userName"))?;
    input.display_name.ok_or_else(|| missing("displayName"))?;
    let name = input.name.ok_or_else(|| missing("name"))?;
    name.given_name.zip(name.family_name).ok_or_else(|| missing("name.givenName and name.familyName"))?;
    if ["Administrator", "AWSAdministrators"].contains(&user_name.as_str()) {
        return Err(AwsError::new("ValidationException", format!("{user_name} is a reserved user name")));
    }
    let user_id = state.ids.uuid();
    let store = &mut state.identity_store;
    let has_same_name = |user: &User| user.user_name.to_lowercase() == user_name.to_lowercase();
    if store.users.values().any(has_same_name) {
        return Err(already_exists("UserName", &user_name));
    }
    let user = User { id: user_id.clone(), user_name, attributes, created_at: ctx.now };
    if let Some(address) = email(&user)
        && store.users.values().any(|other| email(other).as_ref() == Some(&address))
    {
        return Err(already_exists("Email", &address));
    }
    store.users.insert(user_id.clone(), user);
    Ok(wire::serialize_create_user_response(&model::CreateUserResponse {
        identity_store_id: Some(store.id.clone()),
        user_id: Some(user_id),
    }))
}

pub(super) fn describe(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_user_request(body).map_err(AwsError::serialization)?;
    let id = id(&input.user_id);
    let user = state.identity_store.users.get(id).ok_or_else(|| not_found("USER", id))?;
    let body = serde_json::to_string(&to_wire(&state.identity_store.id, user)).unwrap_or_default();
    Ok(MockResponse::json(200, body))
}

pub(super) fn get_id(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_get_user_id_request(body).map_err(AwsError::serialization)?;
    let by_name = unique_attribute(&input.alternate_identifier, "userName").ok();
    let address = match by_name {
        Some(_) => None,
        None => Some(unique_attribute(&input.alternate_identifier, "emails.value")?),
    };
    let store = &state.identity_store;
    let matches = |user: &&User| match (&by_name, &address) {
        (Some(name), _) => user.user_name.to_lowercase() == *name,
        (None, address) => email(user) == *address,
    };
    let user = store.users.values().find(matches).ok_or_else(|| not_found("USER", ""))?;
    Ok(wire::serialize_get_user_id_response(&model::GetUserIdResponse {
        identity_store_id: Some(store.id.clone()),
        user_id: Some(user.id.clone()),
    }))
}

pub(super) fn list(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_users_request(body).map_err(AwsError::serialization)?;
    let name = filter(input.filters.as_ref(), "UserName")?;
    let store = &state.identity_store;
    let found =
        store.users.values().filter(|user| name.as_ref().is_none_or(|name| user.user_name.to_lowercase() == *name));
    let (users, next_token) = page(ctx, found, input.next_token.as_deref(), input.max_results)?;
    let users = users.into_iter().map(|user| to_wire(&store.id, user)).collect();
    Ok(wire::serialize_list_users_response(&model::ListUsersResponse { users: Some(users), next_token }))
}

/// Deletes a user with all memberships. As in AWS, the account assignments remain.
pub(super) fn delete(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_user_request(body).map_err(AwsError::serialization)?;
    let id = id(&input.user_id);
    let store = &mut state.identity_store;
    store.users.remove(id).ok_or_else(|| not_found("USER", id))?;
    store.memberships.retain(|_, membership| membership.user != id);
    Ok(wire::serialize_delete_user_response(&model::DeleteUserResponse {}))
}

fn email(user: &User) -> Option<String> {
    Some(user.attributes.get("Emails")?.get(0)?.get("Value")?.as_str()?.to_lowercase())
}

fn to_wire(store: &str, user: &User) -> model::User {
    let attributes = serde_json::from_value::<model::User>(user.attributes.clone()).unwrap_or_default();
    model::User {
        identity_store_id: Some(store.to_owned()),
        user_id: Some(user.id.clone()),
        user_name: Some(user.user_name.clone()),
        user_status: Some("ENABLED".into()),
        created_at: Some(seconds(user.created_at)),
        updated_at: Some(seconds(user.created_at)),
        ..attributes
    }
}
