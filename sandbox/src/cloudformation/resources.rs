//! What CloudFormation does for each type of resource, as its caller and with its caller's permissions.
//!
//! A refusal is the text that AWS shows as the resource's status reason.

mod iam;
mod lambda;
mod logs;

use std::collections::BTreeMap;

use serde_json::Value;

pub use logs::LogGroup;

use super::stack::Resource;
use crate::policy::Keys;
use crate::world::ids::UPPERCASE;
use crate::world::{Ctx, State, permissions};

/// The types that this world can create.
pub(super) const KINDS: [&str; 7] = [
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::Logs::LogGroup",
];

/// Where a resource is being made, and for which stack.
pub(super) struct Place<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) stack_name: &'a str,
    pub(super) logical_id: &'a str,
}

/// A resource as it was made.
pub(super) struct Made {
    pub(super) physical_id: String,
    pub(super) attributes: BTreeMap<String, Value>,
}

impl Made {
    fn new(physical_id: impl Into<String>) -> Self {
        Self { physical_id: physical_id.into(), attributes: BTreeMap::new() }
    }

    fn with(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }
}

pub(super) fn create(state: &mut State, place: &Place<'_>, kind: &str, properties: &Value) -> Result<Made, String> {
    known(place, kind, properties)?;
    match kind {
        "AWS::IAM::Role" => iam::create_role(state, place, properties),
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => iam::create_policy(state, place, kind, properties),
        "AWS::Logs::LogGroup" => logs::create(state, place, properties),
        "AWS::Lambda::Function" => lambda::create_function(state, place, properties),
        "AWS::Lambda::Url" => lambda::create_url(state, place, properties),
        "AWS::Lambda::Permission" => lambda::create_permission(state, place, properties),
        _ => Err(format!("Resource type {kind} is not simulated")),
    }
}

/// Brings a resource to new properties: in place where AWS can, else by making another beside it.
pub(super) fn update(
    state: &mut State,
    place: &Place<'_>,
    before: &Resource,
    kind: &str,
    properties: &Value,
) -> Result<Made, String> {
    let replaced = before.kind != kind
        || fixed(kind).iter().any(|property| before.properties.get(property) != properties.get(property));
    if replaced {
        let named = name_property(kind).and_then(|name| properties.get(name));
        if named.is_some() && named == name_property(kind).and_then(|name| before.properties.get(name)) {
            return Err(format!(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {} and \
                 update the stack again.",
                named.and_then(Value::as_str).unwrap_or_default()
            ));
        }
        return create(state, place, kind, properties);
    }
    known(place, kind, properties)?;
    match kind {
        "AWS::IAM::Role" => iam::update_role(state, place, before, properties)?,
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => iam::update_policy(state, place, before, properties)?,
        "AWS::Logs::LogGroup" => logs::update(state, place, before, properties)?,
        "AWS::Lambda::Function" => lambda::update_function(state, place, before, properties)?,
        "AWS::Lambda::Url" => lambda::update_url(state, place, before, properties)?,
        _ => {}
    }
    Ok(Made { physical_id: before.physical_id.clone().unwrap_or_default(), attributes: before.attributes.clone() })
}

/// Deletes a resource; that it is gone already is no failure.
pub(super) fn delete(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    match resource.kind.as_str() {
        "AWS::IAM::Role" => iam::delete_role(state, place, resource),
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => iam::delete_policy(state, place, resource),
        "AWS::Logs::LogGroup" => logs::delete(state, place, resource),
        "AWS::Lambda::Function" => lambda::delete_function(state, place, resource),
        "AWS::Lambda::Url" => lambda::delete_url(state, place, resource),
        "AWS::Lambda::Permission" => lambda::delete_permission(state, place, resource),
        _ => Ok(()),
    }
}

/// The properties whose change needs another resource.
fn fixed(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::IAM::Role" => &["RoleName", "Path"],
        "AWS::IAM::ManagedPolicy" => &["ManagedPolicyName", "Path", "Description"],
        "AWS::Logs::LogGroup" => &["LogGroupName"],
        "AWS::Lambda::Function" => &["FunctionName", "PackageType"],
        "AWS::Lambda::Url" => &["TargetFunctionArn", "Qualifier"],
        "AWS::Lambda::Permission" => &[
            "Action",
            "EventSourceToken",
            "FunctionName",
            "FunctionUrlAuthType",
            "InvokedViaFunctionUrl",
            "Principal",
            "PrincipalOrgID",
            "SourceAccount",
            "SourceArn",
        ],
        _ => &[],
    }
}

fn name_property(kind: &str) -> Option<&'static str> {
    match kind {
        "AWS::IAM::Role" => Some("RoleName"),
        "AWS::IAM::ManagedPolicy" => Some("ManagedPolicyName"),
        "AWS::Logs::LogGroup" => Some("LogGroupName"),
        "AWS::Lambda::Function" => Some("FunctionName"),
        _ => None,
    }
}

