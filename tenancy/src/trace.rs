//! Traces, as far as API and worker have to do with them: which span is whose child, across processes.
//!
//! Whoever puts the processes together may install a [`Traces`]; without one all of this does nothing. A span that is to
//! take part declares `otel.kind` and `otel.name` as empty fields.

use std::sync::OnceLock;

use tracing::Span;

/// Where spans are sent, and how they are named across processes: W3C Trace Context's `traceparent`.
pub trait Traces: Send + Sync {
    /// The name of a span, if it is one that is sent.
    fn traceparent(&self, span: &Span) -> Option<String>;
    /// Makes a span that has not been entered yet the child of one elsewhere; nothing comes of a name that is none.
    fn set_parent(&self, span: &Span, traceparent: &str);
}

static INSTALLED: OnceLock<Box<dyn Traces>> = OnceLock::new();

/// Has spans sent from now on; the first that is installed stays.
pub fn install(traces: impl Traces + 'static) {
    _ = INSTALLED.set(Box::new(traces));
}

/// Calls a span `name`, of a kind of OpenTelemetry's (`server`, `client`, `internal`), the child of one elsewhere.
pub fn begin(span: &Span, kind: &'static str, name: &str, parent: Option<&str>) {
    let Some(traces) = INSTALLED.get() else { return };
    span.record("otel.kind", kind);
    span.record("otel.name", name);
    if let Some(parent) = parent {
        traces.set_parent(span, parent);
    }
}

/// Notes something in a span that the log has already, in other words.
pub fn note(span: &Span, field: &'static str, value: impl tracing::Value) {
    if INSTALLED.get().is_some() {
        span.record(field, value);
    }
}

/// Whether spans are sent anywhere.
pub fn installed() -> bool {
    INSTALLED.get().is_some()
}

/// The name of the span that this is called in, to be kept for whoever goes on with the work.
pub fn traceparent() -> Option<String> {
    INSTALLED.get()?.traceparent(&Span::current())
}
