//! `freehold bootstrap`: prepare the AWS organisation.

use std::sync::Arc;

use clap::Args;
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::config::ConfigError;
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::db::login::Process;
use freehold_tenancy::{Clock, Config};
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::bootstrap::{apply, plan};
use freehold_worker::template::validate_in_aws;

use crate::config;
use crate::database::{DatabaseArgs, Login, connect_and_check};
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output;
use crate::serve::ConfigArgs;

const MAX_CONNECTIONS: u32 = 2;

/// Prepare the AWS organisation: OUs, region guardrails, permission sets, trusted access
///
/// Creates and updates everything that the configuration declares and that is missing or different. Can be repeated.
/// Needs credentials of an administrator of the management account, or credentials that may assume the control role.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    AWS_PROFILE=management freehold bootstrap --plan\n  \
    AWS_PROFILE=management freehold bootstrap\n\n\
    --plan prints one line per change, without changing anything. Warnings do not stop the command; a template that \
    CloudFormation refuses in a region stops it.")]
pub(crate) struct BootstrapArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the changes without making them
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    log: LogArgs,
}

pub(crate) async fn run(args: BootstrapArgs) -> anyhow::Result<Exit> {
    args.log.start("warn");
    let config = Arc::new(config::load(&args.config.config)?);
    let aws = Aws::connect(Arc::clone(&config), Clock::real(), None, Connection::from_environment().await?);
    let audit_writer = open_audit_writer(&config).await;
    let aws = match &audit_writer {
        Some(audit_writer) => aws.audited(audit_writer.clone(), "freehold bootstrap"),
        None => aws,
    };
    let plan = plan(&aws, &config).await?;
    output::print_note(format!("acting as {}", plan.caller_arn));
    let templates = validate_in_aws::validate(&aws, &config).await?;
    for skipped in &templates.skipped {
        output::print_note(format!("warning: {skipped}"));
    }
    if !templates.problems.is_empty() {
        return Err(ConfigError::Inconsistent(templates.problems).into());
    }
    for warning in &plan.warnings {
        output::print_note(format!("warning: {warning}"));
    }
    if plan.actions.is_empty() {
        output::print_line("the organisation matches the configuration; nothing to do")?;
        return Ok(Exit::Success);
    }
    if args.plan {
        for action in &plan.actions {
            output::print_line(format!("would {action}"))?;
        }
        return Ok(Exit::Success);
    }
    let mut written = Ok(());
    apply(&aws, plan, |action| {
        if written.is_ok() {
            written = output::print_line(format!("done: {action}"));
        }
    })
    .await?;
    if let Some(audit_writer) = audit_writer {
        audit_writer.chain_now().await?;
    }
    written?;
    output::print_line("the organisation matches the configuration")?;
    Ok(Exit::Success)
}

/// Opens the audit trail. Returns `None` if the database is not available, because bootstrap may run before `freehold
/// migrate`.
async fn open_audit_writer(config: &Config) -> Option<AuditWriter> {
    let database = DatabaseArgs { database_url: None };
    let login = Login::Process(Process::Worker);
    match connect_and_check(&database, config, InstallationKind::Real, MAX_CONNECTIONS, login).await {
        Ok((pool, _)) => Some(AuditWriter::new(pool, Clock::real())),
        Err(error) => {
            output::print_note(format!("warning: changes are not recorded in the audit trail: {error:#}"));
            None
        }
    }
}
