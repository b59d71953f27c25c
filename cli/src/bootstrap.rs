//! `freehold bootstrap`: prepares the organisation, once and repeatably.

use std::sync::Arc;

use clap::Args;
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::{Clock, Config};
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::bootstrap::{apply, plan};

use crate::database::{DatabaseArgs, open};
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output;
use crate::serve::ConfigArgs;

/// Connections to the database.
const CONNECTIONS: u32 = 2;

/// Prepare the AWS organisation: OUs, region guardrails, permission sets, trusted access
///
/// Everything is declared in the configuration; what is there already as declared is left alone, so it can be run again.
/// It needs credentials of an administrator of the management account, or such as may assume the control role.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    AWS_PROFILE=management freehold bootstrap --plan\n  \
    AWS_PROFILE=management freehold bootstrap\n\n\
    --plan prints what would be done, a line each, and changes nothing. Warnings stop nothing.")]
pub(crate) struct BootstrapArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print what would be done, and change nothing
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    log: LogArgs,
}

pub(crate) async fn run(args: BootstrapArgs) -> anyhow::Result<Exit> {
    args.log.begin("warn");
    let config = Arc::new(Config::load(&args.config.config)?);
    let aws = Aws::connect(Arc::clone(&config), Clock::real(), None, Connection::ambient().await?);
    let trail = trail(&config).await;
    let aws = match &trail {
        Some(audit_writer) => aws.audited(audit_writer.clone(), "freehold bootstrap"),
        None => aws,
    };
    let plan = plan(&aws, &config).await?;
    output::note(format!("acting as {}", plan.acting_as));
    for warning in &plan.warnings {
        output::note(format!("warning: {warning}"));
    }
    if plan.actions.is_empty() {
        output::line("the organisation is as configured; there is nothing to do")?;
        return Ok(Exit::Done);
    }
    if args.plan {
        for action in &plan.actions {
            output::line(format!("would {action}"))?;
        }
        return Ok(Exit::Done);
    }
    let mut written = Ok(());
    apply(&aws, plan, |action| {
        if written.is_ok() {
            written = output::line(format!("done: {action}"));
        }
    })
    .await?;
    if let Some(audit_writer) = trail {
        audit_writer.chain_now(&config.audit).await?;
    }
    written?;
    output::line("the organisation is as configured")?;
    Ok(Exit::Done)
}

/// Who puts on record what is done, where there is a database already.
async fn trail(config: &Config) -> Option<AuditWriter> {
    let database = DatabaseArgs { database_url: None };
    match open(&database, config, InstallationKind::Real, CONNECTIONS).await {
        Ok((pool, _)) => Some(AuditWriter::new(pool, Clock::real())),
        Err(error) => {
            output::note(format!("what is done here is not put into the audit trail: {error:#}"));
            None
        }
    }
}
