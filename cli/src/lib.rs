//! The `freehold` program as a library, so that tests can build and start it.
//!
//! [`Command`] lists the commands; each command has its own file.

mod access;
mod access_review;
mod approvals;
mod audit;
mod bootstrap;
mod change_freeze;
mod client;
mod completions;
mod config;
mod confirmation;
mod database;
mod event_stream;
mod events;
mod exit;
mod export;
mod file_handles;
mod findings;
mod fleet;
mod fleet_holds;
mod format_queue;
mod health;
mod iam_policy;
mod logging;
mod man;
mod mappings;
mod migrate;
mod openapi;
mod operations;
mod output;
mod progress;
mod proof;
mod reconcile;
mod recover;
mod regions;
mod releases;
mod rollouts;
mod search;
mod secret_arg;
mod serve;
mod shutdown;
mod steps;
mod telemetry;
mod tenant_reference;
mod tenants;
mod time_arg;
mod webhooks;
mod worker_metrics;

#[cfg(feature = "sandbox")]
mod duration_arg;
#[cfg(feature = "sandbox")]
mod running_sandbox;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
mod simulated_aws;
#[cfg(feature = "sandbox")]
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::{Exit, exit_codes};

/// Create and manage one AWS account for each customer of a SaaS
#[derive(Debug, Parser)]
#[command(name = "freehold", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = concat!(
    "To try it, with a simulated AWS and no configuration:\n",
    "  freehold sandbox --demo\n\n",
    "To run it with a real AWS organisation and a freehold.toml:\n",
    "  freehold config check\n",
    "  freehold migrate && freehold bootstrap\n",
    "  freehold api &\n",
    "  freehold worker\n\n",
    exit_codes!(),
))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
    Api(serve::ApiArgs),
    Worker(serve::WorkerArgs),
    Migrate(migrate::MigrateArgs),
    Bootstrap(bootstrap::BootstrapArgs),
    Config(config::ConfigCommandArgs),
    IamPolicy(iam_policy::IamPolicyArgs),
    Audit(audit::AuditArgs),
    Reconcile(reconcile::ReconcileArgs),
    Recover(recover::RecoverArgs),
    Openapi(openapi::OpenapiArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Health(health::HealthArgs),
    #[cfg(feature = "sandbox")]
    Token(token::TokenArgs),
    Tenants(tenants::TenantsArgs),
    Operations(operations::OperationsArgs),
    Approvals(approvals::ApprovalsArgs),
    Fleet(fleet::FleetArgs),
    FleetHolds(fleet_holds::FleetHoldsArgs),
    ChangeFreeze(change_freeze::ChangeFreezeArgs),
    Findings(findings::FindingsArgs),
    Search(search::SearchArgs),
    Mappings(mappings::MappingsArgs),
    Events(events::EventsArgs),
    Regions(regions::RegionsArgs),
    Releases(releases::ReleasesArgs),
    Rollouts(rollouts::RolloutsArgs),
    Webhooks(webhooks::WebhooksArgs),
    Access(access::AccessArgs),
    AccessReview(access_review::AccessReviewArgs),
    Proof(proof::ProofArgs),
}

/// Runs the program. The first argument is the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Clap returns an error for `--help` and `--version` too.
        Err(error) => {
            // Printing fails if the reader has closed the pipe, which is not an error.
            _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
        }
    };
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli.command));
            telemetry::shut_down();
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    exit::report(result).into()
}

/// Returns the `clap` command, for tests of the help texts.
pub fn command() -> clap::Command {
    Cli::command()
}

async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Api(args) => Box::pin(serve::api(args)).await,
        Command::Worker(args) => Box::pin(serve::worker(args)).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Bootstrap(args) => bootstrap::run(args).await,
        Command::Config(args) => config::run(args).await,
        Command::IamPolicy(args) => iam_policy::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Reconcile(args) => Box::pin(reconcile::run(args)).await,
        Command::Recover(args) => Box::pin(recover::run(args)).await,
        Command::Openapi(_) => openapi::run(),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Health(args) => health::run(args).await,
        #[cfg(feature = "sandbox")]
        Command::Token(args) => token::run(&args),
        Command::Tenants(args) => tenants::run(args).await,
        Command::Operations(args) => operations::run(args).await,
        Command::Approvals(args) => approvals::run(args).await,
        Command::Fleet(args) => fleet::run(args).await,
        Command::FleetHolds(args) => fleet_holds::run(args).await,
        Command::ChangeFreeze(args) => change_freeze::run(args).await,
        Command::Findings(args) => findings::run(args).await,
        Command::Search(args) => search::run(args).await,
        Command::Mappings(args) => mappings::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::Regions(args) => regions::run(args).await,
        Command::Releases(args) => releases::run(args).await,
        Command::Rollouts(args) => rollouts::run(args).await,
        Command::Webhooks(args) => webhooks::run(args).await,
        Command::Access(args) => Box::pin(access::run(args)).await,
        Command::AccessReview(args) => access_review::run(args).await,
        Command::Proof(args) => proof::run(args).await,
    }
}
