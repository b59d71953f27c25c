//! Calls of functions through their URLs.

use winterbaume_core::MockResponse;

use super::{Function, is_authorized};
use crate::policy::{AccessRequest, ConditionKeys, Decision, Principal, evaluate};
use crate::world::{AwsError, Ctx, Request, State};

/// Message of a Function URL whose caller lacks one of the two permissions.
const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                         https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/// Handles a call of the Function URL with the id `url_id` in `ctx.region`. `ctx.caller` can be anonymous.
pub fn invoke_function_url(
    state: &mut State,
    ctx: &Ctx,
    url_id: &str,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let (account, function) = find(state, &ctx.region, url_id).ok_or_else(url_not_found)?;
    let auth_type = function.url.as_ref().map(|url| url.auth_type.as_str()).unwrap_or_default();
    let wrong_scope = request
        .signature
        .as_ref()
        .is_some_and(|signature| signature.service != "lambda" || signature.region != ctx.region);
    if wrong_scope {
        let message = format!("Credential should be scoped to a valid region and the service lambda, {}", ctx.region);
        return Err(forbidden_error(&message));
    }
    let is_allowed = |action: &str, key: &str, value: &str| {
        let keys = state.condition_keys(ctx).with(key, value);
        is_authorized(state, ctx, account, function, action, &keys)
    };
    // Since October 2025 AWS requires both permissions, for every AuthType.
    if !is_allowed("lambda:InvokeFunctionUrl", "lambda:FunctionUrlAuthType", auth_type)
        || !is_allowed("lambda:InvokeFunction", "lambda:InvokedViaFunctionUrl", "true")
    {
        return Err(forbidden_error(FORBIDDEN));
    }
    url_response(function, &ctx.region)
}

/// Caller of a Function URL that is not a session of an account.
pub(crate) enum UrlCaller {
    Anonymous,
    /// Caller of a request that is signed, but not for this URL and this body.
    InvalidSignature,
    /// AWS service that acts for a resource. No service control policy applies to it.
    Service {
        principal: &'static str,
        source_arn: String,
        source_account: String,
    },
}

/// Calls a Function URL for a caller without a session.
pub(crate) fn call_url(
    state: &State,
    region: &str,
    url_id: &str,
    caller: &UrlCaller,
) -> Result<MockResponse, AwsError> {
    let (_, function) = find(state, region, url_id).ok_or_else(url_not_found)?;
    let auth_type = function.url.as_ref().map(|url| url.auth_type.as_str()).unwrap_or_default();
    let keys = ConditionKeys::default().with("aws:RequestedRegion", region);
    let (principal, keys) = match caller {
        // Without authentication, Lambda does not look at a signature.
        UrlCaller::InvalidSignature if auth_type != "NONE" => {
            let message = "The request signature we calculated does not match the signature you provided. Check your \
                           AWS Secret Access Key and signing method. Consult the service documentation for details.";
            return Err(AwsError::new("InvalidSignatureException", message).status(403));
        }
        UrlCaller::Anonymous | UrlCaller::InvalidSignature => (Principal::Anonymous, keys),
        UrlCaller::Service { principal, source_arn, source_account } => {
            let keys = keys.with("aws:PrincipalIsAWSService", "true").with("aws:PrincipalServiceName", *principal);
            let keys = keys.with("aws:SourceArn", source_arn).with("aws:SourceAccount", source_account);
            (Principal::Service(principal), keys)
        }
    };
    let policy = function.policy();
    let is_allowed = |action: &str, key: &str, value: &str| {
        let keys = keys.clone().with(key, value);
        let access_request = AccessRequest { action, resource: &function.arn, principal, keys: &keys };
        evaluate([&policy], &access_request) == Decision::Allow
    };
    if !is_allowed("lambda:InvokeFunctionUrl", "lambda:FunctionUrlAuthType", auth_type)
        || !is_allowed("lambda:InvokeFunction", "lambda:InvokedViaFunctionUrl", "true")
    {
        return Err(forbidden_error(FORBIDDEN));
    }
    url_response(function, region)
}

/// Returns the response of a function that is called through its URL.
fn url_response(function: &Function, region: &str) -> Result<MockResponse, AwsError> {
    let body = function.response_body(region).map_err(|variable| {
        AwsError::new("InternalServerErrorException", "Internal Server Error").status(502).with("KeyError", variable)
    })?;
    Ok(MockResponse::rest_json(200, body.to_string()))
}

/// Returns the id and the region of a Function URL from its domain name, or `None` for any other domain name.
pub(crate) fn function_url_domain(domain: &str) -> Option<(&str, &str)> {
    let (id, rest) = domain.split_once(".lambda-url.")?;
    Some((id, rest.strip_suffix(".on.aws")?))
}

fn find<'a>(state: &'a State, region: &str, url_id: &str) -> Option<(&'a str, &'a Function)> {
    state.accounts.iter().find_map(|(account, state)| {
        let functions = &state.regions.get(region)?.functions;
        let function = functions.iter().find(|function| function.url.as_ref().is_some_and(|url| url.id == url_id))?;
        Some((account.as_str(), function))
    })
}

fn url_not_found() -> AwsError {
    AwsError::new("ResourceNotFoundException", "Function URL not found.").status(404)
}

/// Returns an access-denied error with the member `Message`, as Function URLs do; other services use `message`.
fn forbidden_error(message: &str) -> AwsError {
    AwsError::new("AccessDeniedException", message).status(403).with("Message", message)
}

/// Converts a Function URL in AWS's format to the URL at which the sandbox serves it, and returns any other text
/// unchanged. The URL is converted on each read, because the sandbox's port can change after the stack was created.
pub(crate) fn local_function_url(ctx: &Ctx, value: &str) -> String {
    let id = value
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(&format!(".lambda-url.{}.on.aws/", ctx.region)))
        .filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()));
    id.map_or_else(|| value.to_owned(), |id| ctx.function_url(id))
}
