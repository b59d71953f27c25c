//! Permission sets with their policies and tags.

use std::collections::BTreeMap;

use winterbaume_core::MockResponse;
use winterbaume_ssoadmin::{model, wire};

use super::{PermissionSet, conflict, not_found, page, quota_exceeded, seconds, validation_error};
use crate::iam::is_aws_managed_policy;
use crate::policy::{Document, PolicyKind};
use crate::world::ids::HEX;
use crate::world::{AwsError, Ctx, State};

/// Maximum number of permission sets in the instance (IAM Identity Center quotas).
const MAX_PERMISSION_SETS: usize = 3_500;
/// Maximum number of managed policies attached to a permission set (IAM Identity Center quotas).
const MAX_MANAGED_POLICIES: usize = 20;
/// Maximum number of characters in an inline policy, excluding white space (IAM Identity Center quotas).
const MAX_INLINE_CHARACTERS: usize = 10_240;

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_permission_set_request(body).map_err(AwsError::serialization)?;
    let session_duration = validate_duration(input.session_duration)?;
    let id = state.ids.next(HEX, 16);
    let center = &mut state.identity_center;
    if center.permission_sets.values().any(|set| set.name == input.name) {
        return Err(conflict(format!("PermissionSet with name {} already exists", input.name)));
    }
    if center.permission_sets.len() >= MAX_PERMISSION_SETS {
        return Err(quota_exceeded("You have reached the maximum number of permission sets"));
    }
    let instance = center.instance_arn.rsplit('/').next().unwrap_or_default();
    let set = PermissionSet {
        arn: format!("arn:aws:sso:::permissionSet/{instance}/ps-{id}"),
        name: input.name,
        description: input.description,
        session_duration,
        relay_state: input.relay_state,
        managed: Vec::new(),
        inline: None,
        tags: tag_map(input.tags.unwrap_or_default()),
        created_at: ctx.now,
        version: 1,
    };
    let created = to_wire(&set);
    center.permission_sets.insert(set.arn.clone(), set);
    Ok(wire::serialize_create_permission_set_response(&model::CreatePermissionSetResponse {
        permission_set: Some(created),
    }))
}

pub(super) fn describe(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_permission_set_request(body).map_err(AwsError::serialization)?;
    let permission_set = Some(to_wire(find(state, &input.permission_set_arn)?));
    Ok(wire::serialize_describe_permission_set_response(&model::DescribePermissionSetResponse { permission_set }))
}

pub(super) fn list(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_permission_sets_request(body).map_err(AwsError::serialization)?;
    let arns = state.identity_center.permission_sets.keys().cloned();
    let (arns, next_token) = page(ctx, arns, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_permission_sets_response(&model::ListPermissionSetsResponse {
        permission_sets: Some(arns),
        next_token,
    }))
}

pub(super) fn update(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_update_permission_set_request(body).map_err(AwsError::serialization)?;
    let duration = input.session_duration.map(|value| validate_duration(Some(value))).transpose()?;
    let set = find(state, &input.permission_set_arn)?;
    set.description = input.description.or(set.description.take());
    set.relay_state = input.relay_state.or(set.relay_state.take());
    set.session_duration = duration.unwrap_or_else(|| set.session_duration.clone());
    set.version += 1;
    Ok(wire::serialize_update_permission_set_response(&model::UpdatePermissionSetResponse {}))
}

pub(super) fn delete(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_permission_set_request(body).map_err(AwsError::serialization)?;
    let arn = input.permission_set_arn;
    find(state, &arn)?;
    let center = &mut state.identity_center;
    let in_use = center.assignments.iter().any(|assignment| assignment.permission_set == arn)
        || center.provisioned.values().any(|sets| sets.contains_key(&arn));
    if in_use {
        return Err(conflict(format!("PermissionSet {arn} is still assigned to accounts")));
    }
    center.permission_sets.remove(&arn);
    Ok(wire::serialize_delete_permission_set_response(&model::DeletePermissionSetResponse {}))
}

pub(super) fn attach(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_attach_managed_policy_to_permission_set_request(body).map_err(AwsError::serialization)?;
    let set = find(state, &input.permission_set_arn)?;
    let policy = input.managed_policy_arn;
    if !is_aws_managed_policy(&policy) {
        return Err(not_found("Managed policy", &policy));
    }
    if set.managed.contains(&policy) {
        let set = &set.arn;
        return Err(conflict(format!(
            "PermissionSet {set} already has a typed link attachment to a managed policy with {policy}"
        )));
    }
    if set.managed.len() >= MAX_MANAGED_POLICIES {
        return Err(quota_exceeded(format!("A permission set has at most {MAX_MANAGED_POLICIES} managed policies")));
    }
    set.managed.push(policy);
    set.version += 1;
    Ok(wire::serialize_attach_managed_policy_to_permission_set_response(
        &model::AttachManagedPolicyToPermissionSetResponse {},
    ))
}

pub(super) fn detach(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_detach_managed_policy_from_permission_set_request(body).map_err(AwsError::serialization)?;
    let set = find(state, &input.permission_set_arn)?;
    let before = set.managed.len();
    set.managed.retain(|policy| *policy != input.managed_policy_arn);
    if set.managed.len() == before {
        return Err(not_found("Managed policy", &input.managed_policy_arn));
    }
    set.version += 1;
    Ok(wire::serialize_detach_managed_policy_from_permission_set_response(
        &model::DetachManagedPolicyFromPermissionSetResponse {},
    ))
}

