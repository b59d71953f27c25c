//! `AWS::Lambda::Function`, `AWS::Lambda::Url` and `AWS::Lambda::Permission`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::iam::role_exists;
use super::{PhysicalResource, ResourceContext, already_exists, handler_error, number, tags, text};
use crate::cloudformation::Resource;
use crate::lambda::{Function, FunctionUrl, Permission};
use crate::policy::ConditionKeys;
use crate::world::State;
use crate::world::ids::ALPHANUMERIC;

/// Part of an account's concurrency limit that functions cannot reserve. The limit of a new account is equal to this
/// value, so functions in a new account cannot reserve any concurrency.
const MIN_UNRESERVED_CONCURRENCY: i64 = 10;

/// Maximum size of all environment variables together, in bytes (AWS Lambda quotas).
const MAX_ENVIRONMENT_BYTES: usize = 4_096;

/// Environment variables that Lambda sets and that a template must not contain.
const RESERVED_VARIABLES: [&str; 6] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_FUNCTION_NAME",
];

pub(super) fn create_function(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = target.resource_name(state, properties, "FunctionName", 64);
    let arn = arn(target, &name);
    target.authorize(state, "lambda:CreateFunction", &arn)?;
    let function = function_from_properties(state, target, properties, &name, &arn)?;
    let functions = &mut state.caller_region(target.ctx).functions;
    if functions.get(&name).is_some() {
        return Err(already_exists("AWS::Lambda::Function", &name));
    }
    functions.insert(function);
    Ok(PhysicalResource::new(name).with("Arn", arn))
}

pub(super) fn update_function(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.as_deref().unwrap_or_default();
    let arn = arn(target, name);
    target.authorize(state, "lambda:UpdateFunctionConfiguration", &arn)?;
    if before.properties.get("Code") != properties.get("Code") {
        target.authorize(state, "lambda:UpdateFunctionCode", &arn)?;
    }
    let new = function_from_properties(state, target, properties, name, &arn)?;
    let function = state.caller_region(target.ctx).functions.get_mut(name).ok_or_else(|| function_not_found(&arn))?;
    let Function { url, permissions, .. } = std::mem::replace(function, new);
    function.url = url;
    function.permissions = permissions;
    Ok(())
}

pub(super) fn delete_function(
    state: &mut State,
    target: &ResourceContext<'_>,
    resource: &Resource,
) -> Result<(), String> {
    let name = resource.physical_id.as_deref().unwrap_or_default();
    target.authorize(state, "lambda:DeleteFunction", &arn(target, name))?;
    state.caller_region(target.ctx).functions.remove(name);
    Ok(())
}

/// Validates the properties of an `AWS::Lambda::Function` and returns the function.
fn function_from_properties(
    state: &State,
    target: &ResourceContext<'_>,
    properties: &Value,
    name: &str,
    arn: &str,
) -> Result<Function, String> {
    let invalid = |message: &str| Err(handler_error(message, "InvalidRequest"));
    let role = text(properties, "Role").unwrap_or_default();
    target.authorize_with(
        state,
        "iam:PassRole",
        role,
        ConditionKeys::default().with("iam:PassedToService", "lambda.amazonaws.com"),
    )?;
    if !state.can_service_assume_role(role, "lambda.amazonaws.com") {
        return invalid("The role defined for the function cannot be assumed by Lambda.");
    }
    if let Some(reserved) = number(properties, "ReservedConcurrentExecutions")
        && reserved > 0
    {
        return invalid(&format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
             below its minimum value of [{MIN_UNRESERVED_CONCURRENCY}]."
        ));
    }
    let code = properties.get("Code").unwrap_or(&Value::Null);
    if text(code, "ZipFile").is_none() {
        return invalid("The sandbox supports only inline code: use ZipFile.");
    }
    let (Some(runtime), Some(handler)) = (text(properties, "Runtime"), text(properties, "Handler")) else {
        return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.");
    };
    let environment = variables(properties)?;
    Ok(Function {
        name: name.to_owned(),
        arn: arn.to_owned(),
        role: role.to_owned(),
        runtime: runtime.to_owned(),
        handler: handler.to_owned(),
        environment,
        memory_mb: number_in_range(properties, "MemorySize", 128, 10_240, 128)?,
        timeout_seconds: number_in_range(properties, "Timeout", 1, 900, 3)?,
        tags: tags(properties),
        created_at: target.ctx.now,
        url: None,
        permissions: Vec::new(),
    })
}

fn variables(properties: &Value) -> Result<BTreeMap<String, String>, String> {
    let entries = properties.get("Environment").and_then(|environment| environment.get("Variables"));
    let mut variables = BTreeMap::new();
    for (name, value) in entries.and_then(Value::as_object).into_iter().flatten() {
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            let message = format!(
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided contains reserved keys that are currently not supported for modification. Reserved keys used \
                 in this request: {name}"
            );
            return Err(handler_error(&message, "InvalidRequest"));
        }
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err(handler_error(&format!("The variable {name} must be a string."), "InvalidRequest")),
        };
        variables.insert(name.clone(), value);
    }
    let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_ENVIRONMENT_BYTES {
        let message = "Lambda was unable to configure your environment variables because the environment variables you \
                       have provided exceeded the 4KB limit.";
        return Err(handler_error(message, "InvalidRequest"));
    }
    Ok(variables)
}

