//! `freehold operations bundle`: download the support bundle of an operation.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use freehold_api::schema::BundleContents;

use super::operation_path;
use crate::client::{ClientArgs, root_cause};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Download the support bundle of an operation, for a support ticket
///
/// The archive contains ids, states, times and codes, but no names of customers or people, e-mail addresses or secrets.
/// Its page index.html explains what happened. The download is on the audit trail.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations bundle op_01k2m8v3x9e7rt4s5q6w7y8z9c\n\n",
    exit_codes!(),
))]
pub(super) struct BundleArgs {
    /// Id of the operation (op_…)
    #[arg(value_name = "OPERATION")]
    id: String,
    /// File to write; it must not exist [default: the id with .zip, in the current directory]
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn download(args: BundleArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let path = format!("{}/bundle", operation_path(&args.id));
    let contents: BundleContents = api.get(&format!("{path}/contents"), &[]).await?;
    let file = args.output_file.unwrap_or_else(|| PathBuf::from(format!("{}.zip", args.id)));
    // A refusal before the download keeps the audit trail free of downloads that were thrown away.
    if file.exists() {
        return Err(exists_error(&file));
    }
    let response = api.open_export(&path, &[], "application/zip").await?;
    let archive = response.bytes().await.map_err(|error| {
        Exit::Unreachable.error(format!("the download ended early ({}); repeat the command", root_cause(&error)))
    })?;
    write_new(&file, &archive)?;
    output::print_note(format!("wrote {}", file.display()));
    for file in &contents.files {
        output::print_note(format!("  {:15} {}", file.name, file.description));
    }
    output::print_note("left out:");
    for left_out in &contents.left_out {
        output::print_note(format!("  {}", left_out.data));
    }
    if args.client.output == Format::Json {
        output::print_json(&contents)?;
    }
    Ok(Exit::Success)
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists_error(path)),
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    };
    file.write_all(content).with_context(|| format!("cannot write {}", path.display()))
}

fn exists_error(path: &Path) -> anyhow::Error {
    Exit::Usage.error(format!("{} exists already; set --output-file to another file", path.display()))
}
