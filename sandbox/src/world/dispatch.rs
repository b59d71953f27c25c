//! Request handling: parse, authenticate, inject faults, throttle, authorise, then call the service.

use std::sync::Arc;

use winterbaume_core::{MockRequest, MockResponse};

use super::calls::CallRecord;
use super::request::{Signature, function_url};
use super::{AwsError, Caller, Ctx, Protocol, Request, Service, State, World, response};
use crate::faults::{Fault, OutageForm, outage_error};

pub(super) fn handle(world: &World, raw: &MockRequest) -> MockResponse {
    let request = match Request::parse(raw) {
        Ok(request) => request,
        Err(service) => return super::unsimulated::refuse(world, raw, service.as_deref()),
    };
    let mut state = world.state();
    let now = world.clock().now();
    let region = called_region(world, &request, raw);
    let mut ctx = Ctx {
        now,
        system_time: world.clock().system_time(),
        caller: Caller::anonymous(),
        region,
        service: request.service,
        operation: request.operation.clone(),
        request_id: state.ids.uuid(),
        settings: Arc::clone(&world.0.settings),
        base_url: world.base_url(),
        fault: None,
    };
    state.advance(&ctx.settings, now);

    let outage = state.faults.outage_form(ctx.service, &ctx.region, now);
    let result = match outage {
        Some(form) => Err(outage_error(form, is_function_url(&request))),
        None => call(&mut state, &mut ctx, &request, &raw.uri),
    };
    state.calls.push(CallRecord {
        at: now,
        operation: format!("{}:{}", ctx.service.name(), ctx.operation),
        account: ctx.caller.account.clone(),
        caller: ctx.caller.arn.clone(),
        region: ctx.region.clone(),
        error: result.as_ref().err().map(|error| error.code.clone()),
    });
    let mut response = match result {
        Ok(mut response) => {
            if request.service.protocol() == Protocol::AwsJson {
                response::set_header(&mut response, "content-type", "application/x-amz-json-1.1");
            }
            if request.service.protocol() == Protocol::AwsQuery {
                response::set_request_id(&mut response, &ctx.request_id);
            }
            response
        }
        Err(error) => response::error_for(&request, &error, &ctx.request_id),
    };
    response::set_header(&mut response, "x-amzn-requestid", &ctx.request_id);
    response
}

/// Returns the region of the called endpoint.
fn called_region(world: &World, request: &Request, raw: &MockRequest) -> String {
    match &request.signature {
        _ if request.service.is_global() => "us-east-1".to_owned(),
        _ if is_function_url(request) => function_url(&raw.uri).map(|(region, _)| region).unwrap_or_default(),
        _ if request.service.is_unsigned() => {
            crate::access_portal::region_of_host(&raw.uri).unwrap_or_else(|| world.settings().home_region.clone())
        }
        Some(signature) => signature.region.clone(),
        None => "us-east-1".to_owned(),
    }
}

/// Returns the form of an outage in which this request gets no response, or `None` if it gets one.
pub(super) fn missing_response(world: &World, raw: &MockRequest) -> Option<OutageForm> {
    let state = world.state();
    if !state.faults.has_outages() {
        return None;
    }
    let request = Request::parse(raw).ok()?;
    let form = state.faults.outage_form(request.service, &called_region(world, &request, raw), world.clock().now())?;
    form.has_no_response().then_some(form)
}

fn is_function_url(request: &Request) -> bool {
    request.service == Service::Lambda && request.operation == "InvokeFunctionUrl"
}

fn call(state: &mut State, ctx: &mut Ctx, request: &Request, uri: &str) -> Result<MockResponse, AwsError> {
    ctx.caller = authenticate(state, ctx, request.signature.as_ref())?;
    super::permissions::record_call(ctx, request);
    super::availability::check_availability(state, ctx)?;
    match state.faults.fault_for_call(ctx, request) {
        Some(Fault::Error { status, code, message }) => return Err(AwsError::new(&code, message).status(status)),
        Some(Fault::Throttle) => return Err(crate::quotas::throttling_error(ctx.service)),
        fault => ctx.fault = fault,
    }
    crate::quotas::take_tokens(state, ctx)?;
    if is_function_url(request) {
        let (_, id) = function_url(uri).unwrap_or_default();
        return crate::lambda::invoke_function_url(state, ctx, &id, request);
    }
    if ctx.service == Service::S3 {
        return crate::s3::call(state, ctx, &ctx.operation, request, uri);
    }
    // Lambda also evaluates the policy of the function.
    if ctx.service == Service::Lambda {
        return crate::lambda::call(state, ctx, request);
    }
    if ctx.service.is_unsigned() {
        return crate::access_portal::call(state, ctx, request);
    }
    super::authorize::authorize_operation(state, ctx, request)?;

    let operation = ctx.operation.clone();
    match ctx.service {
        Service::Organizations => crate::organizations::call(state, ctx, &operation, request),
        Service::Sts => crate::sts::call(state, ctx, &operation, request),
        Service::Account => crate::account::call(state, ctx, &operation, request),
        Service::SsoAdmin => crate::ssoadmin::call(state, ctx, &operation, request),
        Service::IdentityStore => crate::identitystore::call(state, ctx, &operation, request),
        Service::CloudFormation => crate::cloudformation::call(state, ctx, &operation, request),
        Service::Lambda => crate::lambda::call(state, ctx, request),
        Service::CloudWatch => crate::cloudwatch::call(state, ctx, &operation, request),
        Service::S3 | Service::Sso | Service::SsoOidc => Err(AwsError::unknown_operation(&operation)),
    }
}

/// Returns the caller that the access key belongs to. Only a Function URL and the services for the sign-in of persons
/// can be called without a signature.
fn authenticate(state: &State, ctx: &Ctx, signature: Option<&Signature>) -> Result<Caller, AwsError> {
    if ctx.service.is_unsigned() {
        return Ok(Caller::anonymous());
    }
    let Some(signature) = signature else {
        if ctx.operation == "InvokeFunctionUrl" {
            return Ok(Caller::anonymous());
        }
        let message = "Request is missing Authentication Token";
        return Err(authentication_error(
            ctx.service,
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            message,
        ));
    };
    let session = state.access_keys.get(&signature.access_key).filter(|session| session.token == signature.token);
    let Some(session) = session else {
        return Err(invalid_token_error(ctx.service));
    };
    if session.has_expired(ctx) {
        let message = "The security token included in the request is expired";
        return Err(authentication_error(ctx.service, "ExpiredToken", "ExpiredTokenException", message));
    }
    Ok(Caller { account: session.account.clone(), arn: session.arn.clone(), session: Some(session.clone()) })
}

/// Returns the error for an access key that is unknown, or not valid in this region.
pub(super) fn invalid_token_error(service: Service) -> AwsError {
    let message = "The security token included in the request is invalid.";
    authentication_error(service, "InvalidClientTokenId", "UnrecognizedClientException", message)
}

/// Returns an authentication error. XML and JSON services use different codes for the same error.
fn authentication_error(service: Service, xml_code: &str, json_code: &str, message: &str) -> AwsError {
    match service.protocol() {
        Protocol::AwsQuery | Protocol::ByRequest | Protocol::RestXml => AwsError::new(xml_code, message).status(403),
        Protocol::AwsJson => AwsError::new(json_code, message),
        Protocol::RestJson => AwsError::new(json_code, message).status(403),
    }
}
