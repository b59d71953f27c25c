//! Logs: to stderr, as text or JSON, as much as `FREEHOLD_LOG` asks for.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

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
        let asked = std::env::var("FREEHOLD_LOG").ok().filter(|text| !text.is_empty());
        // That a connection goes with its server, at the end of a sandbox, is no news.
        let usual = &format!("{usual},sqlx_core::pool=error");
        let filter = asked.map_or_else(|| Ok(EnvFilter::new(usual)), |text| text.parse::<EnvFilter>());
        let filter = filter.unwrap_or_else(|error| {
            note(format!("FREEHOLD_LOG is not understood ({error}); logging {usual}"));
            EnvFilter::new(usual)
        });
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LogWriter);
        // It fails where a log is there already, which is as good.
        _ = match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
    }
}
