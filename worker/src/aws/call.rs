//! Common path of all AWS calls. It applies the rate limit, measures the call, logs the call with AWS's request id and
//! classifies its error.

use std::time::Instant;

use aws_sdk_sts::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use freehold_tenancy::trace;
use futures::future::{BoxFuture, FutureExt};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::Aws;
use super::errors::{self, AwsErrorResponse};
use super::sts::Session;
use crate::cloud::{CloudError, CloudErrorKind, ErrorOrigin, Result};

/// Message for a call without an answer before its timeout.
const NO_ANSWER_IN_TIME: &str = "AWS did not answer in time";

impl Aws {
    /// Makes the AWS call `call`, such as `organizations:MoveAccount`, with the credentials of `session`. The SDK sends
    /// `request` only when this function awaits it, after it has taken a token from the rate limit.
    ///
    /// The future is boxed, because the SDK's futures are large and would otherwise be part of the future of every
    /// step.
    pub(super) fn send<'a, T, E>(
        &'a self,
        session: &'a Session,
        call: &'static str,
        request: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>>
    where
        T: RequestId + Send + Sync + 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        async move {
            let request = async { request.await.map_err(|error| from_sdk_error(call, error)) };
            let response = self.make_call(call, self.audited_call(session, call, request)).await;
            if let Err(error) = &response
                && errors::invalidates_session(&error.code)
            {
                self.sessions.invalidate(&session.identity);
            }
            response
        }
        .boxed()
    }

    /// Takes a token from the rate limit of `call`, then makes the call, measures it and logs it.
    pub(super) async fn make_call<T: RequestId>(
        &self,
        call: &'static str,
        response: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if let Some(limits) = &self.limits {
            limits.take_token(call).await?;
        }
        let (service, operation) = call.split_once(':').unwrap_or(("aws", call));
        let span = span(service, operation);
        let started = Instant::now();
        let response = response.instrument(span.clone()).await;
        let elapsed = started.elapsed();
        span.record(
            "aws.request_id",
            response.as_ref().map_or_else(|error| error.request_id.as_deref(), T::request_id),
        );
        if let Err(error) = &response {
            span.record("otel.status_code", "ERROR").record("error.type", &error.code);
        }
        let outcome = response.as_ref().err().map_or("ok", |error| outcome_label(&error.kind));
        metrics::counter!("freehold_aws_calls_total",
            "service" => service, "operation" => operation, "outcome" => outcome)
        .increment(1);
        metrics::histogram!("freehold_aws_call_duration_seconds", "service" => service, "operation" => operation)
            .record(elapsed.as_secs_f64());
        match &response {
            Ok(response) => tracing::debug!(call, outcome, request_id = response.request_id(), ?elapsed, "aws call"),
            Err(error) => tracing::info!(call, outcome, request_id = error.request_id, ?elapsed, %error, "aws call"),
        }

        let Some(limits) = &self.limits else { return response };
        match response {
            Err(error) if matches!(error.kind, CloudErrorKind::Throttled { .. }) && is_throttle(&error.code) => {
                Err(limits.record_throttle(call, error).await)
            }
            response => {
                limits.record_answer(call).await;
                response
            }
        }
    }
}

/// Creates the tracing span of an AWS call. Its names follow OpenTelemetry's "Semantic conventions for AWS SDK". A call
/// outside a step belongs to no trace and gets no span.
fn span(service: &str, operation: &str) -> Span {
    if !trace::is_installed() || Span::current().is_none() {
        return Span::none();
    }
    let span = tracing::debug_span!(
        "aws",
        rpc.system = "aws-api",
        rpc.service = service,
        rpc.method = operation,
        aws.request_id = Empty,
        "error.type" = Empty,
        otel.kind = Empty,
        otel.name = Empty,
        otel.status_code = Empty,
    );
    trace::init_span(&span, "client", &format!("{service}.{operation}"), None);
    span
}

/// Returns whether an error code means that calls are too frequent. All other quota error codes mean that there are too
/// many resources.
fn is_throttle(code: &str) -> bool {
    !matches!(code, "ConstraintViolationException" | "ServiceQuotaExceededException" | "LimitExceededException")
}

