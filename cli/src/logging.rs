//! Logs: to stderr, as text or JSON, as much as `FREEHOLD_LOG` asks for.

mod json;

use clap::{Args, ValueEnum};
use opentelemetry_sdk::trace::SdkTracer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::output::{LogWriter, note};

/// How logs are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines, for people.
    Text,
    /// One JSON object a line, for a log collector.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// How logs are written; FREEHOLD_LOG says how much (info, debug, freehold_worker=debug, …)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

impl LogArgs {
    /// Begins to log, `usual` much where `FREEHOLD_LOG` does not say.
    pub(crate) fn begin(&self, usual: &str) {
        self.begin_traced(usual, None);
    }

    /// Likewise, and has `tracer` make spans of Freehold's own, however much is logged.
    pub(crate) fn begin_traced(&self, usual: &str, tracer: Option<SdkTracer>) {
        let asked = std::env::var("FREEHOLD_LOG").ok().filter(|text| !text.is_empty());
        // That a connection goes with its server, at the end of a sandbox, is no news.
        let usual = &format!("{usual},sqlx_core::pool=error");
        let filter = asked.map_or_else(|| Ok(EnvFilter::new(usual)), |text| text.parse::<EnvFilter>());
        let filter = filter.unwrap_or_else(|error| {
            note(format!("FREEHOLD_LOG is not understood ({error}); logging {usual}"));
            EnvFilter::new(usual)
        });
        let log = match self.log_format {
            LogFormat::Text => {
                let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
                fmt::layer().with_ansi(colours).with_writer(|| LogWriter).boxed()
            }
            LogFormat::Json => {
                let log = fmt::layer().fmt_fields(JsonFields::new()).event_format(json::Flat);
                log.with_writer(|| LogWriter).boxed()
            }
        };
        // It fails where a log is there already, which is as good.
        let Some(tracer) = tracer else {
            _ = registry().with(log).with(filter).try_init();
            return;
        };
        // A filter that is asked each time, and not once for a place in the code: whoever asks what is enabled without
        // saying anything then (SQLx does) would leave the answer behind, and the next span would be taken for disabled.
        let ours = dynamic_filter_fn(|of, _| of.is_span() && of.target().starts_with("freehold"));
        let traces = tracing_opentelemetry::layer().with_tracer(tracer);
        let traces = traces.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(ours);
        _ = registry().with(log.with_filter(filter)).with(traces).try_init();
    }
}
