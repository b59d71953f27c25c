//! Creation, update and deletion of each simulated resource type, with the permissions of the caller of CloudFormation.
//!
//! The functions return an error as text. AWS shows this text as the status reason of the resource.

mod cloudfront;
mod cloudwatch;
mod iam;
mod lambda;
mod logs;
mod schema;
mod sqs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use serde_json::Value;

pub use logs::LogGroup;

use super::stack::Resource;
use crate::policy::ConditionKeys;
use crate::settings::{DurationDistribution, Durations};
use crate::world::ids::UPPERCASE;
use crate::world::{Ctx, State, permissions};

/// Resource types that the sandbox simulates. A resource of any other type of AWS does nothing.
const SIMULATED_TYPES: [&str; 11] = [
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudWatch::Alarm",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
];

const DISTRIBUTION_TYPE: &str = "AWS::CloudFront::Distribution";

/// Resource types that are not simulated and whose `Ref` is an ARN, which policies contain.
const REFERENCED_BY_ARN: [&str; 9] = [
    "AWS::CertificateManager::Certificate",
    "AWS::ECS::TaskDefinition",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::Lambda::LayerVersion",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::Activity",
    "AWS::StepFunctions::StateMachine",
];

/// Returns whether the sandbox simulates resources of this type.
pub(super) fn is_simulated(kind: &str) -> bool {
    SIMULATED_TYPES.contains(&kind)
}

/// Returns the note in the events of a resource that does nothing, or `None` for a type that the sandbox simulates.
pub(super) fn idle_reason(kind: &str) -> Option<String> {
    (!is_simulated(kind)).then(|| format!("The sandbox does not simulate {kind}: this resource does nothing"))
}

/// Logs once for each resource type that its resources do nothing.
fn warn_about_idle_resource(kind: &str) {
    static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.insert(kind.to_owned()) {
        tracing::warn!(
            resource_type = kind,
            "the sandbox does not simulate {kind}: such a resource does nothing and needs no permissions"
        );
    }
}

/// Call context, stack and logical id of the resource that is created, updated or deleted.
pub(super) struct ResourceContext<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) stack_name: &'a str,
    pub(super) logical_id: &'a str,
}

/// Physical id and attributes of a created or updated resource.
pub(super) struct PhysicalResource {
    pub(super) physical_id: String,
    pub(super) attributes: BTreeMap<String, Value>,
}

impl PhysicalResource {
    fn new(physical_id: impl Into<String>) -> Self {
        Self { physical_id: physical_id.into(), attributes: BTreeMap::new() }
    }

    fn with(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }
}

pub(super) fn create(
    state: &mut State,
    target: &ResourceContext<'_>,
    kind: &str,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    validate_properties(target, kind, properties)?;
    match kind {
        "AWS::CloudFront::Distribution" => cloudfront::create_distribution(state, target, properties),
        "AWS::CloudFront::OriginAccessControl" => cloudfront::create_access_control(state, target, properties),
        "AWS::CloudWatch::Alarm" => cloudwatch::create(state, target, properties),
        "AWS::IAM::Role" => iam::create_role(state, target, properties),
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => iam::create_policy(state, target, kind, properties),
        "AWS::Logs::LogGroup" => logs::create(state, target, properties),
        "AWS::Lambda::Function" => lambda::create_function(state, target, properties),
        "AWS::Lambda::Url" => lambda::create_url(state, target, properties),
        "AWS::Lambda::Permission" => lambda::create_permission(state, target, properties),
        "AWS::SQS::Queue" => sqs::create(state, target, properties),
        _ => {
            warn_about_idle_resource(kind);
            let name = target.generate_name(state, 255);
            let service = kind.split("::").nth(1).unwrap_or_default().to_lowercase();
            let arn = format!("arn:aws:{service}:{}:{}:{name}", target.ctx.region, target.account());
            let physical_id = if REFERENCED_BY_ARN.contains(&kind) { arn.clone() } else { name };
            Ok(PhysicalResource::new(physical_id).with("Arn", arn))
        }
    }
}

