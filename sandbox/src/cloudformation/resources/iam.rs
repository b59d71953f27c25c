//! `AWS::IAM::Role`, `AWS::IAM::Policy` and `AWS::IAM::ManagedPolicy`.
//!
//! Policies are stored with the role they are attached to: inline policies by name, customer managed policies by ARN.
//! Groups and users are not simulated.

use serde_json::Value;

use super::{PhysicalResource, ResourceContext, already_exists, handler_error, number, strings, tags, text};
use crate::cloudformation::Resource;
use crate::iam::{Role, is_aws_managed_policy};
use crate::policy::{ConditionKeys, Document, PolicyKind};
use crate::world::State;

pub(super) fn create_role(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = target.resource_name(state, properties, "RoleName", 64);
    if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)) {
        return Err(handler_error(&format!("{name} is not a valid RoleName"), "InvalidRequest"));
    }
    let path = text(properties, "Path").unwrap_or("/");
    let arn = format!("arn:aws:iam::{}:role{path}{name}", target.account());
    target.authorize(state, "iam:CreateRole", &arn)?;
    let mut role = state.new_role(target.account(), path, &name, Document::default(), target.ctx.now);
    apply_properties(state, target, &mut role, properties)?;
    let Some(account) = state.accounts.get_mut(target.account()) else {
        return Err(handler_error("The account does not exist.", "NotFound"));
    };
    if account.roles.contains_key(&name) {
        return Err(already_exists("AWS::IAM::Role", &name));
    }
    let created = PhysicalResource::new(&name).with("Arn", role.arn.as_str()).with("RoleId", role.id.as_str());
    account.roles.insert(name, role);
    Ok(created)
}

pub(super) fn update_role(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.as_deref().unwrap_or_default();
    let mut role = find_role(state, target, name)?.clone();
    target.authorize(state, "iam:UpdateRole", &role.arn)?;
    // Policies that other resources attached to the role are kept.
    let own_policies: Vec<String> = inline_policy_names(&before.properties);
    role.inline.retain(|name, _| !own_policies.contains(name));
    apply_properties(state, target, &mut role, properties)?;
    if let Some(account) = state.accounts.get_mut(target.account()) {
        account.roles.insert(name.to_owned(), role);
    }
    Ok(())
}

pub(super) fn delete_role(state: &mut State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    let name = resource.physical_id.as_deref().unwrap_or_default();
    let Ok(role) = find_role(state, target, name) else { return Ok(()) };
    let arn = role.arn.clone();
    target.authorize(state, "iam:DeleteRole", &arn)?;
    if !inline_policy_names(&resource.properties).is_empty() {
        target.authorize(state, "iam:DeleteRolePolicy", &arn)?;
    }
    if let Some(account) = state.accounts.get_mut(target.account()) {
        account.roles.remove(name);
    }
    Ok(())
}

/// Sets the trust policy, session duration, policies and tags of a role from the properties of the resource.
fn apply_properties(
    state: &State,
    target: &ResourceContext<'_>,
    role: &mut Role,
    properties: &Value,
) -> Result<(), String> {
    let trust = properties.get("AssumeRolePolicyDocument").unwrap_or(&Value::Null);
    check_principals_exist(state, trust)?;
    role.trust = parse_document(PolicyKind::Trust, trust)?;
    role.max_session_seconds = match number(properties, "MaxSessionDuration") {
        None => 3_600,
        Some(seconds @ 3_600..=43_200) => i32::try_from(seconds).unwrap_or(3_600),
        Some(seconds) => {
            return Err(handler_error(&format!("MaxSessionDuration cannot be {seconds}"), "InvalidRequest"));
        }
    };
    for policy in properties.get("Policies").and_then(Value::as_array).into_iter().flatten() {
        target.authorize(state, "iam:PutRolePolicy", &role.arn)?;
        let name = text(policy, "PolicyName").unwrap_or_default().to_owned();
        let document = policy.get("PolicyDocument").unwrap_or(&Value::Null);
        role.inline.insert(name, parse_document(PolicyKind::Identity, document)?);
    }
    role.managed = strings(properties, "ManagedPolicyArns");
    for arn in role.managed.clone() {
        target.authorize_with(
            state,
            "iam:AttachRolePolicy",
            &role.arn,
            ConditionKeys::default().with("iam:PolicyARN", &arn),
        )?;
        let policy = managed_policy(state, target, &arn)?;
        if !is_aws_managed_policy(&arn) {
            role.inline.insert(arn, policy);
        }
    }
    if let Some(boundary) = text(properties, "PermissionsBoundary") {
        managed_policy(state, target, boundary)?;
    }
    role.tags = tags(properties);
    Ok(())
}

pub(super) fn create_policy(
    state: &mut State,
    target: &ResourceContext<'_>,
    kind: &str,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let policy = parse_document(PolicyKind::Identity, properties.get("PolicyDocument").unwrap_or(&Value::Null))?;
    let key = if kind == "AWS::IAM::ManagedPolicy" {
        let name = target.resource_name(state, properties, "ManagedPolicyName", 128);
        let path = text(properties, "Path").unwrap_or("/");
        let arn = format!("arn:aws:iam::{}:policy{path}{name}", target.account());
        target.authorize(state, "iam:CreatePolicy", &arn)?;
        if state.managed_policy(target.account(), &arn).is_some() {
            return Err(already_exists(kind, &arn));
        }
        state.caller_region(target.ctx).stacks.policies.insert(arn.clone(), policy.clone());
        arn
    } else {
        text(properties, "PolicyName").unwrap_or_default().to_owned()
    };
    attach(state, target, &key, &policy, &strings(properties, "Roles"))?;
    // `Ref` of a managed policy is its ARN. An inline policy has no ARN and gets a generated id.
    Ok(PhysicalResource::new(if kind == "AWS::IAM::ManagedPolicy" { key } else { target.generate_name(state, 128) }))
}

