//! Output of commands. Data is written to stdout; messages and logs are written to stderr.

mod table;

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use clap::ValueEnum;
use freehold_tenancy::unicode::{escape_invisible, escape_json};
use indicatif::MultiProgress;
use serde::Serialize;

pub(crate) use table::{TextTable, new_table, print_table, set_wide_tables};

/// Progress bars at the bottom of the terminal, which are hidden while other output is written.
pub(crate) static PROGRESS_BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Table, for reading on a terminal
    Table,
    /// JSON, for programs
    Json,
}

/// Output format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Table, for reading on a terminal
    Table,
    /// JSON, for programs
    Json,
    /// One JSON object per line
    Ndjson,
}

/// Output format of a list that the API exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Table, for reading on a terminal
    Table,
    /// JSON, for programs
    Json,
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values, for spreadsheets
    Csv,
}

/// Characters that text output keeps although they are control characters.
const LINE_CHARACTERS: [char; 2] = ['\n', '\t'];

/// Writes a line to stdout. Control characters and invisible characters are shown as their codes, because names come
/// from outside and can make a terminal show another text.
pub(crate) fn print_line(text: impl AsRef<str>) -> io::Result<()> {
    write_line(&escape_invisible(text.as_ref(), &LINE_CHARACTERS))
}

fn write_line(text: &str) -> io::Result<()> {
    PROGRESS_BARS.suspend(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    })
}

/// Writes a named value to stdout, aligned with other fields.
pub(crate) fn print_field(name: &str, value: impl Display) -> io::Result<()> {
    print_line(format!("{name:17} {value}").trim_end())
}

/// Writes indented JSON to stdout.
pub(crate) fn print_json(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(write_line(&escape_json(&serde_json::to_string_pretty(data)?))?)
}

/// Writes one line of JSON to stdout, for programs that read line by line.
pub(crate) fn print_json_line(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(write_line(&escape_json(&serde_json::to_string(data)?))?)
}

/// Writes a list to stdout. `to_table` is called only for the table format.
pub(crate) fn print_list<T: Serialize>(
    records: &[T],
    format: ListFormat,
    to_table: impl FnOnce(&[T]) -> TextTable,
) -> anyhow::Result<()> {
    match format {
        ListFormat::Table => Ok(print_table(&to_table(records))?),
        ListFormat::Json => print_json(&records),
        ListFormat::Ndjson => records.iter().try_for_each(print_json_line),
    }
}

/// Writes lines of an export to stdout. A file or a pipe gets the exact bytes, because they are signed or parsed; on a
/// terminal, invisible characters are shown as their codes.
pub(crate) fn write_export(lines: &[u8]) -> io::Result<()> {
    PROGRESS_BARS.suspend(|| {
        let mut stdout = io::stdout().lock();
        if stdout.is_terminal() {
            let text = String::from_utf8_lossy(lines);
            stdout.write_all(escape_invisible(&text, &['\n', '\r', '\t']).as_bytes())?;
        } else {
            stdout.write_all(lines)?;
        }
        stdout.flush()
    })
}

/// Writes a message to stderr.
pub(crate) fn print_note(text: impl AsRef<str>) {
    PROGRESS_BARS.suspend(|| {
        // The command continues if the reader of stderr has closed the pipe.
        _ = writeln!(io::stderr().lock(), "{}", escape_invisible(text.as_ref(), &LINE_CHARACTERS));
    });
}

/// Writes a question to stderr, without a line break.
pub(crate) fn print_prompt(text: &str) {
    PROGRESS_BARS.suspend(|| {
        let mut stderr = io::stderr().lock();
        _ = write!(stderr, "{}", escape_invisible(text, &LINE_CHARACTERS));
        _ = stderr.flush();
    });
}

/// Log writer that hides the progress bars while it writes to stderr. Each write is one line of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LogWriter {
    /// Lines of text, in which invisible characters are shown as their codes
    Text,
    /// Lines of JSON, in which invisible characters are escaped
    Json,
}

impl LogWriter {
    fn escape(self, line: &str) -> Cow<'_, str> {
        match self {
            // The log format escapes control characters itself, and uses them for colours.
            Self::Text => escape_invisible(line, &['\n', '\t', '\u{1b}']),
            Self::Json => escape_json(line),
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(text);
        PROGRESS_BARS.suspend(|| io::stderr().lock().write_all(self.escape(&line).as_bytes()))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_show_invisible_characters_by_their_codes() {
        assert_eq!(LogWriter::Text.escape("a\u{202e}b\n"), "a\\u{202e}b\n");
        assert_eq!(LogWriter::Json.escape("{\"a\":\"\u{202e}\"}\n"), "{\"a\":\"\\u202e\"}\n");
    }
}