/// Updates a resource to new properties. Creates a replacement if AWS cannot change the properties in place.
pub(super) fn update(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    kind: &str,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let needs_replacement = before.kind != kind
        || replacement_properties(kind)
            .iter()
            .any(|property| before.properties.get(property) != properties.get(property));
    if needs_replacement {
        let custom_name = name_property(kind).and_then(|name| properties.get(name));
        if custom_name.is_some() && custom_name == name_property(kind).and_then(|name| before.properties.get(name)) {
            return Err(format!(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {} and \
                 update the stack again.",
                custom_name.and_then(Value::as_str).unwrap_or_default()
            ));
        }
        return create(state, target, kind, properties);
    }
    validate_properties(target, kind, properties)?;
    match kind {
        "AWS::CloudFront::Distribution" => cloudfront::update_distribution(state, target, before, properties)?,
        "AWS::CloudFront::OriginAccessControl" => cloudfront::update_access_control(state, target, before, properties)?,
        "AWS::CloudWatch::Alarm" => cloudwatch::update(state, target, before, properties)?,
        "AWS::IAM::Role" => iam::update_role(state, target, before, properties)?,
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => iam::update_policy(state, target, before, properties)?,
        "AWS::Logs::LogGroup" => logs::update(state, target, before, properties)?,
        "AWS::Lambda::Function" => lambda::update_function(state, target, before, properties)?,
        "AWS::Lambda::Url" => lambda::update_url(state, target, before, properties)?,
        "AWS::SQS::Queue" => sqs::update(state, target, before)?,
        _ => {}
    }
    Ok(PhysicalResource {
        physical_id: before.physical_id.clone().unwrap_or_default(),
        attributes: before.attributes.clone(),
    })
}

/// Deletes a resource. Succeeds if the resource no longer exists.
pub(super) fn delete(state: &mut State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    match resource.kind.as_str() {
        "AWS::CloudFront::Distribution" => cloudfront::delete_distribution(state, target, resource),
        "AWS::CloudFront::OriginAccessControl" => cloudfront::delete_access_control(state, target, resource),
        "AWS::CloudWatch::Alarm" => cloudwatch::delete(state, target, resource),
        "AWS::IAM::Role" => iam::delete_role(state, target, resource),
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => iam::delete_policy(state, target, resource),
        "AWS::Logs::LogGroup" => logs::delete(state, target, resource),
        "AWS::Lambda::Function" => lambda::delete_function(state, target, resource),
        "AWS::Lambda::Url" => lambda::delete_url(state, target, resource),
        "AWS::Lambda::Permission" => lambda::delete_permission(state, target, resource),
        "AWS::SQS::Queue" => sqs::delete(state, target, resource),
        _ => Ok(()),
    }
}

/// Returns the properties whose change requires a replacement of the resource.
fn replacement_properties(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::CloudWatch::Alarm" => &["AlarmName"],
        "AWS::IAM::Role" => &["RoleName", "Path"],
        "AWS::IAM::ManagedPolicy" => &["ManagedPolicyName", "Path", "Description"],
        "AWS::Logs::LogGroup" => &["LogGroupName"],
        "AWS::Lambda::Function" => &["FunctionName", "PackageType"],
        "AWS::Lambda::Url" => &["TargetFunctionArn", "Qualifier"],
        "AWS::SQS::Queue" => &["FifoQueue", "QueueName"],
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

/// Returns whether a change of a property requires a replacement of the resource: `Always` or `Never`.
pub(super) fn recreation(kind: &str, property: &str) -> &'static str {
    if replacement_properties(kind).contains(&property) { "Always" } else { "Never" }
}

fn name_property(kind: &str) -> Option<&'static str> {
    match kind {
        "AWS::CloudWatch::Alarm" => Some("AlarmName"),
        "AWS::IAM::Role" => Some("RoleName"),
        "AWS::IAM::ManagedPolicy" => Some("ManagedPolicyName"),
        "AWS::Logs::LogGroup" => Some("LogGroupName"),
        "AWS::Lambda::Function" => Some("FunctionName"),
        "AWS::SQS::Queue" => Some("QueueName"),
        _ => None,
    }
}

