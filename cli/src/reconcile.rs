//! `freehold reconcile`: compares AWS with the database once and says what is not as it should be.

use std::sync::Arc;

use clap::Args;
use freehold_api::schema::Finding;
use freehold_tenancy::Config;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, AuditWriter};
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_worker::Worker;
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::limits::Limits;
use freehold_worker::reconcile::{RepairMode, Report};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::database::{DatabaseArgs, open};
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output::{self, Format};
#[cfg(feature = "sandbox")]
use crate::sandbox::SimulatedAwsArgs;
use crate::serve::ConfigArgs;
use crate::shutdown;

/// Connections to the database: one for what is read and written, the others for AWS's rates.
const CONNECTIONS: u32 = 5;

/// Compare AWS with the database once, and say what is not as it should be
///
/// Reads the organisation, Identity Center and each tenant's stacks, at no more than half of the rates that AWS allows, and
/// changes nothing in AWS. What it finds is kept, as what the workers find by themselves (interval_seconds of [reconcile]) is,
/// and is also at GET /v1/findings. It needs what a worker needs: PostgreSQL, and AWS credentials that may assume the
/// control role.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold reconcile\n  \
    freehold reconcile --output json | jq '.findings[] | select(.severity == \"critical\")'\n  \
    freehold reconcile --repair\n\n\
    --repair begins a repair of each environment where that is safe: an account in the wrong OU, a\n\
    declared assignment or a stack that is missing. The workers carry it out. All else waits for a\n\
    person; each finding says what to do.\n\n\
    Exit codes:\n  \
    0  nothing is wrong\n  \
    1  something is wrong, or could not be looked at\n  \
    2  the command line is wrong")]
pub(crate) struct ReconcileArgs {
    /// Begin a repair wherever that is safe
    #[arg(long)]
    repair: bool,
    /// How the report is shown
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    log: LogArgs,
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    stand_in: SimulatedAwsArgs,
}

/// The report as programs read it.
#[derive(Debug, Serialize)]
struct Shown {
    clean: bool,
    accounts: usize,
    environments: usize,
    seconds: f64,
    findings: Vec<ShownFinding>,
    resolved: u64,
    unseen: Vec<Unseen>,
}

#[derive(Debug, Serialize)]
struct ShownFinding {
    new: bool,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Debug, Serialize)]
struct Unseen {
    aws_account_id: String,
    why: String,
}

pub(crate) async fn run(args: ReconcileArgs) -> anyhow::Result<Exit> {
    // What is found is told on stdout; the log would tell it once more.
    args.log.begin("off");
    let shutdown = shutdown::asked()?;
    #[cfg(feature = "sandbox")]
    if let Some(config) = args.stand_in.config(&args.config)? {
        let connection = args.stand_in.connection()?;
        let (pool, installation) = open(&args.database, &config, InstallationKind::Sandbox, CONNECTIONS).await?;
        return compare(&args, pool, config, &installation, connection, &shutdown).await;
    }
    let config = Config::load(&args.config.config)?;
    let connection = Connection::ambient().await?;
    let (pool, installation) = open(&args.database, &config, InstallationKind::Real, CONNECTIONS).await?;
    compare(&args, pool, config, &installation, connection, &shutdown).await
}

async fn compare(
    args: &ReconcileArgs,
    pool: PgPool,
    config: Config,
    installation: &Installation,
    connection: Connection,
    shutdown: &CancellationToken,
) -> anyhow::Result<Exit> {
    let (config, clock) = (Arc::new(config), installation.clock());
    let limits = Arc::new(Limits::new(pool.clone(), clock.clone(), config.quotas.clone()));
    let aws = Aws::connect(Arc::clone(&config), clock.clone(), Some(limits), connection);
    let audit_writer = AuditWriter::new(pool.clone(), clock.clone());
    let worker = Worker::new("reconcile", pool, Arc::clone(&config), clock, installation, Arc::new(aws))?;
    let reconciler = worker.reconciler();
    let report = if args.repair {
        let begun = audit_writer.begin(&repair_entry(), None).await?;
        let came = reconciler.run_once(RepairMode::All, shutdown).await;
        let result = if came.is_ok() { AuditResult::Succeeded } else { AuditResult::Failed };
        audit_writer.end(begun, &AuditOutcome::of(result)).await;
        audit_writer.chain_now(&config.audit).await?;
        came?
    } else {
        reconciler.run_once(RepairMode::Off, shutdown).await?
    };
    let exit = if report.is_clean() { Exit::Done } else { Exit::Failed };
    match args.output {
        Format::Json => output::json(&shown(report))?,
        Format::Table => show(&report)?,
    }
    Ok(exit)
}

/// What the audit trail says of it.
fn repair_entry() -> AuditEntry {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty() && !user.contains(char::is_control));
    let process = user.map_or_else(|| "freehold reconcile".to_owned(), |user| format!("freehold reconcile, as {user}"));
    AuditEntry::new(AuditKind::Command, "reconcile --repair", Actor::Process { process })
}

fn show(report: &Report) -> std::io::Result<()> {
    if !report.findings.is_empty() {
        let mut table = output::table(["severity", "finding", "account", "what is wrong", "remedy"]);
        for one in &report.findings {
            let finding = &one.finding;
            let account = finding.aws_account_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let remedy = finding.operation_id.map_or_else(|| finding.remedy.to_string(), |id| id.to_string());
            table.add_row([finding.severity.as_str(), finding.kind.as_str(), &account, &finding.message, &remedy]);
        }
        output::show(&table)?;
        output::line("")?;
    }
    for (account, why) in &report.unseen {
        output::line(format!("could not be looked at: account {account}: {why}"))?;
    }
    let new = report.findings.iter().filter(|one| one.is_new).count();
    output::line(format!(
        "{} accounts and {} environments compared in {:.0} s: {} findings, {new} of them new; {} earlier ones are gone",
        report.accounts,
        report.environments,
        (report.finished_at - report.started_at).as_seconds_f64(),
        report.findings.len(),
        report.resolved,
    ))
}

fn shown(report: Report) -> Shown {
    let clean = report.is_clean();
    let unseen = report.unseen.into_iter();
    let findings = report.findings.into_iter();
    Shown {
        clean,
        accounts: report.accounts,
        environments: report.environments,
        seconds: (report.finished_at - report.started_at).as_seconds_f64(),
        findings: findings.map(|one| ShownFinding { new: one.is_new, finding: one.finding.into() }).collect(),
        resolved: report.resolved,
        unseen: unseen.map(|(account, why)| Unseen { aws_account_id: account.to_string(), why }).collect(),
    }
}
