//! `freehold audit`: list, export and verify the audit trail, print its public key.

mod list;
mod verify;
mod verify_file;

use anyhow::Context;
use clap::{Args, Subcommand};
use freehold_tenancy::Config;
use freehold_tenancy::audit::Signer;

use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;

/// List, export and verify the audit trail
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold audit list --actor ann --from 2026-11-01\n  \
    freehold audit list --output ndjson > export.ndjson\n  \
    freehold audit verify --file export.ndjson\n  \
    freehold audit verify --anchors /mnt/elsewhere/audit-anchors.jsonl")]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    List(Box<list::ListArgs>),
    Verify(verify::VerifyArgs),
    PublicKey(PublicKeyArgs),
}

/// Print, in base64, the public key that belongs to audit.signing_key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold audit public-key --config freehold.toml")]
pub(crate) struct PublicKeyArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) async fn run(args: AuditArgs) -> anyhow::Result<Exit> {
    match args.command {
        AuditCommand::List(args) => list::run(*args).await,
        AuditCommand::Verify(args) => verify::run(args).await,
        AuditCommand::PublicKey(args) => {
            let config = Config::load(&args.config.config)?;
            let key = config.audit.signing_key.context("audit.signing_key is not set")?;
            output::print_line(Signer::new(&key)?.public_key())?;
            Ok(Exit::Success)
        }
    }
}