pub(super) fn list_attached(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_managed_policies_in_permission_set_request(body).map_err(AwsError::serialization)?;
    let policies = find(state, &input.permission_set_arn)?.managed.clone();
    let (policies, next_token) = page(ctx, policies, input.next_token.as_deref(), input.max_results)?;
    let to_wire =
        |arn: String| model::AttachedManagedPolicy { name: arn.rsplit('/').next().map(str::to_owned), arn: Some(arn) };
    Ok(wire::serialize_list_managed_policies_in_permission_set_response(
        &model::ListManagedPoliciesInPermissionSetResponse {
            attached_managed_policies: Some(policies.into_iter().map(to_wire).collect()),
            next_token,
        },
    ))
}

pub(super) fn put_inline(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_put_inline_policy_to_permission_set_request(body).map_err(AwsError::serialization)?;
    let set = find(state, &input.permission_set_arn)?;
    let policy = input.inline_policy;
    if policy.chars().filter(|c| !c.is_whitespace()).count() > MAX_INLINE_CHARACTERS {
        return Err(quota_exceeded(format!(
            "An inline policy has at most {MAX_INLINE_CHARACTERS} characters that are not white space"
        )));
    }
    Document::parse_as(PolicyKind::Identity, &policy)
        .map_err(|error| validation_error(format!("The policy is not valid: {error}")))?;
    set.inline = Some(policy);
    set.version += 1;
    Ok(wire::serialize_put_inline_policy_to_permission_set_response(&model::PutInlinePolicyToPermissionSetResponse {}))
}

pub(super) fn get_inline(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_get_inline_policy_for_permission_set_request(body).map_err(AwsError::serialization)?;
    // AWS returns an empty string for a permission set without an inline policy.
    let inline_policy = Some(find(state, &input.permission_set_arn)?.inline.clone().unwrap_or_default());
    Ok(wire::serialize_get_inline_policy_for_permission_set_response(&model::GetInlinePolicyForPermissionSetResponse {
        inline_policy,
    }))
}

pub(super) fn delete_inline(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_delete_inline_policy_from_permission_set_request(body).map_err(AwsError::serialization)?;
    let set = find(state, &input.permission_set_arn)?;
    set.inline = None;
    set.version += 1;
    Ok(wire::serialize_delete_inline_policy_from_permission_set_response(
        &model::DeleteInlinePolicyFromPermissionSetResponse {},
    ))
}

pub(super) fn tag(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_tag_resource_request(body).map_err(AwsError::serialization)?;
    find(state, &input.resource_arn)?.tags.extend(tag_map(input.tags));
    Ok(wire::serialize_tag_resource_response(&model::TagResourceResponse {}))
}

pub(super) fn untag(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_untag_resource_request(body).map_err(AwsError::serialization)?;
    find(state, &input.resource_arn)?.tags.retain(|key, _| !input.tag_keys.contains(key));
    Ok(wire::serialize_untag_resource_response(&model::UntagResourceResponse {}))
}

pub(super) fn list_tags(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_tags_for_resource_request(body).map_err(AwsError::serialization)?;
    let tags = find(state, &input.resource_arn)?.tags.clone();
    let (tags, next_token) = page(ctx, tags, input.next_token.as_deref(), None)?;
    let tags = tags.into_iter().map(|(key, value)| model::Tag { key, value }).collect();
    Ok(wire::serialize_list_tags_for_resource_response(&model::ListTagsForResourceResponse {
        tags: Some(tags),
        next_token,
    }))
}

pub(super) fn find<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut PermissionSet, AwsError> {
    state.identity_center.permission_sets.get_mut(arn).ok_or_else(|| not_found("PermissionSet", arn))
}

fn to_wire(set: &PermissionSet) -> model::PermissionSet {
    model::PermissionSet {
        permission_set_arn: Some(set.arn.clone()),
        name: Some(set.name.clone()),
        description: set.description.clone(),
        session_duration: Some(set.session_duration.clone()),
        relay_state: set.relay_state.clone(),
        created_date: Some(seconds(set.created_at)),
    }
}

fn tag_map(tags: Vec<model::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Validates a session duration, which must be between one and twelve hours. The default is one hour.
fn validate_duration(value: Option<String>) -> Result<String, AwsError> {
    let Some(value) = value else { return Ok("PT1H".into()) };
    if (3_600..=43_200).contains(&duration_seconds(&value)) {
        return Ok(value);
    }
    Err(validation_error(format!("SessionDuration {value} is not between one and twelve hours")))
}

/// Returns the seconds of a session duration such as `PT1H30M`.
pub(crate) fn duration_seconds(value: &str) -> u64 {
    let mut total = 0_u64;
    let mut number = 0_u64;
    for character in value.trim_start_matches("PT").chars() {
        match (character, character.to_digit(10)) {
            (_, Some(digit)) => number = number.saturating_mul(10).saturating_add(digit.into()),
            ('H', _) => total = total.saturating_add(std::mem::take(&mut number).saturating_mul(3_600)),
            ('M', _) => total = total.saturating_add(std::mem::take(&mut number).saturating_mul(60)),
            _ => total = total.saturating_add(std::mem::take(&mut number)),
        }
    }
    total
}
