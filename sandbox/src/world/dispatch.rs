//! The way of a request: parse, identify, authorise, throttle, fail on purpose, and only then the service.

use std::sync::Arc;

use winterbaume_core::{MockRequest, MockResponse};

use super::calls::CallRecord;
use super::request::{Signature, function_url};
use super::{AwsError, Caller, Ctx, Protocol, Request, Service, State, World, answer};
use crate::faults::Fault;

/// Answers a request.
pub(super) fn answer(world: &World, raw: &MockRequest) -> MockResponse {
    let request = match Request::parse(raw) {
        Ok(request) => request,
        Err(error) => return answer::error(Service::Account, &error, ""),
    };
    let mut state = world.state();
    let now = world.clock().now();
    let region = match &request.signature {
        _ if request.service.is_global() => "us-east-1".to_owned(),
        _ if request.service == Service::Lambda => function_url(&raw.uri).map(|(region, _)| region).unwrap_or_default(),
        Some(signature) => signature.region.clone(),
        None => "us-east-1".to_owned(),
    };
    let mut ctx = Ctx {
        now,
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

    let outcome = call(&mut state, &mut ctx, &request, &raw.uri);
    state.calls.push(CallRecord {
        at: now,
        operation: format!("{}:{}", ctx.service.name(), ctx.operation),
        account: ctx.caller.account.clone(),
        caller: ctx.caller.arn.clone(),
        region: ctx.region.clone(),
        error: outcome.as_ref().err().map(|error| error.code.clone()),
    });
    let mut answer = match outcome {
        Ok(mut answer) => {
            if request.service.protocol() == Protocol::AwsJson {
                answer::set(&mut answer, "content-type", "application/x-amz-json-1.1");
            }
            answer
        }
        Err(error) => answer::error(request.service, &error, &ctx.request_id),
    };
    answer::set(&mut answer, "x-amzn-requestid", &ctx.request_id);
    answer
}

fn call(state: &mut State, ctx: &mut Ctx, request: &Request, uri: &str) -> Result<MockResponse, AwsError> {
    ctx.caller = identify(state, ctx, request.signature.as_ref())?;
    super::permissions::note(ctx, request);
    super::availability::check(state, ctx)?;
    match state.faults.next(ctx, request) {
        Some(Fault::Error { status, code, message }) => return Err(AwsError::new(&code, message).status(status)),
        Some(Fault::Throttle) => return Err(crate::quotas::throttled(ctx.service)),
        fault => ctx.fault = fault,
    }
    crate::quotas::take(state, ctx)?;
    if ctx.service == Service::Lambda {
        let (_, id) = function_url(uri).unwrap_or_default();
        return crate::lambda::invoke_url(state, ctx, &id, request);
    }
    super::authorize::operation(state, ctx, request)?;

    let operation = ctx.operation.clone();
    match ctx.service {
        Service::Organizations => crate::organizations::call(state, ctx, &operation, request),
        Service::Sts => crate::sts::call(state, ctx, &operation, request),
        Service::Account => crate::account::call(state, ctx, &operation, request),
        Service::SsoAdmin => crate::ssoadmin::call(state, ctx, &operation, request),
        Service::IdentityStore => crate::identitystore::call(state, ctx, &operation, request),
        Service::CloudFormation => crate::cloudformation::call(state, ctx, &operation, request),
        Service::Lambda => Err(AwsError::unknown_operation(&operation)),
    }
}

/// Whom the access key stands for.
fn identify(state: &State, ctx: &Ctx, signature: Option<&Signature>) -> Result<Caller, AwsError> {
    let Some(signature) = signature else {
        if ctx.service == Service::Lambda {
            return Ok(Caller::anonymous());
        }
        let message = "Request is missing Authentication Token";
        return Err(unauthenticated(
            ctx.service,
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            message,
        ));
    };
    let session = state.access_keys.get(&signature.access_key).filter(|session| session.token == signature.token);
    let Some(session) = session else {
        return Err(invalid_token(ctx.service));
    };
    if session.expires.is_some_and(|expires| expires <= ctx.now) {
        let message = "The security token included in the request is expired";
        return Err(unauthenticated(ctx.service, "ExpiredToken", "ExpiredTokenException", message));
    }
    Ok(Caller { account: session.account.clone(), arn: session.arn.clone(), session: Some(session.clone()) })
}

/// The access key is unknown, or means nothing in this region.
pub(super) fn invalid_token(service: Service) -> AwsError {
    let message = "The security token included in the request is invalid.";
    unauthenticated(service, "InvalidClientTokenId", "UnrecognizedClientException", message)
}

/// One thing has two codes: one in XML, another in JSON.
fn unauthenticated(service: Service, in_xml: &str, in_json: &str, message: &str) -> AwsError {
    match service.protocol() {
        Protocol::AwsQuery => AwsError::new(in_xml, message).status(403),
        Protocol::AwsJson => AwsError::new(in_json, message),
        Protocol::RestJson => AwsError::new(in_json, message).status(403),
    }
}
