//! `freehold audit`: verify the audit trail, print its public key.

use std::path::PathBuf;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use freehold_tenancy::audit::{Anchor, AnchorFile, Signer, Verifier};
use freehold_tenancy::db::{PgPool, audit, installation};
use freehold_tenancy::{Config, InstallationId};

use crate::database::{DatabaseArgs, connect};
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output;
use crate::serve::ConfigArgs;

/// Number of records that one query reads.
const PAGE_SIZE: i64 = 1000;

/// Retention that is used during verification, long enough that verification never deletes records.
const NO_RETENTION_LIMIT: TimeDelta = TimeDelta::days(365 * 1000);

const MAX_CONNECTIONS: u32 = 2;

/// Verify the audit trail (to list its entries, use GET /v1/audit-events)
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold audit verify --anchors /mnt/elsewhere/audit-anchors.jsonl")]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
    PublicKey(PublicKeyArgs),
}

/// Verify the integrity of the audit trail
///
/// Reads all records from the database and checks their hash chain, which reveals edited, removed and moved records.
/// Anchors (signed chain heads) detect a truncated or rewritten trail. Store them where database administrators cannot
/// write.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold audit verify --anchors /mnt/elsewhere/audit-anchors.jsonl\n  \
    freehold audit verify --public-key \"$AUDIT_PUBLIC_KEY\" --anchors anchors.jsonl\n\n\
    Without --public-key, the signatures of anchors must match audit.signing_key, or a key of audit.public_keys or \
    audit.old_public_keys.\n\n\
    Exit codes:\n  \
    0  the audit trail is intact\n  \
    1  the audit trail is not intact, or cannot be read\n  \
    2  invalid command line")]
pub(crate) struct VerifyArgs {
    /// File with anchors, one per line [default: audit.anchor_file of the configuration]
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// Public key to accept for anchors, in base64; repeatable [default: keys of the configuration]
    #[arg(long = "public-key", value_name = "KEY")]
    public_keys: Vec<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    log: LogArgs,
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
        AuditCommand::Verify(args) => verify(args).await,
        AuditCommand::PublicKey(args) => {
            let config = Config::load(&args.config.config)?;
            let key = config.audit.signing_key.context("audit.signing_key is not set")?;
            output::print_line(Signer::new(&key)?.public_key())?;
            Ok(Exit::Success)
        }
    }
}

async fn verify(args: VerifyArgs) -> anyhow::Result<Exit> {
    args.log.start("warn");
    let config = Config::load(&args.config.config)?;
    let pool = connect(&args.database, &config, MAX_CONNECTIONS, None).await?;
    let installation =
        installation::read(&pool).await?.context("the database has no installation; run `freehold migrate`")?;
    // Pending entries are added to the chain first, so that they are verified too.
    let now = installation.clock().now();
    audit::advance(&pool, NO_RETENTION_LIMIT, now).await?;
    let anchors = read_anchors(&args, &config, installation.id)?;
    match verify_chain(&pool, config.audit.retention(), anchors, now).await? {
        Ok(summary) => {
            output::print_line(summary)?;
            Ok(Exit::Success)
        }
        Err(defect) => {
            output::print_line(format!("the audit trail is NOT intact: {defect}"))?;
            Ok(Exit::Failure)
        }
    }
}

fn read_anchors(args: &VerifyArgs, config: &Config, id: InstallationId) -> anyhow::Result<Vec<Anchor>> {
    let Some(path) = args.anchors.as_ref().or(config.audit.anchor_file.as_ref()) else {
        output::print_note("no anchors: a truncated or rewritten trail cannot be detected (set --anchors)");
        return Ok(Vec::new());
    };
    let mut keys = args.public_keys.clone();
    if keys.is_empty() {
        keys.extend(config.audit.public_keys.iter().chain(&config.audit.old_public_keys).cloned());
        if let Some(key) = &config.audit.signing_key {
            keys.push(Signer::new(key)?.public_key());
        }
    }
    let file = AnchorFile::new(path).read(id, &keys)?;
    for line in file.incomplete_lines {
        output::print_note(format!("line {line} of {} is not a complete anchor and is ignored", path.display()));
    }
    Ok(file.anchors)
}

/// Verifies the whole audit trail. Returns a summary, or the description of the first defect.
async fn verify_chain(
    pool: &PgPool,
    retention: TimeDelta,
    anchors: Vec<Anchor>,
    now: DateTime<Utc>,
) -> anyhow::Result<Result<String, String>> {
    // The head is read first, so that records that are added during verification are ignored.
    let (head, dropped) = audit::chain_ends(pool).await?;
    let mut verifier = Verifier::new(dropped, retention, anchors);
    let mut after = dropped.position;
    loop {
        let records = audit::list(pool, &audit::AuditFilter::default(), after, PAGE_SIZE).await?;
        let records: Vec<_> = records.into_iter().filter(|record| record.position <= head.position).collect();
        let Some(last) = records.last() else { break };
        after = last.position;
        for record in &records {
            if let Err(defect) = verifier.next(record) {
                return Ok(Err(defect.to_string()));
            }
        }
    }
    Ok(verifier.end(head, now).map_err(|defect| defect.to_string()).map(|(head, anchored)| {
        let anchored = anchored.map_or_else(|| "never anchored".to_owned(), |at| format!("anchored up to {at}"));
        let (from, hash) = (dropped.position + 1, head.hash_text());
        format!("the audit trail is intact: records from {from} to {}, {anchored}; head {hash}", head.position)
    }))
}
