//! Operations of Lambda that read functions: ListFunctions, GetFunction, GetFunctionConfiguration, GetFunctionUrlConfig
//! and GetPolicy.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use winterbaume_core::MockResponse;

use super::{Function, function_not_found};
use crate::world::{AwsError, Ctx, Request, State, page, percent_decode};

const FUNCTIONS: &str = "/2015-03-31/functions";
const FUNCTION_URLS: &str = "/2021-10-31/functions";
const DEFAULT_PAGE_SIZE: usize = 50;

/// Returns the operation of a request, or `None` for an operation that is not simulated.
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static str> {
    if path.trim_end_matches('/') == FUNCTIONS {
        return (method == "GET").then_some("ListFunctions");
    }
    let (_, action) = function_and_action(path)?;
    Some(match (method, action) {
        ("POST", "invocations") => "Invoke",
        ("GET", "") => "GetFunction",
        ("GET", "configuration") => "GetFunctionConfiguration",
        ("GET", "policy") => "GetPolicy",
        ("GET", "url") => "GetFunctionUrlConfig",
        _ => return None,
    })
}

/// Returns the name or ARN of the function in a path, or `None` if the path contains none.
pub(super) fn function_of_path(path: &str) -> Option<String> {
    function_and_action(path).map(|(function, _)| percent_decode(function, false))
}

fn function_and_action(path: &str) -> Option<(&str, &str)> {
    let (rest, is_url) = match path.strip_prefix(FUNCTION_URLS) {
        Some(rest) => (rest, true),
        None => (path.strip_prefix(FUNCTIONS)?, false),
    };
    let (function, action) = rest.strip_prefix('/')?.split_once('/').unwrap_or((rest.strip_prefix('/')?, ""));
    (!function.is_empty() && (action == "url") == is_url).then_some((function, action))
}

/// Handles ListFunctions.
pub(super) fn list_functions(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    state.authorize(ctx, "lambda:ListFunctions", "*")?;
    let invalid =
        || AwsError::new("InvalidParameterValueException", "Invalid Marker or MaxItems.").with("Type", "User");
    let max = request.params.get("MaxItems").map(|max| max.parse::<usize>().map_err(|_| invalid())).transpose()?;
    let functions = &state.caller_region(ctx).functions;
    let marker = request.params.get("Marker").map(String::as_str);
    let (functions, next) = page(ctx, functions.iter(), marker, max.or(Some(DEFAULT_PAGE_SIZE)), invalid)?;
    let functions: Vec<Value> = functions.into_iter().map(configuration).collect();
    Ok(json_response(&json!({ "Functions": functions, "NextMarker": next })))
}

/// Handles an operation that reads one function.
pub(super) fn get(state: &mut State, ctx: &Ctx, name_or_arn: &str) -> Result<MockResponse, AwsError> {
    let name = name_or_arn.rsplit_once(":function:").map_or(name_or_arn, |(_, name)| name);
    let arn = format!("arn:aws:lambda:{}:{}:function:{name}", ctx.region, ctx.caller.account);
    state.authorize(ctx, &format!("lambda:{}", ctx.operation), &arn)?;
    let function =
        state.caller_region(ctx).functions.get(name).filter(|_| !name_or_arn.contains(':') || name_or_arn == arn);
    let function = function.ok_or_else(|| function_not_found(&arn))?;
    let missing = || {
        let message = "The resource you requested does not exist.";
        AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User")
    };
    Ok(json_response(&match ctx.operation.as_str() {
        "GetFunction" => json!({
            "Configuration": with_state(configuration(function)),
            "Code": { "RepositoryType": "S3" },
            "Tags": function.tags,
        }),
        "GetFunctionConfiguration" => with_state(configuration(function)),
        "GetFunctionUrlConfig" => {
            let url = function.url.as_ref().ok_or_else(missing)?;
            json!({
                "AuthType": url.auth_type,
                "CreationTime": function.created_at.to_rfc3339_opts(SecondsFormat::Millis, true),
                "FunctionArn": function.arn,
                "FunctionUrl": ctx.function_url(&url.id),
                "InvokeMode": "BUFFERED",
                "LastModifiedTime": function.created_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            })
        }
        _ if function.permissions.is_empty() => return Err(missing()),
        _ => json!({ "Policy": json!(function.policy()).to_string() }),
    }))
}

/// Returns the configuration of a function in the format of ListFunctions.
fn configuration(function: &Function) -> Value {
    json!({
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Role": function.role,
        "Runtime": function.runtime,
        "Handler": function.handler,
        "Environment": { "Variables": function.environment },
        "MemorySize": function.memory_mb,
        "Timeout": function.timeout_seconds,
        "LastModified": function.created_at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "Version": "$LATEST",
    })
}

/// Adds the state of a function, which ListFunctions does not contain.
fn with_state(mut configuration: Value) -> Value {
    configuration["State"] = "Active".into();
    configuration["LastUpdateStatus"] = "Successful".into();
    configuration
}

fn json_response(body: &Value) -> MockResponse {
    MockResponse::rest_json(200, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_of_lambda_is_in_method_and_path() {
        for (method, path, expected) in [
            ("GET", "/2015-03-31/functions/", Some("ListFunctions")),
            ("GET", "/2015-03-31/functions", Some("ListFunctions")),
            ("GET", "/2015-03-31/functions/a", Some("GetFunction")),
            ("GET", "/2015-03-31/functions/a/configuration", Some("GetFunctionConfiguration")),
            ("GET", "/2021-10-31/functions/a/url", Some("GetFunctionUrlConfig")),
            ("POST", "/2015-03-31/functions/a/invocations", Some("Invoke")),
            ("POST", "/2015-03-31/functions", None),
            ("DELETE", "/2015-03-31/functions/a", None),
            ("POST", "/2015-03-31/functions//invocations", None),
            ("GET", "/2018-10-31/layers", None),
        ] {
            assert_eq!(operation(method, path), expected, "{method} {path}");
        }
        let arn = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ar%3A1%3Afunction%3Aa/invocations";
        assert_eq!(function_of_path(arn).as_deref(), Some("arn:aws:lambda:r:1:function:a"));
    }
}
