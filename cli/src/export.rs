//! Copies a list that the API streams to stdout, line by line.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Response;

use crate::client::{ApiClient, root_cause};
use crate::exit::Exit;
use crate::output::{self, ExportFormat, PROGRESS_BARS};

/// Result of an export that ended early.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// Error of the connection.
    pub(crate) reason: String,
    /// Last complete line that was written, or an empty text.
    pub(crate) last_line: String,
    pub(crate) lines: u64,
}

impl Interrupted {
    /// Returns the error for a command that cannot resume; `hint` says how to repeat it.
    pub(crate) fn error(&self, hint: &str) -> anyhow::Error {
        Exit::Unreachable.error(format!("the export ended early after {} lines ({}); {hint}", self.lines, self.reason))
    }
}

/// Returns the media type of an export, or `None` if the format is printed from pages.
pub(crate) fn media_type(format: ExportFormat) -> Option<&'static str> {
    match format {
        ExportFormat::Ndjson => Some("application/x-ndjson"),
        ExportFormat::Csv => Some("text/csv"),
        ExportFormat::Table | ExportFormat::Json => None,
    }
}

/// Requests the export of a list and writes it to stdout.
pub(crate) async fn print_export(
    api: &ApiClient,
    path: &str,
    query: &[(&str, Option<String>)],
    media_type: &str,
) -> Result<Exit> {
    let response = api.open_export(path, query, media_type).await?;
    let result = copy_to_stdout(response).await?;
    result.map(|()| Exit::Success).map_err(|interrupted| interrupted.error("run the command again"))
}

/// Writes the body of the response to stdout, complete lines only, and shows the number of lines on stderr.
pub(crate) async fn copy_to_stdout(mut response: Response) -> Result<Result<(), Interrupted>> {
    let bar = PROGRESS_BARS.add(ProgressBar::new_spinner());
    // With an invalid template, the bar keeps its default style.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} lines") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    let (mut rest, mut last_line) = (Vec::new(), String::new());
    let result = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                rest.extend_from_slice(&chunk);
                let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
                let complete = &rest[..=end];
                output::write_export(complete)?;
                bar.inc(complete.split_inclusive(|byte| *byte == b'\n').count() as u64);
                let last = complete[..end].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                last_line = String::from_utf8_lossy(last).into_owned();
                rest.drain(..=end);
            }
            Ok(None) if rest.is_empty() => break Ok(()),
            Ok(None) => break Err("the last line is incomplete".to_owned()),
            Err(error) => break Err(root_cause(&error)),
        }
    };
    let lines = bar.position();
    bar.finish_and_clear();
    PROGRESS_BARS.remove(&bar);
    Ok(result.map_err(|reason| Interrupted { reason, last_line, lines }))
}