fn number_in_range(properties: &Value, property: &str, min: i64, max: i64, default: i64) -> Result<i64, String> {
    let value = number(properties, property).unwrap_or(default);
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(handler_error(&format!("{property} must be from {min} to {max}, not {value}"), "InvalidRequest"))
}

pub(super) fn create_url(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = function_name(text(properties, "TargetFunctionArn"));
    let arn = arn(target, &name);
    let auth_type = auth_type(properties)?;
    let keys = ConditionKeys::default().with("lambda:FunctionUrlAuthType", &auth_type);
    target.authorize_with(state, "lambda:CreateFunctionUrlConfig", &arn, keys)?;
    let id = state.ids.next(ALPHANUMERIC, 32);
    let function = state.caller_region(target.ctx).functions.get_mut(&name).ok_or_else(|| function_not_found(&arn))?;
    if function.url.is_some() {
        return Err(already_exists("AWS::Lambda::Url", &arn));
    }
    let url = FunctionUrl { id, auth_type };
    let address = url.address(&target.ctx.region);
    function.url = Some(url);
    Ok(PhysicalResource::new(arn.clone()).with("FunctionArn", arn).with("FunctionUrl", address))
}

pub(super) fn update_url(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let arn = before.physical_id.clone().unwrap_or_default();
    let auth_type = auth_type(properties)?;
    let keys = ConditionKeys::default().with("lambda:FunctionUrlAuthType", &auth_type);
    target.authorize_with(state, "lambda:UpdateFunctionUrlConfig", &arn, keys)?;
    let function = state
        .caller_region(target.ctx)
        .functions
        .get_mut(&function_name(Some(&arn)))
        .ok_or_else(|| function_not_found(&arn))?;
    if let Some(url) = &mut function.url {
        url.auth_type = auth_type;
    }
    Ok(())
}

pub(super) fn delete_url(state: &mut State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    let arn = resource.physical_id.clone().unwrap_or_default();
    target.authorize(state, "lambda:DeleteFunctionUrlConfig", &arn)?;
    if let Some(function) = state.caller_region(target.ctx).functions.get_mut(&function_name(Some(&arn))) {
        function.url = None;
    }
    Ok(())
}

pub(super) fn create_permission(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = function_name(text(properties, "FunctionName"));
    let arn = arn(target, &name);
    target.authorize(state, "lambda:AddPermission", &arn)?;
    let owned_text = |property: &str| text(properties, property).map(str::to_owned);
    let permission = Permission {
        statement_id: target.generate_name(state, 100),
        action: owned_text("Action").unwrap_or_default(),
        principal: owned_text("Principal").unwrap_or_default(),
        function_url_auth_type: owned_text("FunctionUrlAuthType"),
        invoked_via_function_url: flag(properties, "InvokedViaFunctionUrl"),
        source_arn: owned_text("SourceArn"),
        source_account: owned_text("SourceAccount"),
    };
    if !permission.action.starts_with("lambda:") {
        return Err(handler_error(&format!("{} is not an action of Lambda", permission.action), "InvalidRequest"));
    }
    if permission.function_url_auth_type.is_some() && permission.action != "lambda:InvokeFunctionUrl" {
        let message = "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action";
        return Err(handler_error(message, "InvalidRequest"));
    }
    if permission.invoked_via_function_url && permission.action != "lambda:InvokeFunction" {
        let message = "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action";
        return Err(handler_error(message, "InvalidRequest"));
    }
    if !role_exists(state, &permission.principal) {
        let message = "The provided principal was invalid. Please check the principal and try again.";
        return Err(handler_error(message, "InvalidRequest"));
    }
    let created = PhysicalResource::new(&permission.statement_id).with("Id", permission.statement_id.as_str());
    let function = state.caller_region(target.ctx).functions.get_mut(&name).ok_or_else(|| function_not_found(&arn))?;
    function.permissions.push(permission);
    Ok(created)
}

pub(super) fn delete_permission(
    state: &mut State,
    target: &ResourceContext<'_>,
    resource: &Resource,
) -> Result<(), String> {
    let name = function_name(text(&resource.properties, "FunctionName"));
    target.authorize(state, "lambda:RemovePermission", &arn(target, &name))?;
    if let Some(function) = state.caller_region(target.ctx).functions.get_mut(&name) {
        let id = resource.physical_id.as_deref().unwrap_or_default();
        function.permissions.retain(|permission| permission.statement_id != id);
    }
    Ok(())
}

fn auth_type(properties: &Value) -> Result<String, String> {
    match text(properties, "AuthType") {
        Some(known @ ("AWS_IAM" | "NONE")) => Ok(known.to_owned()),
        other => Err(handler_error(&format!("AuthType cannot be {}", other.unwrap_or_default()), "InvalidRequest")),
    }
}

fn flag(properties: &Value, property: &str) -> bool {
    match properties.get(property) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// Extracts the function name from an ARN. A name is returned unchanged.
fn function_name(name_or_arn: Option<&str>) -> String {
    let name_or_arn = name_or_arn.unwrap_or_default();
    name_or_arn.split_once(":function:").map_or(name_or_arn, |(_, name)| name).to_owned()
}

fn arn(target: &ResourceContext<'_>, name: &str) -> String {
    format!("arn:aws:lambda:{}:{}:function:{name}", target.ctx.region, target.account())
}

fn function_not_found(arn: &str) -> String {
    handler_error(&format!("Function not found: {arn}"), "NotFound")
}
