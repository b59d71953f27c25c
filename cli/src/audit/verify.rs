//! `freehold audit verify`: verify the audit trail.

use std::path::PathBuf;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use freehold_tenancy::audit::{Anchor, AnchorFile, ChainHead, Signer, Verifier};
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_tenancy::db::{PgPool, audit, installation};
use freehold_tenancy::{Clock, Config, InstallationId};

use super::verify_file;
use crate::database::{DatabaseArgs, connect};
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output;
use crate::serve::ConfigArgs;

/// Number of records that one query reads.
const PAGE_SIZE: i64 = 1000;

const MAX_CONNECTIONS: u32 = 2;

/// Verify the integrity of the audit trail
///
/// Reads all records from the database and checks their hash chain, which reveals edited, removed and moved records.
/// Anchors (signed chain heads) detect a truncated or rewritten trail. Store them where database administrators cannot
/// write.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold audit verify --anchors /mnt/elsewhere/audit-anchors.jsonl\n  \
    freehold audit verify --public-key \"$AUDIT_PUBLIC_KEY\" --anchors anchors.jsonl\n  \
    freehold audit verify --file export.ndjson\n\n\
    Without --public-key, the signatures of anchors must match audit.signing_key, or a key of audit.public_keys or \
    audit.old_public_keys.\n\n\
    The installation is audit.installation_id or --installation, or else the one that all anchors name; it is never \
    taken from the database.\n\n\
    Exit codes:\n  \
    0  the audit trail is intact\n  \
    1  the audit trail is not intact, or cannot be read\n  \
    2  invalid command line")]
pub(super) struct VerifyArgs {
    /// Verify this export of `freehold audit list --output ndjson` instead of the database
    ///
    /// Needs neither configuration nor database. Prints the last position with its hash, to compare with an anchor.
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["anchors", "public_keys", "installation", "former_retention_days", "sandbox"]
    )]
    file: Option<PathBuf>,
    /// Accept missing positions in the file, because it was exported with filters
    #[arg(long, requires = "file")]
    filtered: bool,
    /// File with anchors, one per line [default: audit.anchor_file of the configuration]
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// Public key to accept for anchors, in base64; repeatable [default: keys of the configuration]
    #[arg(long = "public-key", value_name = "KEY")]
    public_keys: Vec<String>,
    /// Id of the installation [default: audit.installation_id of the configuration]
    #[arg(long, value_name = "ID")]
    installation: Option<InstallationId>,
    /// Former value of audit.retention_days, if it was lower
    ///
    /// Accepts that records were deleted after this period, if the record about the deletion names the same period.
    #[arg(long, value_name = "DAYS")]
    former_retention_days: Option<u32>,
    /// Accept the database of a sandbox, whose clock is simulated
    #[arg(long)]
    sandbox: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Anchors from outside the database.
struct Anchors {
    anchors: Vec<Anchor>,
    /// Whether a file of anchors was given.
    is_given: bool,
}

pub(super) async fn run(args: VerifyArgs) -> anyhow::Result<Exit> {
    if let Some(file) = &args.file {
        return verify_file::run(file, args.filtered);
    }
    args.log.start("warn");
    let config = Config::load(&args.config.config)?;
    let mut defects = Vec::new();
    let anchors = read_anchors(&args, &config, &mut defects)?;
    let expected = expected_installation(&args, &config, &anchors)?;
    for anchor in anchors.anchors.iter().filter(|anchor| anchor.installation != expected) {
        let (position, other) = (anchor.head.position, anchor.installation);
        defects.push(format!("the anchor at position {position} belongs to installation {other}, not to {expected}"));
    }
    let pool = connect(&args.database, &config, MAX_CONNECTIONS, None).await?;
    let installation =
        installation::read(&pool).await?.context("the database has no installation; run `freehold migrate`")?;
    if installation.id != expected {
        defects.push(format!("the database belongs to installation {}, not to {expected}", installation.id));
    }
    let summary = verify_database(&pool, &args, &config, &installation, anchors, &mut defects).await?;
    for defect in &defects {
        output::print_line(format!("the audit trail is NOT intact: {defect}"))?;
    }
    if !defects.is_empty() {
        return Ok(Exit::Failure);
    }
    output::print_line(summary)?;
    Ok(Exit::Success)
}

/// Returns the id of the installation from outside the database: an attacker who can write to the database can change
/// the id there.
fn expected_installation(args: &VerifyArgs, config: &Config, anchors: &Anchors) -> anyhow::Result<InstallationId> {
    let from_anchors = || anchors.anchors.first().map(|anchor| anchor.installation);
    args.installation.or(config.audit.installation_id).or_else(from_anchors).context(
        "the installation to verify is not known; set audit.installation_id or --installation, as `freehold migrate` \
         has printed it, or --anchors",
    )
}

