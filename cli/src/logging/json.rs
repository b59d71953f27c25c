//! One JSON object a line: what an event says, and beside it what the spans around it say, so that whoever looks for a
//! tenant, an operation or a request finds every line about it.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The form.
pub(super) struct Flat;

impl<S> FormatEvent<S, JsonFields> for Flat
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        event.record(&mut Fields(&mut line));
        // From the inside out: what is said closest to the event stands.
        for span in context.event_scope().into_iter().flatten() {
            line.entry("span").or_insert_with(|| span.name().into());
            let extensions = span.extensions();
            let Some(said) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            let Ok(Value::Object(said)) = serde_json::from_str(&said.fields) else { continue };
            for (name, value) in said.into_iter().filter(|(name, _)| !name.starts_with("otel.")) {
                line.entry(name).or_insert(value);
            }
        }
        writeln!(to, "{}", Value::Object(line))
    }
}

/// Fields as JSON.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_what_the_spans_around_it_say() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let request = tracing::info_span!(
                "request",
                request_id = "r-1",
                tenant = tracing::field::Empty,
                otel.kind = "server",
                status = 1
            );
            let _in_request = request.enter();
            request.record("tenant", "ten_1");
            let step = tracing::info_span!("step", operation = "op_1");
            let _in_step = step.enter();
            tracing::warn!(target: "freehold::alert", status = 2_u64, fine = true, "it's \"so\"");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(text.ends_with("}\n") && line.remove("timestamp").is_some(), "{text}");
        let expected = json!({
            "level": "WARN", "target": "freehold::alert", "message": "it's \"so\"", "status": 2, "fine": true,
            "span": "step", "operation": "op_1", "request_id": "r-1", "tenant": "ten_1",
        });
        assert_eq!(Value::Object(line), expected);
    }
}
