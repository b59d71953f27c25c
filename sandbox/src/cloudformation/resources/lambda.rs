//! `AWS::Lambda::Function`, `AWS::Lambda::Url` and `AWS::Lambda::Permission`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::iam::role_exists;
use super::{Made, Place, exists, number, refusal, tags, text};
use crate::cloudformation::Resource;
use crate::lambda::{Function, FunctionUrl, Permission};
use crate::policy::{Keys, Principal, Question, Verdict, verdict};
use crate::world::State;
use crate::world::ids::ALPHANUMERIC;

/// What a fresh account may run at once, and what must stay unreserved: no function can reserve any (AWS.md §6).
const UNRESERVED_MINIMUM: i64 = 10;

/// Environment variables, all together, bytes: AWS Lambda quotas.
const LARGEST_ENVIRONMENT: usize = 4_096;

/// Set by Lambda itself.
const RESERVED_VARIABLES: [&str; 6] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_FUNCTION_NAME",
];

pub(super) fn create_function(state: &mut State, place: &Place<'_>, properties: &Value) -> Result<Made, String> {
    let name = place.named(state, properties, "FunctionName", 64);
    let arn = arn(place, &name);
    place.may(state, "lambda:CreateFunction", &arn)?;
    let function = configured(state, place, properties, &name, &arn)?;
    let functions = &mut state.caller_region(place.ctx).functions;
    if functions.get(&name).is_some() {
        return Err(exists("AWS::Lambda::Function", &name));
    }
    functions.insert(function);
    Ok(Made::new(name).with("Arn", arn))
}

pub(super) fn update_function(
    state: &mut State,
    place: &Place<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.as_deref().unwrap_or_default();
    let arn = arn(place, name);
    place.may(state, "lambda:UpdateFunctionConfiguration", &arn)?;
    if before.properties.get("Code") != properties.get("Code") {
        place.may(state, "lambda:UpdateFunctionCode", &arn)?;
    }
    let new = configured(state, place, properties, name, &arn)?;
    let function = state.caller_region(place.ctx).functions.get_mut(name).ok_or_else(|| absent(&arn))?;
    let Function { url, permissions, .. } = std::mem::replace(function, new);
    function.url = url;
    function.permissions = permissions;
    Ok(())
}

pub(super) fn delete_function(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    let name = resource.physical_id.as_deref().unwrap_or_default();
    place.may(state, "lambda:DeleteFunction", &arn(place, name))?;
    state.caller_region(place.ctx).functions.remove(name);
    Ok(())
}

/// The function that the properties describe.
fn configured(state: &State, place: &Place<'_>, properties: &Value, name: &str, arn: &str) -> Result<Function, String> {
    let invalid = |message: &str| Err(refusal(message, "InvalidRequest"));
    let role = text(properties, "Role").unwrap_or_default();
    place.may_with(state, "iam:PassRole", role, Keys::default().with("iam:PassedToService", "lambda.amazonaws.com"))?;
    if !lambda_may_assume(state, role) {
        return invalid("The role defined for the function cannot be assumed by Lambda.");
    }
    if let Some(reserved) = number(properties, "ReservedConcurrentExecutions")
        && reserved > 0
    {
        return invalid(&format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
             below its minimum value of [{UNRESERVED_MINIMUM}]."
        ));
    }
    let code = properties.get("Code").unwrap_or(&Value::Null);
    if text(code, "ZipFile").is_none() {
        return invalid("The sandbox takes the code of a function inline, as ZipFile.");
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
        memory_mb: within(properties, "MemorySize", 128, 10_240, 128)?,
        timeout_seconds: within(properties, "Timeout", 1, 900, 3)?,
        tags: tags(properties),
        created_at: place.ctx.now,
        url: None,
        permissions: Vec::new(),
    })
}

fn variables(properties: &Value) -> Result<BTreeMap<String, String>, String> {
    let given = properties.get("Environment").and_then(|environment| environment.get("Variables"));
    let mut variables = BTreeMap::new();
    for (name, value) in given.and_then(Value::as_object).into_iter().flatten() {
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            let message = format!(
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided contains reserved keys that are currently not supported for modification. Reserved keys used \
                 in this request: {name}"
            );
            return Err(refusal(&message, "InvalidRequest"));
        }
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err(refusal(&format!("The variable {name} must be a string."), "InvalidRequest")),
        };
        variables.insert(name.clone(), value);
    }
    let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > LARGEST_ENVIRONMENT {
        let message = "Lambda was unable to configure your environment variables because the environment variables you \
                       have provided exceeded the 4KB limit.";
        return Err(refusal(message, "InvalidRequest"));
    }
    Ok(variables)
}

fn within(properties: &Value, property: &str, least: i64, most: i64, default: i64) -> Result<i64, String> {
    let value = number(properties, property).unwrap_or(default);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(refusal(&format!("{property} cannot be {value}: it is from {least} to {most}"), "InvalidRequest"))
}

fn lambda_may_assume(state: &State, role: &str) -> bool {
    let Some((account, path)) = role.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")) else {
        return false;
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some(role) = state.accounts.get(account).and_then(|account| account.roles.get(name)) else { return false };
    let question = Question {
        action: "sts:AssumeRole",
        resource: &role.arn,
        principal: Principal::Service("lambda.amazonaws.com"),
        keys: &Keys::default(),
    };
    verdict([&role.trust], &question) == Verdict::Allow
}