fn read_anchors(args: &VerifyArgs, config: &Config, defects: &mut Vec<String>) -> anyhow::Result<Anchors> {
    let Some(path) = args.anchors.as_ref().or(config.audit.anchor_file.as_ref()) else {
        output::print_note("no anchors: a truncated or rewritten trail cannot be detected (set --anchors)");
        return Ok(Anchors { anchors: Vec::new(), is_given: false });
    };
    let mut keys = args.public_keys.clone();
    if keys.is_empty() {
        keys.extend(config.audit.public_keys.iter().chain(&config.audit.old_public_keys).cloned());
        if let Some(key) = &config.audit.signing_key {
            keys.push(Signer::new(key)?.public_key());
        }
    }
    let file = AnchorFile::new(path).read(&keys)?;
    let path = path.display();
    for line in file.unsigned_lines {
        defects.push(format!(
            "line {line} of {path} was not signed with the configured key, or was changed after it was signed"
        ));
    }
    for line in file.malformed_lines {
        defects.push(format!("line {line} of {path} is not an anchor"));
    }
    if let Some(line) = file.incomplete_last_line {
        output::print_note(format!("line {line} of {path} is the last one and not a complete anchor; it is ignored"));
    }
    Ok(Anchors { anchors: file.anchors.into_iter().map(|(_, anchor)| anchor).collect(), is_given: true })
}

/// Adds each defect of the database to `defects`. Returns a summary for an intact trail.
async fn verify_database(
    pool: &PgPool,
    args: &VerifyArgs,
    config: &Config,
    installation: &Installation,
    anchors: Anchors,
    defects: &mut Vec<String>,
) -> anyhow::Result<String> {
    let is_sandbox = installation.kind == InstallationKind::Sandbox;
    if is_sandbox && !args.sandbox {
        defects.push(
            "the database says that it belongs to a sandbox, so its clock is not trusted; if it does, add --sandbox"
                .to_owned(),
        );
    }
    let beyond_head = audit::count_beyond_head(pool).await?;
    if beyond_head > 0 {
        defects.push(format!("{beyond_head} records are beyond the head; Freehold did not write them"));
    }
    // Pending entries are added to the chain first, so that they are verified too.
    let clock = if is_sandbox && args.sandbox { installation.clock() } else { Clock::real() };
    let now = clock.now();
    audit::advance(pool, now).await?;
    let status = audit::status(pool).await?;
    if status.strays > 0 {
        defects.push(format!(
            "Freehold has moved {} rows that it did not write to audit_strays; examine them, then delete them there",
            status.strays
        ));
    }
    let (stored, configured) = (status.retention_days, config.audit.retention_days);
    if let Some(days) = stored.filter(|days| i64::from(*days) < i64::from(configured)) {
        defects.push(format!(
            "the database deletes records after {days} days, not after {configured} (audit.retention_days); run \
             `freehold migrate`, which stores the retention"
        ));
    }
    let is_given = anchors.is_given;
    let verifier = |dropped| {
        Verifier::new(dropped, config.audit.retention(), anchors.anchors)
            .with_former_retention_days(args.former_retention_days)
    };
    match verify_chain(pool, verifier, now).await? {
        Ok((from, head, anchored)) => {
            if anchored.is_none() && is_given {
                defects.push("no anchor covers the trail: all its anchors are missing, or it has none".to_owned());
            }
            let anchored = anchored.map_or_else(|| "never anchored".to_owned(), |at| format!("anchored up to {at}"));
            let (to, hash) = (head.position, head.hash_text());
            Ok(format!("the audit trail is intact: records from {from} to {to}, {anchored}; head {hash}"))
        }
        Err(defect) => {
            defects.push(defect);
            Ok(String::new())
        }
    }
}

/// Verifies the whole audit trail. Returns the first position, the head and the position of the last anchor, or the
/// description of the first defect.
async fn verify_chain(
    pool: &PgPool,
    verifier: impl FnOnce(ChainHead) -> Verifier,
    now: DateTime<Utc>,
) -> anyhow::Result<Result<(i64, ChainHead, Option<i64>), String>> {
    // The head is read first, so that records that are added during verification are ignored.
    let (head, dropped) = audit::chain_ends(pool).await?;
    let mut verifier = verifier(dropped);
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
    let end = verifier.end(head, now).map_err(|defect| defect.to_string());
    Ok(end.map(|(head, anchored)| (dropped.position + 1, head, anchored)))
}
