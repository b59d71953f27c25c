//! Logs to stderr, as text or JSON. `FREEHOLD_LOG` sets the level.

mod json;

use clap::{Args, ValueEnum};
use opentelemetry_sdk::trace::SdkTracer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::output::{LogWriter, print_note};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text, for reading on a terminal
    Text,
    /// One JSON object per line, for a log collector
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Log format; FREEHOLD_LOG sets the level (info, debug, freehold_worker=debug, …)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

impl LogArgs {
    /// Starts logging. `default_level` applies if `FREEHOLD_LOG` is not set.
    pub(crate) fn start(&self, default_level: &str) {
        self.start_with_traces(default_level, None);
    }

    /// Starts logging, and exports Freehold's spans to `tracer` regardless of the log level.
    pub(crate) fn start_with_traces(&self, default_level: &str, tracer: Option<SdkTracer>) {
        let requested = std::env::var("FREEHOLD_LOG").ok().filter(|text| !text.is_empty());
        // The pool warns about closed connections when a sandbox stops its PostgreSQL.
        let default_filter = &format!("{default_level},sqlx_core::pool=error");
        let filter = requested.map_or_else(|| Ok(EnvFilter::new(default_filter)), |text| text.parse::<EnvFilter>());
        let filter = filter.unwrap_or_else(|error| {
            print_note(format!("FREEHOLD_LOG is invalid ({error}); using {default_filter}"));
            EnvFilter::new(default_filter)
        });
        let log = match self.log_format {
            LogFormat::Text => {
                let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
                fmt::layer().with_ansi(colours).with_writer(|| LogWriter::Text).boxed()
            }
            LogFormat::Json => {
                let log = fmt::layer().fmt_fields(JsonFields::new()).event_format(json::FlatJson);
                log.with_writer(|| LogWriter::Json).boxed()
            }
        };
        // An error means that logging has been started already, as in tests.
        let Some(tracer) = tracer else {
            _ = registry().with(log).with(filter).try_init();
            return;
        };
        // A dynamic filter is evaluated each time. A static filter's result would be wrong here: SQLx checks whether
        // events are enabled without emitting one, and the result would then be applied to the next span.
        let own_spans =
            dynamic_filter_fn(|metadata, _| metadata.is_span() && metadata.target().starts_with("freehold"));
        let traces = tracing_opentelemetry::layer().with_tracer(tracer);
        let traces =
            traces.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(own_spans);
        _ = registry().with(log.with_filter(filter)).with(traces).try_init();
    }
}
