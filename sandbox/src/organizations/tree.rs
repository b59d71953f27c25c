//! DescribeOrganization, ListRoots, ListParents and ListChildren.

use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::{error, page};
use crate::world::{AwsError, Ctx, State};

/// Handles DescribeOrganization. Every account of the organisation may call this operation.
pub(super) fn describe_organization(state: &State) -> MockResponse {
    let organization = &state.organization;
    let management = &organization.management_account;
    let email = organization.members.get(management).map(|member| member.email.clone());
    let described = wire::Organization {
        arn: Some(format!("arn:aws:organizations::{management}:organization/{}", organization.id)),
        available_policy_types: Some(vec![policy_type()]),
        feature_set: Some("ALL".into()),
        id: Some(organization.id.clone()),
        master_account_arn: Some(organization.arn_of(management)),
        master_account_email: email,
        master_account_id: Some(management.clone()),
    };
    wire::serialize_describe_organization_response(&wire::DescribeOrganizationResponse {
        organization: Some(described),
    })
}

pub(super) fn list_roots(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_roots_request(body).map_err(AwsError::serialization)?;
    let (roots, next_token) = page(ctx, [wire_root(state)], input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_roots_response(&wire::ListRootsResponse { next_token, roots: Some(roots) }))
}

/// Returns the root in the wire format.
pub(super) fn wire_root(state: &State) -> wire::Root {
    let organization = &state.organization;
    wire::Root {
        arn: Some(organization.arn_of(&organization.root)),
        id: Some(organization.root.clone()),
        name: Some("Root".into()),
        policy_types: Some(organization.policies_enabled.then(policy_type).into_iter().collect()),
    }
}

fn policy_type() -> wire::PolicyTypeSummary {
    wire::PolicyTypeSummary { status: Some("ENABLED".into()), r#type: Some("SERVICE_CONTROL_POLICY".into()) }
}

/// Handles ListParents. An account or organizational unit always has exactly one parent.
pub(super) fn list_parents(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_parents_request(body).map_err(AwsError::serialization)?;
    let organization = &state.organization;
    let parent = match organization.members.get(&input.child_id) {
        Some(member) => member.parent.current(),
        None => match organization.units.get(&input.child_id) {
            Some(unit) => &unit.parent,
            None => {
                return Err(error("ChildNotFoundException", "You specified a child that doesn't exist."));
            }
        },
    };
    let kind = if *parent == organization.root { "ROOT" } else { "ORGANIZATIONAL_UNIT" };
    let parent = wire::Parent { id: Some(parent.clone()), r#type: Some(kind.into()) };
    let (parents, next_token) = page(ctx, [parent], input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_parents_response(&wire::ListParentsResponse { next_token, parents: Some(parents) }))
}

pub(super) fn list_children(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_children_request(body).map_err(AwsError::serialization)?;
    check_parent(state, &input.parent_id)?;
    let organization = &state.organization;
    let ids: Vec<&String> = if input.child_type == "ACCOUNT" {
        organization.accounts_under(&input.parent_id).map(|(id, _)| id).collect()
    } else {
        organization.units.iter().filter(|(_, unit)| unit.parent == input.parent_id).map(|(id, _)| id).collect()
    };
    let children =
        ids.into_iter().map(|id| wire::Child { id: Some(id.clone()), r#type: Some(input.child_type.clone()) });
    let (children, next_token) = page(ctx, children, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_children_response(&wire::ListChildrenResponse { children: Some(children), next_token }))
}

/// Returns an error if the parent does not exist.
pub(super) fn check_parent(state: &State, parent: &str) -> Result<(), AwsError> {
    if state.organization.is_valid_parent(parent) {
        return Ok(());
    }
    Err(error("ParentNotFoundException", "You specified parent that doesn't exist."))
}