pub(super) fn create_url(state: &mut State, place: &Place<'_>, properties: &Value) -> Result<Made, String> {
    let name = function_name(text(properties, "TargetFunctionArn"));
    let arn = arn(place, &name);
    let auth_type = auth_type(properties)?;
    let keys = Keys::default().with("lambda:FunctionUrlAuthType", &auth_type);
    place.may_with(state, "lambda:CreateFunctionUrlConfig", &arn, keys)?;
    let id = state.ids.next(ALPHANUMERIC, 32);
    let function = state.caller_region(place.ctx).functions.get_mut(&name).ok_or_else(|| absent(&arn))?;
    if function.url.is_some() {
        return Err(exists("AWS::Lambda::Url", &arn));
    }
    let url = FunctionUrl { id, auth_type };
    let address = url.address(&place.ctx.region);
    function.url = Some(url);
    Ok(Made::new(arn.clone()).with("FunctionArn", arn).with("FunctionUrl", address))
}

pub(super) fn update_url(
    state: &mut State,
    place: &Place<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let arn = before.physical_id.clone().unwrap_or_default();
    let auth_type = auth_type(properties)?;
    let keys = Keys::default().with("lambda:FunctionUrlAuthType", &auth_type);
    place.may_with(state, "lambda:UpdateFunctionUrlConfig", &arn, keys)?;
    let function =
        state.caller_region(place.ctx).functions.get_mut(&function_name(Some(&arn))).ok_or_else(|| absent(&arn))?;
    if let Some(url) = &mut function.url {
        url.auth_type = auth_type;
    }
    Ok(())
}

pub(super) fn delete_url(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    let arn = resource.physical_id.clone().unwrap_or_default();
    place.may(state, "lambda:DeleteFunctionUrlConfig", &arn)?;
    if let Some(function) = state.caller_region(place.ctx).functions.get_mut(&function_name(Some(&arn))) {
        function.url = None;
    }
    Ok(())
}

pub(super) fn create_permission(state: &mut State, place: &Place<'_>, properties: &Value) -> Result<Made, String> {
    let name = function_name(text(properties, "FunctionName"));
    let arn = arn(place, &name);
    place.may(state, "lambda:AddPermission", &arn)?;
    let owned = |property: &str| text(properties, property).map(str::to_owned);
    let permission = Permission {
        statement_id: place.generated(state, 100),
        action: owned("Action").unwrap_or_default(),
        principal: owned("Principal").unwrap_or_default(),
        function_url_auth_type: owned("FunctionUrlAuthType"),
        invoked_via_function_url: flag(properties, "InvokedViaFunctionUrl"),
        source_arn: owned("SourceArn"),
        source_account: owned("SourceAccount"),
    };
    if !permission.action.starts_with("lambda:") {
        return Err(refusal(&format!("{} is not an action of Lambda", permission.action), "InvalidRequest"));
    }
    if permission.function_url_auth_type.is_some() && permission.action != "lambda:InvokeFunctionUrl" {
        let message = "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action";
        return Err(refusal(message, "InvalidRequest"));
    }
    if permission.invoked_via_function_url && permission.action != "lambda:InvokeFunction" {
        let message = "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action";
        return Err(refusal(message, "InvalidRequest"));
    }
    if !role_exists(state, &permission.principal) {
        let message = "The provided principal was invalid. Please check the principal and try again.";
        return Err(refusal(message, "InvalidRequest"));
    }
    let made = Made::new(&permission.statement_id).with("Id", permission.statement_id.as_str());
    let function = state.caller_region(place.ctx).functions.get_mut(&name).ok_or_else(|| absent(&arn))?;
    function.permissions.push(permission);
    Ok(made)
}

pub(super) fn delete_permission(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    let name = function_name(text(&resource.properties, "FunctionName"));
    place.may(state, "lambda:RemovePermission", &arn(place, &name))?;
    if let Some(function) = state.caller_region(place.ctx).functions.get_mut(&name) {
        let id = resource.physical_id.as_deref().unwrap_or_default();
        function.permissions.retain(|permission| permission.statement_id != id);
    }
    Ok(())
}

fn auth_type(properties: &Value) -> Result<String, String> {
    match text(properties, "AuthType") {
        Some(known @ ("AWS_IAM" | "NONE")) => Ok(known.to_owned()),
        other => Err(refusal(&format!("AuthType cannot be {}", other.unwrap_or_default()), "InvalidRequest")),
    }
}

fn flag(properties: &Value, property: &str) -> bool {
    match properties.get(property) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// The name of a function that may be given by its ARN.
fn function_name(name_or_arn: Option<&str>) -> String {
    let given = name_or_arn.unwrap_or_default();
    given.split_once(":function:").map_or(given, |(_, name)| name).to_owned()
}

fn arn(place: &Place<'_>, name: &str) -> String {
    format!("arn:aws:lambda:{}:{}:function:{name}", place.ctx.region, place.account())
}

fn absent(arn: &str) -> String {
    refusal(&format!("Function not found: {arn}"), "NotFound")
}
