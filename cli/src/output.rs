//! What goes to the terminal or the pipe: data to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, LineStyle, Row, Table, TableStyle};
use indicatif::MultiProgress;
use serde::Serialize;

/// The progress bars at the bottom of the terminal; whatever else is written steps around them.
pub(crate) static SCREEN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table, for people.
    Table,
    /// JSON as the API has it, for programs.
    Json,
}

/// Writes a line of data.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    SCREEN.suspend(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_ref().as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    })
}

/// Writes data as JSON, on several lines for people and on one for programs that read line by line.
pub(crate) fn json(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(data)?)?)
}

/// Writes data as one line of JSON.
pub(crate) fn json_line(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(data)?)?)
}

/// Writes a message that is not data.
pub(crate) fn note(text: impl AsRef<str>) {
    SCREEN.suspend(|| {
        // Whoever reads messages may have gone away; the work goes on.
        _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    });
}

/// Blanks between the columns, a line below the headings.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with these headings, as wide as the terminal.
pub(crate) fn table(headings: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(headings);
    // In a pipe nothing is cut or wrapped, so that `grep` finds it.
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Writes a table.
pub(crate) fn show(table: &Table) -> io::Result<()> {
    line(table.trim_fmt())
}

/// Writes logs around the progress bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        SCREEN.suspend(|| io::stderr().lock().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
