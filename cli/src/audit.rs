//! `freehold audit`: the audit trail, and whether it is as it was written.

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

/// How many records are read at a time.
const AT_ONCE: i64 = 1000;

/// Nothing is dropped by who only looks.
const NO_RETENTION_LIMIT: TimeDelta = TimeDelta::days(365 * 1000);

/// Connections to the database.
const CONNECTIONS: u32 = 2;

/// The audit trail: who did what, in one chain (GET /v1/audit-events reads it)
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

/// Find out whether the audit trail is as it was written
///
/// Reads every record in the database and follows the chain of their hashes: a record that was edited, removed or put elsewhere
/// breaks it. That the end was cut off, or all of it written anew, is told by the anchors, the signed heads of before; so keep
/// those where whoever can write to the database cannot.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold audit verify --anchors /mnt/elsewhere/audit-anchors.jsonl\n  \
    freehold audit verify --public-key \"$AUDIT_PUBLIC_KEY\" --anchors anchors.jsonl\n\n\
    Without --public-key, anchors have to be signed with signing_key of [audit] or one of its old_public_keys.\n\n\
    Exit codes:\n  \
    0  the trail is as it was written\n  \
    1  it is not, or could not be read\n  \
    2  the command line is wrong")]
pub(crate) struct VerifyArgs {
    /// Signed heads, a line each; anchor_file of [audit] if left out
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// A key, in base64, that may have signed them; may be given more than once
    #[arg(long = "public-key", value_name = "KEY")]
    public_keys: Vec<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Print the public key of signing_key of [audit], in base64
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
            let key = config.audit.signing_key.context("signing_key of [audit] is not set")?;
            output::line(Signer::new(&key)?.public_key())?;
            Ok(Exit::Done)
        }
    }
}

async fn verify(args: VerifyArgs) -> anyhow::Result<Exit> {
    args.log.begin("warn");
    let config = Config::load(&args.config.config)?;
    let pool = connect(&args.database, &config, CONNECTIONS).await?;
    let installation = installation::read(&pool).await?.context("the database belongs to no installation yet")?;
    // What has happened is chained first, so that it is verified too.
    let now = installation.clock().now();
    audit::advance(&pool, NO_RETENTION_LIMIT, now).await?;
    let anchors = anchors(&args, &config, installation.id)?;
    match walk(&pool, config.audit.kept_for(), anchors, now).await? {
        Ok(told) => {
            output::line(told)?;
            Ok(Exit::Done)
        }
        Err(flaw) => {
            output::line(format!("NOT as it was written: {flaw}"))?;
            Ok(Exit::Failed)
        }
    }
}

fn anchors(args: &VerifyArgs, config: &Config, id: InstallationId) -> anyhow::Result<Vec<Anchor>> {
    let Some(path) = args.anchors.as_ref().or(config.audit.anchor_file.as_ref()) else {
        output::note("no anchors: that the end was cut off, or all of it written anew, cannot be told (--anchors)");
        return Ok(Vec::new());
    };
    let mut keys = args.public_keys.clone();
    if keys.is_empty() {
        keys.clone_from(&config.audit.old_public_keys);
        if let Some(key) = &config.audit.signing_key {
            keys.push(Signer::new(key)?.public_key());
        }
    }
    let kept = AnchorFile::new(path).read(id, &keys)?;
    for line in kept.torn {
        output::note(format!("line {line} of {} is not an anchor and is left out", path.display()));
    }
    Ok(kept.anchors)
}

/// Goes over the whole trail, and tells in a sentence that it is sound, or what is not.
async fn walk(
    pool: &PgPool,
    kept_for: TimeDelta,
    anchors: Vec<Anchor>,
    now: DateTime<Utc>,
) -> anyhow::Result<Result<String, String>> {
    // The end first: what comes in meanwhile is none of it.
    let (head, dropped) = audit::ends(pool).await?;
    let mut verifier = Verifier::new(dropped, kept_for, anchors);
    let mut after = dropped.position;
    loop {
        let records = audit::list(pool, &audit::AuditFilter::default(), after, AT_ONCE).await?;
        let records: Vec<_> = records.into_iter().filter(|record| record.position <= head.position).collect();
        let Some(last) = records.last() else { break };
        after = last.position;
        for record in &records {
            if let Err(flaw) = verifier.next(record) {
                return Ok(Err(flaw.to_string()));
            }
        }
    }
    Ok(verifier.end(head, now).map_err(|flaw| flaw.to_string()).map(|(head, anchored)| {
        let anchored = anchored.map_or_else(|| "never anchored".to_owned(), |at| format!("anchored up to {at}"));
        let (from, hash) = (dropped.position + 1, head.hash_text());
        format!(
            "the audit trail is as it was written, from {from} to {}, {anchored}; its head is {hash}",
            head.position
        )
    }))
}
