//! `AWS::IAM::Role`, `AWS::IAM::Policy` and `AWS::IAM::ManagedPolicy`.
//!
//! A policy that is attached to a role is kept with the role: an inline one by its name, one of the account's own
//! managed policies by its ARN. Groups and users do not exist in this world.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Made, Place, exists, number, refusal, tags, text, texts};
use crate::cloudformation::Resource;
use crate::iam::Role;
use crate::policy::{Document, Keys};
use crate::world::State;

pub(super) fn create_role(state: &mut State, place: &Place<'_>, properties: &Value) -> Result<Made, String> {
    let name = place.named(state, properties, "RoleName", 64);
    if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)) {
        return Err(refusal(&format!("{name} is not a valid RoleName"), "InvalidRequest"));
    }
    let path = text(properties, "Path").unwrap_or("/");
    let arn = format!("arn:aws:iam::{}:role{path}{name}", place.account());
    place.may(state, "iam:CreateRole", &arn)?;
    let mut role = state.new_role(place.account(), path, &name, Document::default(), place.ctx.now);
    shape(state, place, &mut role, properties)?;
    let Some(account) = state.accounts.get_mut(place.account()) else {
        return Err(refusal("The account does not exist.", "NotFound"));
    };
    if account.roles.contains_key(&name) {
        return Err(exists("AWS::IAM::Role", &name));
    }
    let made = Made::new(&name).with("Arn", role.arn.as_str()).with("RoleId", role.id.as_str());
    account.roles.insert(name, role);
    Ok(made)
}

pub(super) fn update_role(
    state: &mut State,
    place: &Place<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.as_deref().unwrap_or_default();
    let mut role = find(state, place, name)?.clone();
    place.may(state, "iam:UpdateRole", &role.arn)?;
    // What other resources of the account have attached stays.
    let own: Vec<String> = inline_names(&before.properties);
    role.inline.retain(|name, _| !own.contains(name));
    shape(state, place, &mut role, properties)?;
    if let Some(account) = state.accounts.get_mut(place.account()) {
        account.roles.insert(name.to_owned(), role);
    }
    Ok(())
}

pub(super) fn delete_role(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    let name = resource.physical_id.as_deref().unwrap_or_default();
    let Ok(role) = find(state, place, name) else { return Ok(()) };
    let arn = role.arn.clone();
    place.may(state, "iam:DeleteRole", &arn)?;
    if !inline_names(&resource.properties).is_empty() {
        place.may(state, "iam:DeleteRolePolicy", &arn)?;
    }
    if let Some(account) = state.accounts.get_mut(place.account()) {
        account.roles.remove(name);
    }
    Ok(())
}

/// Gives a role what the properties say.
fn shape(state: &State, place: &Place<'_>, role: &mut Role, properties: &Value) -> Result<(), String> {
    let trust = properties.get("AssumeRolePolicyDocument").unwrap_or(&Value::Null);
    principals_exist(state, trust)?;
    role.trust = document(trust)?;
    role.max_session_seconds = match number(properties, "MaxSessionDuration") {
        None => 3_600,
        Some(seconds @ 3_600..=43_200) => i32::try_from(seconds).unwrap_or(3_600),
        Some(seconds) => {
            return Err(refusal(&format!("MaxSessionDuration cannot be {seconds}"), "InvalidRequest"));
        }
    };
    for policy in properties.get("Policies").and_then(Value::as_array).into_iter().flatten() {
        place.may(state, "iam:PutRolePolicy", &role.arn)?;
        let name = text(policy, "PolicyName").unwrap_or_default().to_owned();
        role.inline.insert(name, document(policy.get("PolicyDocument").unwrap_or(&Value::Null))?);
    }
    role.managed = texts(properties, "ManagedPolicyArns");
    for arn in role.managed.clone() {
        place.may_with(state, "iam:AttachRolePolicy", &role.arn, Keys::default().with("iam:PolicyARN", &arn))?;
        if !arn.starts_with("arn:aws:iam::aws:policy/") {
            let policy = own_policies(state, place)
                .get(&arn)
                .cloned()
                .ok_or_else(|| refusal(&format!("Policy {arn} does not exist or is not attachable."), "NotFound"))?;
            role.inline.insert(arn, policy);
        }
    }
    role.tags = tags(properties);
    Ok(())
}

pub(super) fn create_policy(
    state: &mut State,
    place: &Place<'_>,
    kind: &str,
    properties: &Value,
) -> Result<Made, String> {
    let policy = document(properties.get("PolicyDocument").unwrap_or(&Value::Null))?;
    let key = if kind == "AWS::IAM::ManagedPolicy" {
        let name = place.named(state, properties, "ManagedPolicyName", 128);
        let path = text(properties, "Path").unwrap_or("/");
        let arn = format!("arn:aws:iam::{}:policy{path}{name}", place.account());
        place.may(state, "iam:CreatePolicy", &arn)?;
        if own_policies(state, place).contains_key(&arn) {
            return Err(exists(kind, &arn));
        }
        state.caller_region(place.ctx).stacks.policies.insert(arn.clone(), policy.clone());
        arn
    } else {
        text(properties, "PolicyName").unwrap_or_default().to_owned()
    };
    attach(state, place, &key, &policy, &texts(properties, "Roles"))?;
    // An inline policy has no name of its own in the account; `Ref` of a managed one is its ARN.
    Ok(Made::new(if kind == "AWS::IAM::ManagedPolicy" { key } else { place.generated(state, 128) }))
}

