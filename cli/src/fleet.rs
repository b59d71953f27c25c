//! `freehold fleet`: show, pause and resume the creation of AWS accounts for all tenants.

use clap::{Args, Subcommand};
use freehold_api::schema::{FleetHoldList, PauseRequest, Vending};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Show, pause and resume the creation of AWS accounts
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold fleet show\n  ",
    "freehold fleet pause --reason 'The budget for November is spent.'\n  ",
    "freehold fleet resume\n\n",
    exit_codes!(),
))]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    command: FleetCommand,
}

#[derive(Debug, Subcommand)]
enum FleetCommand {
    Show(ShowArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
}

/// Show whether accounts are created, the number of accounts and the fleet holds
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  freehold fleet show\n  freehold fleet show --output json | jq .accounts\n\n",
    exit_codes!(),
))]
struct ShowArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// Pause the creation of AWS accounts
///
/// Signups are still accepted and wait in the queue. Accounts whose creation AWS has accepted are completed. Tenants
/// that have an account are not affected. If account creation is paused already, only the reason changes.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold fleet pause --reason 'The budget for November is spent.'\n\n",
    exit_codes!(),
))]
struct PauseArgs {
    /// Reason, which waiting operations show
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Resume the creation of AWS accounts
///
/// Waiting operations continue in the order of their signups.
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold fleet resume\n\n", exit_codes!()))]
struct ResumeArgs {
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: FleetArgs) -> anyhow::Result<Exit> {
    let (vending, client): (Vending, _) = match args.command {
        FleetCommand::Show(args) => (args.client.api_client()?.get("/v1/vending", &[]).await?, args.client),
        FleetCommand::Pause(args) => {
            let request = PauseRequest { reason: args.reason };
            (args.client.api_client()?.put("/v1/vending/pause", &request).await?, args.client)
        }
        FleetCommand::Resume(args) => (args.client.api_client()?.delete("/v1/vending/pause", &[]).await?, args.client),
    };
    if client.output == Format::Json {
        output::print_json(&vending)?;
        return Ok(Exit::Success);
    }
    let limited = |count: i64, maximum: Option<u32>| match maximum {
        Some(maximum) => format!("{count} of at most {maximum}"),
        None => count.to_string(),
    };
    let state = vending.stopped_by.as_ref().map_or_else(|| "active".to_owned(), |code| format!("stopped ({code})"));
    output::print_field("vending", state)?;
    if let Some(message) = &vending.message {
        output::print_field("reason", message)?;
    }
    if let Some(pause) = &vending.pause {
        let at = pause.paused_at.format("%Y-%m-%d %H:%M:%S");
        output::print_field("paused by", format!("{}, at {at} UTC", pause.paused_by))?;
    }
    output::print_field("accounts", limited(vending.accounts, vending.max_accounts))?;
    output::print_field("last 24 hours", limited(vending.accounts_last_day, vending.max_accounts_per_day))?;
    output::print_field("queue length", vending.waiting)?;
    let holds: FleetHoldList = client.api_client()?.get("/v1/fleet-holds", &[]).await?;
    for hold in holds.holds {
        let probe_at = hold.probe_at.format("%Y-%m-%d %H:%M:%S");
        output::print_field("fleet hold", format!("{}: {} Next retry at {probe_at} UTC.", hold.code, hold.message))?;
    }
    Ok(Exit::Success)
}
