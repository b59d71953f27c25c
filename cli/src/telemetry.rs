//! Traces to whoever wants them, as OTLP over HTTP; only where `otlp_endpoint` of `[telemetry]` names somebody.
//!
//! Sent are Freehold's own spans with their fields, ids and names of operations, and no events: what a log line says stays
//! in the log. The standard variables `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES` hold; that anything is
//! sent at all is said by the configuration alone.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use freehold_tenancy::config::Telemetry;
use freehold_tenancy::trace::{self, Traces};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a process waits for the last delivery.
const LAST_DELIVERY: Duration = Duration::from_secs(3);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Who makes the spans of `service`, if they are sent anywhere.
pub(crate) fn tracer(telemetry: &Telemetry, service: &'static str) -> anyhow::Result<Option<SdkTracer>> {
    let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok(None) };
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .with_http_client(Client { client, runtime: Handle::current() })
        .build()
        .with_context(|| format!("telemetry.otlp_endpoint: traces cannot be sent to {endpoint}"))?;
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("freehold");
    _ = PROVIDER.set(provider);
    trace::install(W3c);
    Ok(Some(tracer))
}

/// Sends what is left, from a thread that is none of the runtime's.
pub(crate) fn end() {
    if let Some(provider) = PROVIDER.get() {
        // Whoever wanted them may have gone away.
        _ = provider.shutdown_with_timeout(LAST_DELIVERY);
    }
}

/// Names and parents of spans, in the form of W3C Trace Context.
struct W3c;

impl Traces for W3c {
    fn traceparent(&self, span: &Span) -> Option<String> {
        let context = span.context();
        let named = context.span().span_context().clone();
        named.is_valid().then(|| format!("00-{}-{}-{:02x}", named.trace_id(), named.span_id(), named.trace_flags()))
    }

    fn set_parent(&self, span: &Span, traceparent: &str) {
        let carrier = std::collections::HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let context = TraceContextPropagator::new().extract(&carrier);
        if context.span().span_context().is_valid() {
            // It fails for a span that nobody records, which has no children either.
            _ = span.set_parent(context);
        }
    }
}

/// The program's own HTTP client, for the thread that sends: it is none of the runtime's.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let (parts, body) = request.into_parts();
        let sending = self.runtime.spawn(async move {
            let request = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
            let answer = request.send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = sending.await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}