fn validate_properties(target: &ResourceContext<'_>, kind: &str, properties: &Value) -> Result<(), String> {
    if !is_simulated(kind) {
        return Ok(());
    }
    let (required, optional) = schema::properties(kind);
    let failed = |message: String| Err(target.validation_error(&format!("[#: {message}]")));
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

/// Returns the distribution of the time that a resource needs to be created, updated or deleted.
pub(super) fn duration(durations: &Durations, kind: &str) -> DurationDistribution {
    if kind == DISTRIBUTION_TYPE { durations.distribution } else { durations.stack_resource }
}

/// Returns the longest time that CloudFormation waits for a resource, or `None` if the sandbox has no such limit.
pub(super) fn longest_wait(kind: &str) -> Option<TimeDelta> {
    (kind == DISTRIBUTION_TYPE).then(|| TimeDelta::minutes(60))
}

/// Returns the error of a resource that was not ready in the longest time that CloudFormation waits.
pub(super) fn not_stabilized() -> String {
    handler_error("Exceeded attempts to wait", "NotStabilized")
}

impl ResourceContext<'_> {
    /// Returns the error of properties that do not match the schema of their type.
    fn validation_error(&self, problems: &str) -> String {
        format!("Properties validation failed for resource {} with message:\n{problems}", self.logical_id)
    }

    fn account(&self) -> &str {
        &self.ctx.caller.account
    }

    /// Returns an access-denied error unless the caller of CloudFormation has this permission.
    fn authorize(&self, state: &State, action: &str, resource: &str) -> Result<(), String> {
        self.authorize_with(state, action, resource, ConditionKeys::default())
    }

    fn authorize_with(&self, state: &State, action: &str, resource: &str, keys: ConditionKeys) -> Result<(), String> {
        permissions::record_stack_action(&self.ctx.caller, action);
        let mut ctx = self.ctx.clone();
        // IAM and CloudFront are global services with endpoints in us-east-1, so `aws:RequestedRegion` is us-east-1.
        if action.starts_with("iam:") || action.starts_with("cloudfront:") {
            ctx.region = "us-east-1".into();
        }
        state
            .authorize_with(&ctx, action, resource, keys)
            .map_err(|error| handler_error(&format!("{} (Status Code: 403)", error.message), "AccessDenied"))
    }

    /// Generates a resource name from the stack name, the logical id and twelve random characters, as CloudFormation
    /// does.
    fn generate_name(&self, state: &mut State, max_length: usize) -> String {
        let suffix = state.ids.next(UPPERCASE, 12);
        let mut prefix = format!("{}-{}", self.stack_name, self.logical_id);
        prefix.truncate(max_length.saturating_sub(suffix.len() + 1));
        format!("{prefix}-{suffix}")
    }

    /// Returns the resource name in `property`, or a generated name if the property is not set.
    fn resource_name(&self, state: &mut State, properties: &Value, property: &str, max_length: usize) -> String {
        match text(properties, property) {
            Some(name) => name.to_owned(),
            None => self.generate_name(state, max_length),
        }
    }
}

/// Returns the message that AWS shows when a resource handler fails.
pub(super) fn handler_error(message: &str, code: &str) -> String {
    format!("Resource handler returned message: \"{message}\" (HandlerErrorCode: {code})")
}

fn already_exists(kind: &str, name: &str) -> String {
    handler_error(&format!("Resource of type '{kind}' with identifier '{name}' already exists."), "AlreadyExists")
}

fn text<'a>(properties: &'a Value, property: &str) -> Option<&'a str> {
    properties.get(property)?.as_str()
}

/// Returns a numeric property. A template may also contain the number as a string.
fn number(properties: &Value, property: &str) -> Option<i64> {
    let value = properties.get(property)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn strings(properties: &Value, property: &str) -> Vec<String> {
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
