//! `freehold man`: write the manual pages.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::exit::Exit;
use crate::output;

/// Write a manual page for each command
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold man /usr/local/share/man/man1\n  \
    freehold man ./man1 && man ./man1/freehold-tenants-offboard.1")]
pub(crate) struct ManArgs {
    /// Directory of the pages; created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(args: &ManArgs) -> anyhow::Result<Exit> {
    let shown = args.directory.display();
    fs::create_dir_all(&args.directory).with_context(|| format!("cannot create the directory {shown}"))?;
    clap_mangen::generate_to(crate::command(), &args.directory)
        .with_context(|| format!("cannot write the manual pages to {shown}"))?;
    output::print_note(format!("the manual pages are in {shown}"));
    Ok(Exit::Success)
}
