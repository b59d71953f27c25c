//! Service control policies and their attachments.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::tags::{check_tags, tag_map};
use super::tree::wire_root;
use super::{History, Organization, constraint_violation, error, page};
use crate::policy::{Document, PolicyKind};
use crate::world::ids::ALPHANUMERIC;
use crate::world::{AwsError, Ctx, State};

/// Id of the policy FullAWSAccess, which allows everything. AWS attaches it to the root and to each organizational unit
/// and account.
pub const FULL_ACCESS_POLICY_ID: &str = "p-FullAWSAccess";

const POLICY_TYPE: &str = "SERVICE_CONTROL_POLICY";
/// Maximum number of characters in a policy, including white space (AWS Organizations quotas).
const MAX_POLICY_CHARACTERS: usize = 10_240;
/// Maximum number of policies attached to the root, an organizational unit or an account (AWS Organizations quotas).
const MAX_ATTACHED_POLICIES: usize = 10;
/// Maximum number of policies in the organisation (AWS Organizations quotas).
const MAX_POLICIES: usize = 10_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceControlPolicy {
    pub name: String,
    pub description: String,
    /// Policy document as JSON text, exactly as sent by the caller.
    pub content: String,
    pub aws_managed: bool,
    /// Parsed policy document. A change takes effect with a delay.
    pub document: History<Document>,
}

impl ServiceControlPolicy {
    pub(super) fn full_access(now: DateTime<Utc>) -> Self {
        let content = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        Self {
            name: "FullAWSAccess".into(),
            description: "Allows access to every operation".into(),
            content: content.into(),
            aws_managed: true,
            document: History::new(now, Document::parse(content).unwrap_or_default()),
        }
    }
}

impl Organization {
    /// Attaches FullAWSAccess to an organizational unit or account if service control policies are enabled.
    pub(super) fn attach_full_access(&mut self, target: &str, now: DateTime<Utc>) {
        if self.policies_enabled {
            self.attached.insert(target.to_owned(), History::new(now, vec![FULL_ACCESS_POLICY_ID.to_owned()]));
        }
    }

    /// Returns the ids of the policies attached to the root, an organizational unit or an account.
    pub fn attached_policies(&self, target: &str) -> &[String] {
        self.attached.get(target).map(|attached| attached.current().as_slice()).unwrap_or_default()
    }

    fn wire_summary(&self, id: &str, policy: &ServiceControlPolicy) -> wire::PolicySummary {
        wire::PolicySummary {
            arn: Some(self.arn_of(id)),
            aws_managed: Some(policy.aws_managed),
            description: Some(policy.description.clone()),
            id: Some(id.to_owned()),
            name: Some(policy.name.clone()),
            r#type: Some(POLICY_TYPE.into()),
        }
    }

    fn wire_policy(&self, id: &str, policy: &ServiceControlPolicy) -> wire::Policy {
        wire::Policy { content: Some(policy.content.clone()), policy_summary: Some(self.wire_summary(id, policy)) }
    }

    fn wire_target(&self, id: &str) -> wire::PolicyTargetSummary {
        let (name, kind) = match (self.members.get(id), self.units.get(id)) {
            (Some(member), _) => (member.name.as_str(), "ACCOUNT"),
            (None, Some(unit)) => (unit.name.as_str(), "ORGANIZATIONAL_UNIT"),
            (None, None) => ("Root", "ROOT"),
        };
        wire::PolicyTargetSummary {
            arn: Some(self.arn_of(id)),
            name: Some(name.to_owned()),
            target_id: Some(id.to_owned()),
            r#type: Some(kind.into()),
        }
    }
}

