//! Report of a residency proof on a terminal.

use freehold_tenancy::residency_proof::{Block, ProofDocument, format_time, sections, verdict};

use crate::output;

/// Prints the report of a proof.
pub(super) fn print(document: &ProofDocument) -> anyhow::Result<()> {
    output::print_line(format!("{}\n", verdict(document)))?;
    if !document.reasons.is_empty() {
        print_block(&Block::List(document.reasons.clone()))?;
    }
    output::print_line(format!("Observed at {}.\n", format_time(document.observed_at)))?;
    for section in sections(document) {
        output::print_line(format!("# {}\n", section.title))?;
        for block in &section.blocks {
            print_block(block)?;
        }
    }
    Ok(())
}

fn print_block(block: &Block) -> anyhow::Result<()> {
    match block {
        Block::Paragraph(text) | Block::Verbatim(text) => output::print_line(text)?,
        Block::List(items) => {
            for item in items {
                output::print_line(format!("- {item}"))?;
            }
        }
        Block::Table { headings, rows } => {
            let mut table = output::new_table(headings.clone());
            for row in rows {
                table.add_row(row);
            }
            output::print_table(&table)?;
        }
    }
    Ok(output::print_line("")?)
}
