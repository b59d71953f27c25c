//! Output of commands. Data is written to stdout; messages and logs are written to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, LineStyle, Row, Table, TableStyle};
use indicatif::MultiProgress;
use serde::Serialize;

/// Progress bars at the bottom of the terminal, which are hidden while other output is written.
pub(crate) static PROGRESS_BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Table, for reading on a terminal
    Table,
    /// JSON in the format of the API
    Json,
}

/// Writes a line to stdout.
pub(crate) fn print_line(text: impl AsRef<str>) -> io::Result<()> {
    PROGRESS_BARS.suspend(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_ref().as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    })
}

/// Writes a named value to stdout, aligned with other fields.
pub(crate) fn print_field(name: &str, value: impl Display) -> io::Result<()> {
    print_line(format!("{name:14} {value}").trim_end())
}

/// Writes indented JSON to stdout.
pub(crate) fn print_json(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(print_line(serde_json::to_string_pretty(data)?)?)
}

/// Writes one line of JSON to stdout, for programs that read line by line.
pub(crate) fn print_json_line(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(print_line(serde_json::to_string(data)?)?)
}

/// Writes a message to stderr.
pub(crate) fn print_note(text: impl AsRef<str>) {
    PROGRESS_BARS.suspend(|| {
        // The command continues if the reader of stderr has closed the pipe.
        _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    });
}

/// Table style with a line below the headings and no other borders.
const TABLE_STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Creates a table. If stdout is a terminal, the width of the table is limited to the width of the terminal.
pub(crate) fn new_table(headings: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(TABLE_STYLE).set_header(headings);
    // In a pipe, cells are neither truncated nor wrapped, so that `grep` works.
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

pub(crate) fn print_table(table: &Table) -> io::Result<()> {
    print_line(table.trim_fmt())
}

/// Log writer that hides the progress bars while it writes to stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        PROGRESS_BARS.suspend(|| io::stderr().lock().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
