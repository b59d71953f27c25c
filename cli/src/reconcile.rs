//! `freehold reconcile`: compare AWS with the database once and report the differences.

use std::sync::Arc;

use clap::Args;
use freehold_api::schema::Finding;
use freehold_tenancy::Config;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, AuditWriter};
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_tenancy::db::login::Process;
use freehold_worker::Worker;
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::limits::AwsRateLimiter;
use freehold_worker::reconcile::{RepairMode, Report};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::database::{DatabaseArgs, Login, connect_and_check};
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output::{self, Format};
#[cfg(feature = "sandbox")]
use crate::sandbox::SimulatedAwsArgs;
use crate::serve::ConfigArgs;
use crate::shutdown;

/// Maximum number of database connections. One reads and writes data; the others are for the rate limits of AWS calls.
const MAX_CONNECTIONS: u32 = 5;

/// Compare AWS with the database once and report the differences
///
/// Reads the organisation, Identity Center and the stacks of all tenants, with at most half of the AWS rate limits, and
/// changes nothing in AWS. The findings are stored, like those of the periodic comparison by the workers
/// (reconcile.interval_seconds), and listed by GET /v1/findings. Needs PostgreSQL, and AWS credentials that may
/// assume the control role.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold reconcile\n  \
    freehold reconcile --output json | jq '.findings[] | select(.severity == \"critical\")'\n  \
    freehold reconcile --repair\n\n\
    --repair starts a repair operation for each finding that is safe to repair: an account in the wrong OU, \
    a missing assignment or a missing stack. The workers run it. All other findings need a person; each finding \
    says what to do.\n\n\
    Exit codes:\n  \
    0  no findings\n  \
    1  there are findings, or an account could not be read\n  \
    2  invalid command line")]
pub(crate) struct ReconcileArgs {
    /// Start a repair operation for each finding that is safe to repair
    #[arg(long)]
    repair: bool,
    /// Format of the output
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
    simulated_aws: SimulatedAwsArgs,
}

/// Reconcile report in the format of `--output json`.
#[derive(Debug, Serialize)]
struct ReportJson {
    clean: bool,
    accounts: usize,
    environments: usize,
    seconds: f64,
    findings: Vec<FindingJson>,
    resolved: usize,
    unseen: Vec<UnreadAccount>,
}

#[derive(Debug, Serialize)]
struct FindingJson {
    new: bool,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Debug, Serialize)]
struct UnreadAccount {
    aws_account_id: String,
    why: String,
}

pub(crate) async fn run(args: ReconcileArgs) -> anyhow::Result<Exit> {
    // Findings are printed to stdout; logging would repeat them.
    args.log.start("off");
    let shutdown = shutdown::listen_for_signals()?;
    let login = Login::Process(Process::Worker);
    #[cfg(feature = "sandbox")]
    if let Some(config) = args.simulated_aws.config(&args.config)? {
        let connection = args.simulated_aws.connection()?;
        let (pool, installation) =
            connect_and_check(&args.database, &config, InstallationKind::Sandbox, MAX_CONNECTIONS, login).await?;
        return compare(&args, pool, config, &installation, connection, &shutdown).await;
    }
    let config = config::load(&args.config.config)?;
    let connection = Connection::from_environment().await?;
    let (pool, installation) =
        connect_and_check(&args.database, &config, InstallationKind::Real, MAX_CONNECTIONS, login).await?;
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
    let limits = Arc::new(AwsRateLimiter::new(pool.clone(), clock.clone(), config.quotas.clone()));
    let aws = Aws::connect(Arc::clone(&config), clock.clone(), Some(limits), connection);
    let audit_writer = AuditWriter::new(pool.clone(), clock.clone());
    let worker = Worker::new("reconcile", pool, Arc::clone(&config), clock, installation, Arc::new(aws))?;
    let reconciler = worker.reconciler();
    let report = if args.repair {
        let open_entry = audit_writer.begin(&repair_audit_entry(), None).await?;
        let report = reconciler.run_once(RepairMode::All, shutdown).await;
        let result = if report.is_ok() { AuditResult::Succeeded } else { AuditResult::Failed };
        audit_writer.end(open_entry, &AuditOutcome::of(result)).await;
        audit_writer.chain_now().await?;
        report?
    } else {
        reconciler.run_once(RepairMode::Off, shutdown).await?
    };
    let exit = if report.is_clean() { Exit::Success } else { Exit::Failure };
    match args.output {
        Format::Json => output::print_json(&report_json(report))?,
        Format::Table => print_report(&report)?,
    }
    Ok(exit)
}

fn repair_audit_entry() -> AuditEntry {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty() && !user.contains(char::is_control));
    let process = user.map_or_else(|| "freehold reconcile".to_owned(), |user| format!("freehold reconcile, as {user}"));
    AuditEntry::new(AuditKind::Command, "reconcile --repair", Actor::Process { process })
}

fn print_report(report: &Report) -> std::io::Result<()> {
    if !report.findings.is_empty() {
        let mut table = output::new_table(["severity", "finding", "AWS account", "message", "remedy"]);
        for one in &report.findings {
            let finding = &one.finding;
            let account = finding.aws_account_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let remedy = finding.operation_id.map_or_else(|| finding.remedy.to_string(), |id| id.to_string());
            table.add_row([finding.severity.as_str(), finding.kind.as_str(), &account, &finding.message, &remedy]);
        }
        output::print_table(&table)?;
        output::print_line("")?;
    }
    for (account, reason) in &report.unseen {
        output::print_line(format!("cannot read account {account}: {reason}"))?;
    }
    let new = report.findings.iter().filter(|one| one.is_new).count();
    output::print_line(format!(
        "compared {} accounts and {} environments in {:.0} s: {} findings, {new} of them new; {} resolved",
        report.accounts,
        report.environments,
        (report.finished_at - report.started_at).as_seconds_f64(),
        report.findings.len(),
        report.resolved,
    ))
}

fn report_json(report: Report) -> ReportJson {
    let clean = report.is_clean();
    let unseen = report.unseen.into_iter();
    let findings = report.findings.into_iter();
    ReportJson {
        clean,
        accounts: report.accounts,
        environments: report.environments,
        seconds: (report.finished_at - report.started_at).as_seconds_f64(),
        findings: findings.map(|one| FindingJson { new: one.is_new, finding: one.finding.into() }).collect(),
        resolved: report.resolved,
        unseen: unseen.map(|(account, why)| UnreadAccount { aws_account_id: account.to_string(), why }).collect(),
    }
}
