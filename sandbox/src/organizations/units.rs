//! CreateOrganizationalUnit, DescribeOrganizationalUnit and ListOrganizationalUnitsForParent.

use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::tags::{check_tags, tag_map};
use super::tree::check_parent;
use super::{Organization, constraint_violation, error, page};
use crate::world::{AwsError, Ctx, State};

/// Maximum number of organizational units in an organisation (AWS Organizations quotas).
const MAX_OUS: usize = 2_000;
/// Maximum nesting depth of organizational units below the root (AWS Organizations quotas).
const MAX_OU_DEPTH: usize = 5;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrganizationalUnit {
    /// Name of the organizational unit, unique within the parent.
    pub name: String,
    /// Id of the parent (root or organizational unit).
    pub parent: String,
}

impl Organization {
    fn depth<'a>(&'a self, mut id: &'a str) -> usize {
        let mut depth = 0;
        while let Some(unit) = self.units.get(id) {
            depth += 1;
            id = &unit.parent;
        }
        depth
    }

    fn wire_unit(&self, id: &str, unit: &OrganizationalUnit) -> wire::OrganizationalUnit {
        let mut path = format!("{id}/");
        let mut parent = &unit.parent;
        while let Some(above) = self.units.get(parent) {
            path = format!("{parent}/{path}");
            parent = &above.parent;
        }
        wire::OrganizationalUnit {
            arn: Some(self.arn_of(id)),
            id: Some(id.to_owned()),
            name: Some(unit.name.clone()),
            path: Some(format!("{}/{}/{path}", self.id, self.root)),
        }
    }
}

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_organizational_unit_request(body).map_err(AwsError::serialization)?;
    check_parent(state, &input.parent_id)?;
    let tags = tag_map(input.tags.as_deref().unwrap_or_default());
    check_tags(input.tags.as_deref().unwrap_or_default(), tags.len())?;
    let organization = &state.organization;
    if organization.units.values().any(|unit| unit.parent == input.parent_id && unit.name == input.name) {
        return Err(error(
            "DuplicateOrganizationalUnitException",
            "An OU with the same name already exists in the specified parent.",
        ));
    }
    if organization.units.len() >= MAX_OUS {
        return Err(constraint_violation(
            "OU_NUMBER_LIMIT_EXCEEDED",
            "You have exceeded the number of OUs that you can have.",
        ));
    }
    if organization.depth(&input.parent_id) >= MAX_OU_DEPTH {
        return Err(constraint_violation(
            "OU_DEPTH_LIMIT_EXCEEDED",
            "You attempted to create an OU tree that is too many levels deep.",
        ));
    }
    let prefix = format!("ou-{}-", organization.root.trim_start_matches("r-"));
    let id = state.ids.next_with_prefix(&prefix, 8);
    let organization = &mut state.organization;
    let unit = OrganizationalUnit { name: input.name, parent: input.parent_id };
    let wire_unit = organization.wire_unit(&id, &unit);
    organization.units.insert(id.clone(), unit);
    organization.tags.insert(id.clone(), tags);
    organization.attach_full_access(&id, ctx.now);
    Ok(wire::serialize_create_organizational_unit_response(&wire::CreateOrganizationalUnitResponse {
        organizational_unit: Some(wire_unit),
    }))
}

pub(super) fn describe(state: &State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_organizational_unit_request(body).map_err(AwsError::serialization)?;
    let id = input.organizational_unit_id;
    let unit = state.organization.units.get(&id).ok_or_else(|| {
        error("OrganizationalUnitNotFoundException", "You specified an organizational unit that doesn't exist.")
    })?;
    Ok(wire::serialize_describe_organizational_unit_response(&wire::DescribeOrganizationalUnitResponse {
        organizational_unit: Some(state.organization.wire_unit(&id, unit)),
    }))
}

pub(super) fn list_for_parent(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_organizational_units_for_parent_request(body).map_err(AwsError::serialization)?;
    check_parent(state, &input.parent_id)?;
    let organization = &state.organization;
    let children = organization.units.iter().filter(|(_, unit)| unit.parent == input.parent_id);
    let units = children.map(|(id, unit)| organization.wire_unit(id, unit));
    let (units, next_token) = page(ctx, units, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_organizational_units_for_parent_response(&wire::ListOrganizationalUnitsForParentResponse {
        next_token,
        organizational_units: Some(units),
    }))
}