/// Enables service control policies and attaches FullAWSAccess to the root, all organizational units and all accounts.
pub(super) fn enable_type(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_enable_policy_type_request(body).map_err(AwsError::serialization)?;
    let organization = &mut state.organization;
    if input.root_id != organization.root {
        return Err(error("RootNotFoundException", "You specified a root that doesn't exist."));
    }
    check_policy_type(&input.policy_type)?;
    if organization.policies_enabled {
        return Err(error("PolicyTypeAlreadyEnabledException", "The specified policy type is already enabled."));
    }
    organization.policies_enabled = true;
    let units = organization.units.keys().cloned();
    let targets: Vec<String> =
        std::iter::once(organization.root.clone()).chain(units).chain(organization.joined.clone()).collect();
    for target in targets {
        organization.attach_full_access(&target, ctx.now);
    }
    let root = Some(wire_root(state));
    Ok(wire::serialize_enable_policy_type_response(&wire::EnablePolicyTypeResponse { root }))
}

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_policy_request(body).map_err(AwsError::serialization)?;
    check_policy_type(&input.r#type)?;
    let tags = tag_map(input.tags.as_deref().unwrap_or_default());
    check_tags(input.tags.as_deref().unwrap_or_default(), tags.len())?;
    let document = parse_content(&input.content)?;
    check_policy_name_unused(&state.organization, &input.name, None)?;
    if state.organization.policies.len() >= MAX_POLICIES {
        return Err(constraint_violation(
            "POLICY_NUMBER_LIMIT_EXCEEDED",
            "You have exceeded the number of policies that you can have.",
        ));
    }
    let id = format!("p-{}", state.ids.next(ALPHANUMERIC, 8));
    let policy = ServiceControlPolicy {
        name: input.name,
        description: input.description,
        content: input.content,
        aws_managed: false,
        document: History::new(ctx.now, document),
    };
    let created = state.organization.wire_policy(&id, &policy);
    state.organization.policies.insert(id.clone(), policy);
    state.organization.tags.insert(id, tags);
    Ok(wire::serialize_create_policy_response(&wire::CreatePolicyResponse { policy: Some(created) }))
}

pub(super) fn update(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_update_policy_request(body).map_err(AwsError::serialization)?;
    let id = input.policy_id;
    check_not_aws_managed(&state.organization, &id)?;
    if let Some(name) = &input.name {
        check_policy_name_unused(&state.organization, name, Some(&id))?;
    }
    let document = input.content.as_deref().map(parse_content).transpose()?;
    let delay =
        ctx.draw_duration(ctx.settings.durations.policy_propagation, &format!("policy:{id}:{}", ctx.request_id));
    let policy = state.organization.policies.get_mut(&id).ok_or_else(policy_not_found)?;
    if let (Some(content), Some(document)) = (input.content, document) {
        policy.content = content;
        policy.document.set(ctx.now, delay, document);
    }
    policy.name = input.name.unwrap_or_else(|| std::mem::take(&mut policy.name));
    policy.description = input.description.unwrap_or_else(|| std::mem::take(&mut policy.description));
    let policy = state.organization.policies.get(&id).map(|policy| state.organization.wire_policy(&id, policy));
    Ok(wire::serialize_update_policy_response(&wire::UpdatePolicyResponse { policy }))
}

pub(super) fn describe(state: &State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_policy_request(body).map_err(AwsError::serialization)?;
    let policy = state.organization.policies.get(&input.policy_id).ok_or_else(policy_not_found)?;
    let policy = state.organization.wire_policy(&input.policy_id, policy);
    Ok(wire::serialize_describe_policy_response(&wire::DescribePolicyResponse { policy: Some(policy) }))
}

pub(super) fn delete(state: &mut State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_delete_policy_request(body).map_err(AwsError::serialization)?;
    check_not_aws_managed(&state.organization, &input.policy_id)?;
    if state.organization.attached.values().any(|attached| attached.current().contains(&input.policy_id)) {
        return Err(error(
            "PolicyInUseException",
            "The policy is attached to one or more entities. You must detach it from all roots, OUs, and accounts \
             before performing this operation.",
        ));
    }
    state.organization.policies.remove(&input.policy_id);
    state.organization.tags.remove(&input.policy_id);
    Ok(wire::serialize_delete_policy_response())
}

pub(super) fn list(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_policies_request(body).map_err(AwsError::serialization)?;
    let organization = &state.organization;
    let policies = organization.policies.iter().filter(|_| input.filter == POLICY_TYPE);
    let policies = policies.map(|(id, policy)| organization.wire_summary(id, policy));
    let (policies, next_token) = page(ctx, policies, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_policies_response(&wire::ListPoliciesResponse { next_token, policies: Some(policies) }))
}

pub(super) fn list_for_target(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_policies_for_target_request(body).map_err(AwsError::serialization)?;
    let organization = &state.organization;
    check_target(organization, &input.target_id)?;
    let attached = organization.attached_policies(&input.target_id).iter().filter(|_| input.filter == POLICY_TYPE);
    let policies = attached.filter_map(|id| Some(organization.wire_summary(id, organization.policies.get(id)?)));
    let (policies, next_token) = page(ctx, policies, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_policies_for_target_response(&wire::ListPoliciesForTargetResponse {
        next_token,
        policies: Some(policies),
    }))
}

