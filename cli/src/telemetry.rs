//! Export of traces (OTLP over HTTP), which is enabled only if `otlp_endpoint` of `[telemetry]` is set.
//!
//! Only Freehold's own spans and their fields are exported, not the log events inside them. The environment variables
//! `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES` apply; no environment variable can enable the export.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use freehold_tenancy::config::Telemetry;
use freehold_tenancy::trace::{self, TraceExporter};
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

const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of the last export when the process exits.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

static TRACER_PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Builds the tracer of `service`. Returns `None` if no endpoint is configured.
pub(crate) fn build_tracer(telemetry: &Telemetry, service: &'static str) -> anyhow::Result<Option<SdkTracer>> {
    let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok(None) };
    let client = reqwest::Client::builder().timeout(EXPORT_TIMEOUT).build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .with_http_client(ExportClient { client, runtime: Handle::current() })
        .build()
        .context("telemetry.otlp_endpoint: cannot export traces to this URL")?;
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("freehold");
    _ = TRACER_PROVIDER.set(provider);
    trace::install(W3cTraceContext);
    Ok(Some(tracer))
}

/// Exports the remaining spans. This function blocks, so it must not be called on a thread of the Tokio runtime.
pub(crate) fn shut_down() {
    if let Some(provider) = TRACER_PROVIDER.get() {
        // An unreachable endpoint must not change the exit code.
        _ = provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
    }
}

/// Propagation of span contexts in the W3C Trace Context format.
struct W3cTraceContext;

impl TraceExporter for W3cTraceContext {
    fn traceparent(&self, span: &Span) -> Option<String> {
        let context = span.context();
        let span = context.span().span_context().clone();
        span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags()))
    }

    fn set_parent(&self, span: &Span, traceparent: &str) {
        let carrier = std::collections::HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let context = TraceContextPropagator::new().extract(&carrier);
        if context.span().span_context().is_valid() {
            // An error means that the span is not recorded; such a span has no children.
            _ = span.set_parent(context);
        }
    }
}

/// HTTP client that sends requests on the Tokio runtime, because the exporter runs on a thread outside the runtime.
#[derive(Debug)]
struct ExportClient {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for ExportClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let (parts, body) = request.into_parts();
        let task = self.runtime.spawn(async move {
            let request = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        });
        let (status, body) = task.await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}
