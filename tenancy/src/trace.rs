//! Trace context across processes: links spans of the API and of the worker.
//!
//! All functions do nothing until a process installs a [`Traces`]. A span that is exported declares the empty fields
//! `otel.kind` and `otel.name`.

use std::sync::OnceLock;

use tracing::Span;

/// Exporter of spans, which identifies them across processes by the `traceparent` of W3C Trace Context.
pub trait Traces: Send + Sync {
    /// Returns the `traceparent` of a span, or `None` if the span is not exported.
    fn traceparent(&self, span: &Span) -> Option<String>;
    /// Sets the parent of a span that has not been entered yet. Ignores an invalid `traceparent`.
    fn set_parent(&self, span: &Span, traceparent: &str);
}

static INSTALLED: OnceLock<Box<dyn Traces>> = OnceLock::new();

/// Installs the exporter. Only the first call has an effect.
pub fn install(traces: impl Traces + 'static) {
    _ = INSTALLED.set(Box::new(traces));
}

/// Sets the name, the OpenTelemetry kind (`server`, `client` or `internal`) and the remote parent of a span.
pub fn begin(span: &Span, kind: &'static str, name: &str, parent: Option<&str>) {
    let Some(traces) = INSTALLED.get() else { return };
    span.record("otel.kind", kind);
    span.record("otel.name", name);
    if let Some(parent) = parent {
        traces.set_parent(span, parent);
    }
}

/// Records a field of a span under the name that OpenTelemetry defines. Logs contain the value under another name.
pub fn note(span: &Span, field: &'static str, value: impl tracing::Value) {
    if INSTALLED.get().is_some() {
        span.record(field, value);
    }
}

/// Returns true if spans are exported.
pub fn installed() -> bool {
    INSTALLED.get().is_some()
}

/// Returns the `traceparent` of the current span, so that another process can continue the trace.
pub fn traceparent() -> Option<String> {
    INSTALLED.get()?.traceparent(&Span::current())
}