pub(super) fn update_policy(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let policy = parse_document(PolicyKind::Identity, properties.get("PolicyDocument").unwrap_or(&Value::Null))?;
    detach(state, target, before)?;
    let key = policy_key(before, properties);
    if before.kind == "AWS::IAM::ManagedPolicy" {
        target.authorize(state, "iam:CreatePolicyVersion", &key)?;
        state.caller_region(target.ctx).stacks.policies.insert(key.clone(), policy.clone());
    }
    attach(state, target, &key, &policy, &strings(properties, "Roles"))
}

pub(super) fn delete_policy(
    state: &mut State,
    target: &ResourceContext<'_>,
    resource: &Resource,
) -> Result<(), String> {
    detach(state, target, resource)?;
    if resource.kind == "AWS::IAM::ManagedPolicy" {
        let arn = policy_key(resource, &resource.properties);
        target.authorize(state, "iam:DeletePolicy", &arn)?;
        state.caller_region(target.ctx).stacks.policies.remove(&arn);
    }
    Ok(())
}

fn attach(
    state: &mut State,
    target: &ResourceContext<'_>,
    key: &str,
    policy: &Document,
    roles: &[String],
) -> Result<(), String> {
    for name in roles {
        let arn = find_role(state, target, name)?.arn.clone();
        let action = if key.starts_with("arn:") { "iam:AttachRolePolicy" } else { "iam:PutRolePolicy" };
        target.authorize_with(state, action, &arn, ConditionKeys::default().with("iam:PolicyARN", key))?;
        let role = state.accounts.get_mut(target.account()).and_then(|account| account.roles.get_mut(name));
        if let Some(role) = role {
            role.inline.insert(key.to_owned(), policy.clone());
        }
    }
    Ok(())
}

fn detach(state: &mut State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    let key = policy_key(resource, &resource.properties);
    for name in strings(&resource.properties, "Roles") {
        let Ok(role) = find_role(state, target, &name) else { continue };
        let action = if key.starts_with("arn:") { "iam:DetachRolePolicy" } else { "iam:DeleteRolePolicy" };
        target.authorize(state, action, &role.arn)?;
        let role = state.accounts.get_mut(target.account()).and_then(|account| account.roles.get_mut(&name));
        if let Some(role) = role {
            role.inline.remove(&key);
        }
    }
    Ok(())
}

/// Returns the key of a policy in `Role::inline`: the ARN of a managed policy, or the name of an inline policy.
fn policy_key(resource: &Resource, properties: &Value) -> String {
    match resource.kind.as_str() {
        "AWS::IAM::ManagedPolicy" => resource.physical_id.clone().unwrap_or_default(),
        _ => text(properties, "PolicyName").unwrap_or_default().to_owned(),
    }
}

/// Returns the document of a managed policy. Returns an error if AWS and the account have no such policy.
fn managed_policy(state: &State, target: &ResourceContext<'_>, arn: &str) -> Result<Document, String> {
    let policy = state.managed_policy(target.account(), arn);
    policy.ok_or_else(|| handler_error(&format!("Policy {arn} does not exist or is not attachable."), "NotFound"))
}

fn find_role<'a>(state: &'a State, target: &ResourceContext<'_>, name: &str) -> Result<&'a Role, String> {
    let role = state.accounts.get(target.account()).and_then(|account| account.roles.get(name));
    role.ok_or_else(|| handler_error(&format!("The role with name {name} cannot be found."), "NotFound"))
}

fn inline_policy_names(properties: &Value) -> Vec<String> {
    let policies = properties.get("Policies").and_then(Value::as_array);
    policies.into_iter().flatten().filter_map(|policy| text(policy, "PolicyName")).map(str::to_owned).collect()
}

fn parse_document(kind: PolicyKind, value: &Value) -> Result<Document, String> {
    let parsed = match value {
        Value::String(text) => Document::parse(text),
        other => Document::from_value(other.clone()),
    };
    let checked = parsed.and_then(|document| document.check(kind).map(|()| document));
    checked.map_err(|error| handler_error(&format!("MalformedPolicyDocument: {error}"), "InvalidRequest"))
}

/// Checks that the roles in a trust policy exist, as IAM does.
fn check_principals_exist(state: &State, trust: &Value) -> Result<(), String> {
    let statements = match trust.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    for statement in statements {
        let principals = statement.get("Principal").and_then(|principal| principal.get("AWS"));
        let principals: Vec<&str> = match principals {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for principal in principals {
            if !role_exists(state, principal) {
                let message = format!("Invalid principal in policy: \"AWS\":\"{principal}\"");
                return Err(handler_error(&message, "InvalidRequest"));
            }
        }
    }
    Ok(())
}

/// Returns `false` if `arn` is the ARN of a role that does not exist, and otherwise `true`.
pub(super) fn role_exists(state: &State, arn: &str) -> bool {
    let Some((account, path)) = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")) else {
        return true;
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    state.accounts.get(account).and_then(|account| account.roles.get(name)).is_some_and(|role| role.arn == arn)
}