/// The properties that a type must have, and those that it may have: the types' public schemas.
fn schema(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "AWS::IAM::Role" => (
            &["AssumeRolePolicyDocument"],
            &[
                "Description",
                "ManagedPolicyArns",
                "MaxSessionDuration",
                "Path",
                "PermissionsBoundary",
                "Policies",
                "RoleName",
                "Tags",
            ],
        ),
        "AWS::IAM::Policy" => (&["PolicyDocument", "PolicyName"], &["Groups", "Roles", "Users"]),
        "AWS::IAM::ManagedPolicy" => {
            (&["PolicyDocument"], &["Description", "Groups", "ManagedPolicyName", "Path", "Roles", "Users"])
        }
        "AWS::Logs::LogGroup" => {
            (&[], &["DataProtectionPolicy", "KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"])
        }
        "AWS::Lambda::Function" => (
            &["Code", "Role"],
            &[
                "Architectures",
                "DeadLetterConfig",
                "Description",
                "Environment",
                "EphemeralStorage",
                "FunctionName",
                "Handler",
                "KmsKeyArn",
                "Layers",
                "LoggingConfig",
                "MemorySize",
                "PackageType",
                "ReservedConcurrentExecutions",
                "Runtime",
                "SnapStart",
                "Tags",
                "Timeout",
                "TracingConfig",
            ],
        ),
        "AWS::Lambda::Url" => (&["AuthType", "TargetFunctionArn"], &["Cors", "InvokeMode", "Qualifier"]),
        "AWS::Lambda::Permission" => (
            &["Action", "FunctionName", "Principal"],
            &[
                "EventSourceToken",
                "FunctionUrlAuthType",
                "InvokedViaFunctionUrl",
                "PrincipalOrgID",
                "SourceAccount",
                "SourceArn",
            ],
        ),
        _ => (&[], &[]),
    }
}

fn known(place: &Place<'_>, kind: &str, properties: &Value) -> Result<(), String> {
    let (required, optional) = schema(kind);
    let failed = |what: String| {
        Err(format!("Properties validation failed for resource {} with message:\n[#: {what}]", place.logical_id))
    };
    for key in properties.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !required.contains(&key.as_str()) && !optional.contains(&key.as_str()) {
            return failed(format!("extraneous key [{key}] is not permitted"));
        }
    }
    match required.iter().find(|key| properties.get(**key).is_none()) {
        Some(missing) => failed(format!("required key [{missing}] not found")),
        None => Ok(()),
    }
}

impl Place<'_> {
    fn account(&self) -> &str {
        &self.ctx.caller.account
    }

    /// Whether the caller of CloudFormation may do this.
    fn may(&self, state: &State, action: &str, resource: &str) -> Result<(), String> {
        self.may_with(state, action, resource, Keys::default())
    }

    fn may_with(&self, state: &State, action: &str, resource: &str, keys: Keys) -> Result<(), String> {
        permissions::record_stack_action(&self.ctx.caller, action);
        let mut ctx = self.ctx.clone();
        // IAM has one endpoint, in us-east-1, and that is the region that a region guardrail sees.
        if action.starts_with("iam:") {
            ctx.region = "us-east-1".into();
        }
        state
            .authorize_with(&ctx, action, resource, keys)
            .map_err(|error| refusal(&format!("{} (Status Code: 403)", error.message), "AccessDenied"))
    }

    /// A name of CloudFormation's making: stack, logical id, twelve characters.
    fn generated(&self, state: &mut State, longest: usize) -> String {
        let ending = state.ids.next(UPPERCASE, 12);
        let mut start = format!("{}-{}", self.stack_name, self.logical_id);
        start.truncate(longest.saturating_sub(ending.len() + 1));
        format!("{start}-{ending}")
    }

    /// The name that a property gives, or one of CloudFormation's making.
    fn named(&self, state: &mut State, properties: &Value, property: &str, longest: usize) -> String {
        match text(properties, property) {
            Some(name) => name.to_owned(),
            None => self.generated(state, longest),
        }
    }
}

/// How AWS words a resource type's refusal.
pub(super) fn refusal(message: &str, code: &str) -> String {
    format!("Resource handler returned message: \"{message}\" (HandlerErrorCode: {code})")
}

fn exists(kind: &str, name: &str) -> String {
    refusal(&format!("Resource of type '{kind}' with identifier '{name}' already exists."), "AlreadyExists")
}

fn text<'a>(properties: &'a Value, property: &str) -> Option<&'a str> {
    properties.get(property)?.as_str()
}

/// A number, which templates may also write as a text.
fn number(properties: &Value, property: &str) -> Option<i64> {
    let value = properties.get(property)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn texts(properties: &Value, property: &str) -> Vec<String> {
    let items = properties.get(property).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn tags(properties: &Value) -> BTreeMap<String, String> {
    let items = properties.get("Tags").and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned())))
        .collect()
}