/// Returns the value of the metric label `outcome` for an error kind.
fn outcome_label(kind: &CloudErrorKind) -> &'static str {
    match kind {
        CloudErrorKind::Unknown => "unknown",
        CloudErrorKind::NotYet => "not_yet",
        CloudErrorKind::Conflict => "conflict",
        CloudErrorKind::Denied { .. } => "denied",
        CloudErrorKind::Throttled { .. } => "throttled",
        CloudErrorKind::Failed => "failed",
    }
}

/// Converts an error of the AWS SDK, which contains AWS's error response or the reason why there is no response.
fn from_sdk_error<E>(call: &'static str, error: SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(service_error) = &error else { return no_response(call, &error) };
    let metadata = service_error.err().meta();
    let raw = service_error.raw();
    let reason = raw.body().bytes().and_then(reason_in);
    let response = AwsErrorResponse {
        service: call.split_once(':').map_or("", |(service, _)| service),
        code: metadata.code().unwrap_or_default(),
        reason: reason.as_deref().unwrap_or_default(),
        message: metadata.message().unwrap_or_default(),
        status: raw.status().as_u16(),
    };
    let code = match (response.code, response.reason) {
        ("", _) => format!("HTTP {}", response.status),
        (code, _) => code.to_owned(),
    };
    let message = match (response.message, response.reason) {
        (message, "") => message.to_owned(),
        (message, reason) => format!("{reason}: {message}"),
    };
    let (kind, request_id) = (errors::kind(&response), error.request_id().map(str::to_owned));
    CloudError { kind, call, origin: ErrorOrigin::Aws, code, message, request_id }
}

/// Creates the error for a call without a readable response. The effect of the call is unknown, unless the request was
/// never sent.
pub(super) fn no_response<E>(call: &'static str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: std::error::Error + Send + Sync + 'static,
{
    let (kind, code, what) = match error {
        SdkError::ConstructionFailure(_) => (CloudErrorKind::Failed, "RequestNotBuilt", "the call was not made"),
        SdkError::TimeoutError(_) => (CloudErrorKind::Unknown, "Timeout", NO_ANSWER_IN_TIME),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (CloudErrorKind::Unknown, "Timeout", NO_ANSWER_IN_TIME)
        }
        SdkError::DispatchFailure(_) => (CloudErrorKind::Unknown, "ConnectionFailed", "the connection to AWS failed"),
        _ => (CloudErrorKind::Unknown, "UnreadableAnswer", "the answer of AWS cannot be read"),
    };
    let message = format!("{what}: {}", error_chain(error));
    let request_id = error.request_id().map(str::to_owned);
    CloudError { request_id, ..CloudError::from_freehold(kind, call, code, message) }
}

/// Returns the messages of an error and of its causes in one line.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut messages: Vec<String> = causes.map(ToString::to_string).collect();
    messages.dedup();
    messages.join(": ")
}

/// Creates the error for an AWS response without a required field. The effect of the call is unknown.
pub(super) fn missing_field(call: &'static str, missing: &str) -> CloudError {
    let message = format!("the answer of AWS has no {missing}");
    CloudError::from_freehold(CloudErrorKind::Unknown, call, "UnreadableAnswer", message)
}

/// Converts a conflict to success, because the object already exists or the change has already been made.
pub(super) fn ok_if_conflict<T>(response: Result<T>) -> Result<()> {
    match response {
        Err(error) if error.kind == CloudErrorKind::Conflict => Ok(()),
        other => other.map(drop),
    }
}

/// Converts an error with the code `not_found` to `None`.
pub(super) fn none_if<T>(response: Result<T>, not_found: &str) -> Result<Option<T>> {
    match response {
        Err(error) if error.code == not_found => Ok(None),
        other => other.map(Some),
    }
}

/// Returns the field `Reason` of an AWS error response in JSON, or `None` if the field is missing.
fn reason_in(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body.get("Reason").or_else(|| body.get("reason"))?.as_str().map(str::to_owned)
}
