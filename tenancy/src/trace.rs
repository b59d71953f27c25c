//! Passes the trace context between processes, so that spans of the API and of the worker form one trace.
//!
//! All functions do nothing until a process calls [`install`]. An exported span must declare the empty fields
//! `otel.kind` and `otel.name`.

use std::sync::OnceLock;

use tracing::Span;

/// Exporter of spans. Other processes refer to an exported span by its `traceparent` (W3C Trace Context).
pub trait TraceExporter: Send + Sync {
    /// Returns the `traceparent` of a span, or `None` if the span is not exported.
    fn traceparent(&self, span: &Span) -> Option<String>;
    /// Sets the parent of a span that has not been entered yet. An invalid `traceparent` is ignored.
    fn set_parent(&self, span: &Span, traceparent: &str);
}

static EXPORTER: OnceLock<Box<dyn TraceExporter>> = OnceLock::new();

/// Installs the exporter for this process. Only the first call has an effect.
pub fn install(traces: impl TraceExporter + 'static) {
    _ = EXPORTER.set(Box::new(traces));
}

/// Sets the name, the OpenTelemetry kind (`server`, `client` or `internal`) and the remote parent of a span.
pub fn init_span(span: &Span, kind: &'static str, name: &str, parent: Option<&str>) {
    let Some(traces) = EXPORTER.get() else { return };
    span.record("otel.kind", kind);
    span.record("otel.name", name);
    if let Some(parent) = parent {
        traces.set_parent(span, parent);
    }
}

/// Records a span field under its OpenTelemetry name. Does nothing if spans are not exported, because logs contain the
/// same value under another name.
pub fn record_field(span: &Span, field: &'static str, value: impl tracing::Value) {
    if EXPORTER.get().is_some() {
        span.record(field, value);
    }
}

/// Returns true if spans are exported.
pub fn is_installed() -> bool {
    EXPORTER.get().is_some()
}

/// Returns the `traceparent` of the current span, so that another process can continue the trace.
pub fn traceparent() -> Option<String> {
    EXPORTER.get()?.traceparent(&Span::current())
}
