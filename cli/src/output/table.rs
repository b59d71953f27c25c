//! Tables: aligned columns, or one block of lines per record where the terminal is too narrow for the columns.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{Cell, LineStyle, Row, Table, TableStyle};
use freehold_tenancy::unicode::escape_invisible;

use super::{LINE_CHARACTERS, print_line};

/// Whether tables keep their columns on a terminal that is too narrow for them.
static HAS_WIDE_TABLES: AtomicBool = AtomicBool::new(false);

/// Table style with a line below the headings and no other borders.
const TABLE_STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Table whose cells show control characters and invisible characters as their codes. Cells are never wrapped or cut,
/// so that ids can be copied and `grep` finds them.
pub(crate) struct TextTable(Table);

impl TextTable {
    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.0.add_row(cells.into_iter().map(|cell| escape_invisible(cell.as_ref(), &LINE_CHARACTERS).into_owned()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Formats the table with its columns, or as blocks if it is wider than `max_width`.
    fn format(&self, max_width: Option<usize>) -> String {
        let columns = self.0.trim_fmt();
        // The line below the headings is as wide as the table, and each of its characters is one column wide.
        let width = columns.lines().nth(1).map_or(0, |line| line.chars().count());
        if self.is_empty() || max_width.is_none_or(|max| width <= max) { columns } else { self.format_blocks() }
    }

    /// Formats each record as a block of lines with a heading and a value each.
    fn format_blocks(&self) -> String {
        let headings: Vec<_> = self.0.header().into_iter().flat_map(Row::cell_iter).map(Cell::content).collect();
        let blocks = self.0.row_iter().map(|row| {
            let lines = headings.iter().zip(row.cell_iter());
            let lines = lines.map(|(heading, cell)| format!("{heading}: {}", cell.content().replace('\n', "\n  ")));
            lines.collect::<Vec<_>>().join("\n")
        });
        blocks.collect::<Vec<_>>().join("\n\n")
    }
}

/// Sets whether tables keep their columns on a terminal that is too narrow for them.
pub(crate) fn set_wide_tables(wide: bool) {
    HAS_WIDE_TABLES.store(wide, Ordering::Relaxed);
}

pub(crate) fn new_table(headings: impl Into<Row>) -> TextTable {
    let mut table = Table::new();
    table.load_style(TABLE_STYLE).set_header(headings);
    TextTable(table)
}

/// Prints a table. On a terminal that is narrower than the table, prints a block of lines for each record, unless wide
/// tables are set.
pub(crate) fn print_table(table: &TextTable) -> io::Result<()> {
    let max_width = if HAS_WIDE_TABLES.load(Ordering::Relaxed) { None } else { terminal_width(table) };
    print_line(table.format(max_width))
}

/// Returns the width of the terminal in columns, or `None` if stdout is no terminal or its width is unknown.
fn terminal_width(table: &TextTable) -> Option<usize> {
    let width = if io::stdout().is_terminal() { table.0.width() } else { None };
    width.map(usize::from).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_show_invisible_characters_by_their_codes() {
        let mut table = new_table(["company"]);
        table.add_row(["Example\u{200b} \u{202e}GmbH\u{1b}[31m"]);
        assert!(table.format(None).contains("Example\\u{200b} \\u{202e}GmbH\\u{1b}[31m"));
    }

    #[test]
    fn a_table_that_does_not_fit_is_printed_as_blocks() {
        let mut table = new_table(["tenant", "company"]);
        table.add_row(["ten_1", "例 GmbH"]);
        table.add_row(["ten_2", "Two\nlines"]);
        let columns = table.format(None);
        let width = columns.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(table.format(Some(width)), columns);
        let blocks = "tenant: ten_1\ncompany: 例 GmbH\n\ntenant: ten_2\ncompany: Two\n  lines";
        assert_eq!(table.format(Some(width - 1)), blocks);
        assert_eq!(new_table(["tenant"]).format(Some(1)), new_table(["tenant"]).format(None));
    }
}
