//! Tags on roots, units, accounts and policies.

use std::collections::BTreeMap;

use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::{constraint, error, page};
use crate::world::{AwsError, Ctx, State};

/// How many tags a resource may have (AWS Organizations, quotas).
const QUOTA: usize = 50;

/// Refuses tags that cannot be: one key twice, a reserved key, or more than `in_all` may be.
pub(super) fn check_tags(tags: &[wire::Tag], in_all: usize) -> Result<(), AwsError> {
    let distinct = tag_map(tags);
    if distinct.len() < tags.len() {
        return Err(error("InvalidInputException", "Tag keys must be unique.").reason("DUPLICATE_TAG_KEY"));
    }
    if distinct.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(error("InvalidInputException", "You can't add, edit, or delete system tag keys.")
            .reason("INVALID_SYSTEM_TAGS_PARAMETER"));
    }
    if in_all > QUOTA {
        return Err(constraint("MAX_TAG_LIMIT_EXCEEDED", "You have exceeded the number of tags on the resource."));
    }
    Ok(())
}

/// Tags as a map.
pub(super) fn tag_map(tags: &[wire::Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

fn resource<'a>(state: &'a mut State, id: &str) -> Result<&'a mut BTreeMap<String, String>, AwsError> {
    let organization = &mut state.organization;
    if !organization.has_target(id) && !organization.policies.contains_key(id) {
        return Err(error("TargetNotFoundException", "You specified a target that doesn't exist."));
    }
    Ok(organization.tags.entry(id.to_owned()).or_default())
}

pub(super) fn tag(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_tag_resource_request(body).map_err(AwsError::serialization)?;
    let tags = resource(state, &input.resource_id)?;
    let mut changed = tags.clone();
    changed.extend(tag_map(&input.tags));
    check_tags(&input.tags, changed.len())?;
    *tags = changed;
    Ok(wire::serialize_tag_resource_response())
}

pub(super) fn untag(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_untag_resource_request(body).map_err(AwsError::serialization)?;
    let tags = resource(state, &input.resource_id)?;
    for key in &input.tag_keys {
        tags.remove(key);
    }
    Ok(wire::serialize_untag_resource_response())
}

pub(super) fn list(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_tags_for_resource_request(body).map_err(AwsError::serialization)?;
    let tags = resource(state, &input.resource_id)?;
    let tags = tags.iter().map(|(key, value)| wire::Tag { key: key.clone(), value: value.clone() });
    let (tags, next_token) = page(ctx, tags, input.next_token.as_deref(), None)?;
    Ok(wire::serialize_list_tags_for_resource_response(&wire::ListTagsForResourceResponse {
        next_token,
        tags: Some(tags),
    }))
}