pub(super) fn update_policy(
    state: &mut State,
    place: &Place<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let policy = document(properties.get("PolicyDocument").unwrap_or(&Value::Null))?;
    detach(state, place, before)?;
    let key = policy_key(before, properties);
    if before.kind == "AWS::IAM::ManagedPolicy" {
        place.may(state, "iam:CreatePolicyVersion", &key)?;
        state.caller_region(place.ctx).stacks.policies.insert(key.clone(), policy.clone());
    }
    attach(state, place, &key, &policy, &texts(properties, "Roles"))
}

pub(super) fn delete_policy(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    detach(state, place, resource)?;
    if resource.kind == "AWS::IAM::ManagedPolicy" {
        let arn = policy_key(resource, &resource.properties);
        place.may(state, "iam:DeletePolicy", &arn)?;
        state.caller_region(place.ctx).stacks.policies.remove(&arn);
    }
    Ok(())
}

fn attach(state: &mut State, place: &Place<'_>, key: &str, policy: &Document, roles: &[String]) -> Result<(), String> {
    for name in roles {
        let arn = find(state, place, name)?.arn.clone();
        let action = if key.starts_with("arn:") { "iam:AttachRolePolicy" } else { "iam:PutRolePolicy" };
        place.may_with(state, action, &arn, Keys::default().with("iam:PolicyARN", key))?;
        let role = state.accounts.get_mut(place.account()).and_then(|account| account.roles.get_mut(name));
        if let Some(role) = role {
            role.inline.insert(key.to_owned(), policy.clone());
        }
    }
    Ok(())
}

fn detach(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    let key = policy_key(resource, &resource.properties);
    for name in texts(&resource.properties, "Roles") {
        let Ok(role) = find(state, place, &name) else { continue };
        let action = if key.starts_with("arn:") { "iam:DetachRolePolicy" } else { "iam:DeleteRolePolicy" };
        place.may(state, action, &role.arn)?;
        let role = state.accounts.get_mut(place.account()).and_then(|account| account.roles.get_mut(&name));
        if let Some(role) = role {
            role.inline.remove(&key);
        }
    }
    Ok(())
}

/// Under which key roles keep the policy.
fn policy_key(resource: &Resource, properties: &Value) -> String {
    match resource.kind.as_str() {
        "AWS::IAM::ManagedPolicy" => resource.physical_id.clone().unwrap_or_default(),
        _ => text(properties, "PolicyName").unwrap_or_default().to_owned(),
    }
}

/// The account's own managed policies, in whichever region the stack is that made them.
fn own_policies(state: &State, place: &Place<'_>) -> BTreeMap<String, Document> {
    let regions = state.accounts.get(place.account()).into_iter().flat_map(|account| account.regions.values());
    regions.flat_map(|region| region.stacks.policies.clone()).collect()
}

fn find<'a>(state: &'a State, place: &Place<'_>, name: &str) -> Result<&'a Role, String> {
    let role = state.accounts.get(place.account()).and_then(|account| account.roles.get(name));
    role.ok_or_else(|| refusal(&format!("The role with name {name} cannot be found."), "NotFound"))
}

fn inline_names(properties: &Value) -> Vec<String> {
    let policies = properties.get("Policies").and_then(Value::as_array);
    policies.into_iter().flatten().filter_map(|policy| text(policy, "PolicyName")).map(str::to_owned).collect()
}

fn document(value: &Value) -> Result<Document, String> {
    let read = match value {
        Value::String(text) => Document::parse(text),
        other => Document::from_value(other.clone()),
    };
    read.map_err(|error| refusal(&format!("MalformedPolicyDocument: {error}"), "InvalidRequest"))
}

/// IAM refuses a trust policy that names a role which does not exist.
fn principals_exist(state: &State, trust: &Value) -> Result<(), String> {
    let statements = match trust.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    for statement in statements {
        let named = statement.get("Principal").and_then(|principal| principal.get("AWS"));
        let named: Vec<&str> = match named {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for principal in named {
            if !role_exists(state, principal) {
                let message = format!("Invalid principal in policy: \"AWS\":\"{principal}\"");
                return Err(refusal(&message, "InvalidRequest"));
            }
        }
    }
    Ok(())
}

/// Whether the ARN of a role leads to one; everything that is not a role's ARN passes.
pub(super) fn role_exists(state: &State, arn: &str) -> bool {
    let Some((account, path)) = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")) else {
        return true;
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    state.accounts.get(account).and_then(|account| account.roles.get(name)).is_some_and(|role| role.arn == arn)
}
