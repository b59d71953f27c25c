//! `freehold recover`: bring a restored database up to date with AWS.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use freehold_tenancy::Config;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, AuditWriter};
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::recovery::{SKIPPED_POSITIONS, TenantDetails, read_details};
use freehold_worker::Worker;
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::limits::AwsRateLimiter;
use freehold_worker::recover::{RecoverResult, RecoveryPlan, Resolution};
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

/// Bring the database up to date with AWS after the restore of an older backup
///
/// Compares the accounts of the organisation with the database, and records in the database what has happened since the
/// backup: accounts, tenants and environments, offboardings and closed accounts. Changes nothing in AWS, and makes all
/// changes of the database in one transaction. Stop API and workers first. Needs PostgreSQL, and AWS credentials that
/// may assume the control role.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold recover --plan\n  \
    freehold recover\n  \
    freehold recover --plan --output json | jq -r '.items[] | select(.resolution == \"decide\") | .message'\n\n\
    --plan prints one line per change, without changing anything.\n\n\
    --tenant-details reads details of lost environments. They complete and override the tags of the accounts. Each \
    table and each field is optional:\n\n  \
    [env_01k2m8v3x9e7rt4s5q6w7y8z9c]\n  \
    company_name = \"Example Ltd\"\n  \
    admin_email = \"admin@example.com\"\n  \
    external_id = \"customer-4711\"\n  \
    tier = \"standard\"\n  \
    environment = \"production\"\n  \
    home_region = \"eu-central-1\"\n\n\
    Exit codes:\n  \
    0  the database is up to date, or, with --plan, the command would bring it up to date\n  \
    1  failure\n  \
    2  invalid command line or file\n  \
    3  a difference needs a decision, or the command must be repeated later")]
pub(crate) struct RecoverArgs {
    /// Print the changes without making them
    #[arg(long)]
    plan: bool,
    /// Details of lost environments (TOML)
    #[arg(long, value_name = "FILE")]
    tenant_details: Option<PathBuf>,
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

/// Result of the command in the format of `--output json`.
#[derive(Debug, Serialize)]
struct RecoveryJson {
    /// Whether the changes were made.
    applied: bool,
    latest_change_at: Option<DateTime<Utc>>,
    accounts: usize,
    skipped_feed_positions: i64,
    items: Vec<ItemJson>,
}

#[derive(Debug, Serialize)]
struct ItemJson {
    resolution: &'static str,
    aws_account_id: Option<String>,
    tenant_id: Option<String>,
    environment_id: Option<String>,
    message: String,
}

pub(crate) async fn run(args: RecoverArgs) -> anyhow::Result<Exit> {
    args.log.start("off");
    let details = args.tenant_details.as_deref().map(read_details).transpose();
    let details = details.map_err(|error| Exit::Usage.error(error))?.unwrap_or_default();
    let shutdown = shutdown::listen_for_signals()?;
    let login = Login::Owner;
    #[cfg(feature = "sandbox")]
    if let Some(config) = args.simulated_aws.config(&args.config)? {
        let connection = args.simulated_aws.connection()?;
        let (pool, installation) =
            connect_and_check(&args.database, &config, InstallationKind::Sandbox, MAX_CONNECTIONS, login).await?;
        return recover(&args, pool, config, &installation, connection, &details, &shutdown).await;
    }
    let config = config::load(&args.config.config)?;
    let connection = Connection::from_environment().await?;
    let (pool, installation) =
        connect_and_check(&args.database, &config, InstallationKind::Real, MAX_CONNECTIONS, login).await?;
    recover(&args, pool, config, &installation, connection, &details, &shutdown).await
}

async fn recover(
    args: &RecoverArgs,
    pool: PgPool,
    config: Config,
    installation: &Installation,
    connection: Connection,
    details: &TenantDetails,
    shutdown: &CancellationToken,
) -> anyhow::Result<Exit> {
    let (config, clock) = (Arc::new(config), installation.clock());
    let limits = Arc::new(AwsRateLimiter::new(pool.clone(), clock.clone(), config.quotas.clone()));
    let aws = Aws::connect(Arc::clone(&config), clock.clone(), Some(limits), connection);
    let audit_writer = AuditWriter::new(pool.clone(), clock.clone());
    let worker = Worker::new("recover", pool, Arc::clone(&config), clock, installation, Arc::new(aws))?;
    let recoverer = worker.recoverer();
    let plan = recoverer.plan(details, shutdown).await?;
    if !args.plan && plan.skips_positions {
        let open_entry = audit_writer.begin(&audit_entry(), None).await?;
        let by = Requester { issuer: "freehold".to_owned(), subject: "recover".to_owned() };
        let result = recoverer.apply(&plan, &by).await;
        let is_recovered = matches!(result, Ok(RecoverResult::Recovered));
        let outcome = if is_recovered { AuditResult::Succeeded } else { AuditResult::Failed };
        audit_writer.end(open_entry, &AuditOutcome::of(outcome)).await;
        audit_writer.chain_now().await?;
        match result? {
            RecoverResult::Recovered => {}
            RecoverResult::DatabaseChanged => {
                bail!("another process has changed the database; stop API and workers, then repeat this command")
            }
            RecoverResult::WorkersConnected(count) => return Err(workers_connected(count)),
        }
    }
    match args.output {
        Format::Json => output::print_json(&to_json(&plan, args.plan))?,
        Format::Table => print_plan(&plan, args.plan)?,
    }
    Ok(if plan.is_complete() { Exit::Success } else { Exit::NeedsAttention })
}

fn workers_connected(count: i64) -> anyhow::Error {
    anyhow!(
        "{count} workers are connected to the database, so nothing was changed; stop them, then repeat this command"
    )
}

fn audit_entry() -> AuditEntry {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty() && !user.contains(char::is_control));
    let process = user.map_or_else(|| "freehold recover".to_owned(), |user| format!("freehold recover, as {user}"));
    AuditEntry::new(AuditKind::Command, "recover", Actor::Process { process })
}

