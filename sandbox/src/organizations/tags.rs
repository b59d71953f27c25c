//! TagResource, UntagResource and ListTagsForResource.

use std::collections::BTreeMap;

use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::{constraint_violation, error, page};
use crate::world::{AwsError, Ctx, State};

/// Maximum number of tags of a resource (AWS Organizations quotas).
const MAX_TAGS: usize = 50;

/// Validates the new tags of a resource. The keys must be unique and not reserved. `total` is the number of tags
/// including the existing ones, and must not exceed the quota.
pub(super) fn check_tags(tags: &[wire::Tag], total: usize) -> Result<(), AwsError> {
    let distinct = tag_map(tags);
    if distinct.len() < tags.len() {
        return Err(error("InvalidInputException", "Tag keys must be unique.").reason("DUPLICATE_TAG_KEY"));
    }
    if distinct.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(error("InvalidInputException", "You can't add, edit, or delete system tag keys.")
            .reason("INVALID_SYSTEM_TAGS_PARAMETER"));
    }
    if total > MAX_TAGS {
        return Err(constraint_violation(
            "MAX_TAG_LIMIT_EXCEEDED",
            "You have exceeded the number of tags on the resource.",
        ));
    }
    Ok(())
}

pub(super) fn tag_map(tags: &[wire::Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

fn tags_of<'a>(state: &'a mut State, id: &str) -> Result<&'a mut BTreeMap<String, String>, AwsError> {
    let organization = &mut state.organization;
    if !organization.is_valid_target(id) && !organization.policies.contains_key(id) {
        return Err(error("TargetNotFoundException", "You specified a target that doesn't exist."));
    }
    Ok(organization.tags.entry(id.to_owned()).or_default())
}

pub(super) fn tag(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_tag_resource_request(body).map_err(AwsError::serialization)?;
    let tags = tags_of(state, &input.resource_id)?;
    let mut changed = tags.clone();
    changed.extend(tag_map(&input.tags));
    check_tags(&input.tags, changed.len())?;
    *tags = changed;
    Ok(wire::serialize_tag_resource_response())
}

pub(super) fn untag(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_untag_resource_request(body).map_err(AwsError::serialization)?;
    let tags = tags_of(state, &input.resource_id)?;
    for key in &input.tag_keys {
        tags.remove(key);
    }
    Ok(wire::serialize_untag_resource_response())
}

pub(super) fn list(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_tags_for_resource_request(body).map_err(AwsError::serialization)?;
    let tags = tags_of(state, &input.resource_id)?;
    let tags = tags.iter().map(|(key, value)| wire::Tag { key: key.clone(), value: value.clone() });
    let (tags, next_token) = page(ctx, tags, input.next_token.as_deref(), None)?;
    Ok(wire::serialize_list_tags_for_resource_response(&wire::ListTagsForResourceResponse {
        next_token,
        tags: Some(tags),
    }))
}
