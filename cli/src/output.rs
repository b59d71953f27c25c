//! Output of commands. Data is written to stdout; messages and logs are written to stderr.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, LineStyle, Row, Table, TableStyle};
use freehold_tenancy::unicode::{escape_invisible, escape_json};
use indicatif::MultiProgress;
use serde::Serialize;

/// Progress bars at the bottom of the terminal, which are hidden while other output is written.
pub(crate) static PROGRESS_BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Table, for reading on a terminal
    Table,
    /// JSON, for programs
    Json,
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

/// Table style with a line below the headings and no other borders.
const TABLE_STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Table whose cells show control characters and invisible characters as their codes.
pub(crate) struct TextTable(Table);

impl TextTable {
    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.0.add_row(cells.into_iter().map(|cell| escape_invisible(cell.as_ref(), &LINE_CHARACTERS).into_owned()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Never wraps cells, so that ids can be copied from a narrow terminal.
    #[must_use]
    pub(crate) fn without_wrapping(mut self) -> Self {
        self.0.set_content_arrangement(ContentArrangement::Disabled);
        self
    }
}

/// Creates a table. If stdout is a terminal, the width of the table is limited to the width of the terminal.
pub(crate) fn new_table(headings: impl Into<Row>) -> TextTable {
    let mut table = Table::new();
    table.load_style(TABLE_STYLE).set_header(headings);
    // In a pipe, cells are neither truncated nor wrapped, so that `grep` works.
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    TextTable(table)
}

pub(crate) fn print_table(table: &TextTable) -> io::Result<()> {
    print_line(table.0.trim_fmt())
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
    fn output_shows_invisible_characters_by_their_codes() {
        let mut table = new_table(["company"]);
        table.add_row(["Example\u{200b} \u{202e}GmbH\u{1b}[31m"]);
        assert!(table.0.trim_fmt().contains("Example\\u{200b} \\u{202e}GmbH\\u{1b}[31m"));
        assert_eq!(LogWriter::Text.escape("a\u{202e}b\n"), "a\\u{202e}b\n");
        assert_eq!(LogWriter::Json.escape("{\"a\":\"\u{202e}\"}\n"), "{\"a\":\"\\u202e\"}\n");
    }
}