fn print_plan(plan: &RecoveryPlan, only_plan: bool) -> std::io::Result<()> {
    let change = if only_plan { "would" } else { "done:" };
    if plan.skips_positions {
        let reason = "so that no position that consumers have seen is used again";
        output::print_line(format!("{change} skip {SKIPPED_POSITIONS} feed positions, {reason}"))?;
    }
    for item in &plan.items {
        let prefix = match item.resolution {
            Resolution::Recover => change,
            Resolution::Wait => "wait:",
            Resolution::Decide => "decide:",
        };
        output::print_line(format!("{prefix} {}", item.message))?;
    }
    let count = |resolution| plan.items.iter().filter(|item| item.resolution == resolution).count();
    let latest = plan.latest_change_at.map_or_else(|| "none".to_owned(), |at| at.format("%F %T UTC").to_string());
    let compared = format!("compared {} accounts; latest change in the database: {latest}", plan.accounts);
    if plan.is_empty() {
        return output::print_line(format!("{compared}; it is up to date, nothing to do"));
    }
    output::print_line(format!(
        "{compared}; {} to recover, {} to wait for, {} to decide",
        count(Resolution::Recover),
        count(Resolution::Wait),
        count(Resolution::Decide)
    ))
}

fn to_json(plan: &RecoveryPlan, only_plan: bool) -> RecoveryJson {
    let items = plan.items.iter().map(|item| ItemJson {
        resolution: item.resolution.as_str(),
        aws_account_id: item.account.as_ref().map(ToString::to_string),
        tenant_id: item.tenant.map(|id| id.to_string()),
        environment_id: item.environment.map(|id| id.to_string()),
        message: item.message.clone(),
    });
    RecoveryJson {
        applied: !only_plan && plan.skips_positions,
        latest_change_at: plan.latest_change_at,
        accounts: plan.accounts,
        skipped_feed_positions: if plan.skips_positions { SKIPPED_POSITIONS } else { 0 },
        items: items.collect(),
    }
}