pub(super) fn list_targets(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_targets_for_policy_request(body).map_err(AwsError::serialization)?;
    let organization = &state.organization;
    if !organization.policies.contains_key(&input.policy_id) {
        return Err(policy_not_found());
    }
    let attached = organization.attached.iter().filter(|(_, policies)| policies.current().contains(&input.policy_id));
    let targets = attached.map(|(target, _)| organization.wire_target(target));
    let (targets, next_token) = page(ctx, targets, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_targets_for_policy_response(&wire::ListTargetsForPolicyResponse {
        next_token,
        targets: Some(targets),
    }))
}

pub(super) fn attach(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_attach_policy_request(body).map_err(AwsError::serialization)?;
    update_attached_policies(state, ctx, &input.policy_id, &input.target_id, |attached| {
        if attached.contains(&input.policy_id) {
            return Err(error(
                "DuplicatePolicyAttachmentException",
                "A policy with the specified name and type is already attached to the specified target.",
            ));
        }
        if attached.len() >= MAX_ATTACHED_POLICIES {
            return Err(constraint_violation(
                "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                "You have exceeded the number of policies of this type that can be attached to an entity.",
            ));
        }
        attached.push(input.policy_id.clone());
        Ok(())
    })?;
    Ok(wire::serialize_attach_policy_response())
}

pub(super) fn detach(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_detach_policy_request(body).map_err(AwsError::serialization)?;
    update_attached_policies(state, ctx, &input.policy_id, &input.target_id, |attached| {
        if !attached.contains(&input.policy_id) {
            return Err(error(
                "PolicyNotAttachedException",
                "The policy isn't attached to the specified target in the specified root.",
            ));
        }
        if attached.len() == 1 {
            return Err(constraint_violation(
                "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                "You must keep at least one policy of this type attached to the entity.",
            ));
        }
        attached.retain(|id| *id != input.policy_id);
        Ok(())
    })?;
    Ok(wire::serialize_detach_policy_response())
}

/// Changes the list of policies attached to a target. The change takes effect with a delay.
fn update_attached_policies(
    state: &mut State,
    ctx: &Ctx,
    policy: &str,
    target: &str,
    edit: impl FnOnce(&mut Vec<String>) -> Result<(), AwsError>,
) -> Result<(), AwsError> {
    let organization = &mut state.organization;
    if !organization.policies.contains_key(policy) {
        return Err(policy_not_found());
    }
    check_target(organization, target)?;
    if !organization.policies_enabled {
        return Err(error(
            "PolicyTypeNotEnabledException",
            "This operation can be performed only for enabled policy types.",
        ));
    }
    let mut attached = organization.attached_policies(target).to_vec();
    edit(&mut attached)?;
    let delay = ctx.draw_duration(ctx.settings.durations.policy_propagation, &format!("attach:{policy}:{target}"));
    let history = organization.attached.entry(target.to_owned());
    history.or_insert_with(|| History::new(ctx.now, Vec::new())).set(ctx.now, delay, attached);
    Ok(())
}

fn parse_content(content: &str) -> Result<Document, AwsError> {
    if content.chars().count() > MAX_POLICY_CHARACTERS {
        return Err(constraint_violation(
            "POLICY_CONTENT_LIMIT_EXCEEDED",
            "You have exceeded the maximum number of characters in a policy.",
        ));
    }
    Document::parse_as(PolicyKind::ServiceControl, content).map_err(|_| {
        error(
            "MalformedPolicyDocumentException",
            "The provided policy document does not meet the requirements of the specified policy type.",
        )
    })
}

fn check_policy_type(policy_type: &str) -> Result<(), AwsError> {
    if policy_type == POLICY_TYPE {
        return Ok(());
    }
    Err(error("PolicyTypeNotAvailableForOrganizationException", "The sandbox simulates service control policies only."))
}

fn check_policy_name_unused(organization: &Organization, name: &str, except: Option<&str>) -> Result<(), AwsError> {
    if organization.policies.iter().any(|(id, policy)| policy.name == name && Some(id.as_str()) != except) {
        return Err(error("DuplicatePolicyException", "A policy with the same name already exists."));
    }
    Ok(())
}

fn check_not_aws_managed(organization: &Organization, id: &str) -> Result<(), AwsError> {
    let policy = organization.policies.get(id).ok_or_else(policy_not_found)?;
    if policy.aws_managed {
        return Err(
            error("InvalidInputException", "You can't modify an AWS managed policy.").reason("IMMUTABLE_POLICY")
        );
    }
    Ok(())
}

fn check_target(organization: &Organization, target: &str) -> Result<(), AwsError> {
    if organization.is_valid_target(target) {
        return Ok(());
    }
    Err(error("TargetNotFoundException", "You specified a target that doesn't exist."))
}

fn policy_not_found() -> AwsError {
    error("PolicyNotFoundException", "You specified a policy that doesn't exist.")
}
