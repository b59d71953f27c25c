//! `freehold fleet-holds`: list the fleet holds, which pause AWS calls for all tenants.

use clap::{Args, Subcommand};
use freehold_api::schema::{FleetHold, FleetHoldList};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, ListFormat, TextTable};

/// List the fleet holds
///
/// A fleet hold pauses an AWS call that AWS would refuse for every tenant. Freehold ends it by itself, as soon as a
/// retry succeeds.
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold fleet-holds list\n\n", exit_codes!()))]
pub(crate) struct FleetHoldsArgs {
    #[command(subcommand)]
    command: FleetHoldsCommand,
}

#[derive(Debug, Subcommand)]
enum FleetHoldsCommand {
    List(ListArgs),
}

/// List the active fleet holds, with their causes and next retries
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold fleet-holds list\n  ",
    "freehold fleet-holds list --output ndjson | jq -r .message\n\n",
    "Columns: `waiting` is the number of operations that wait for the end of the hold; `retried by` is the operation \
     that retries the call now.\n\n",
    "The token needs the scopes fleet and operations:read.\n\n",
    exit_codes!(),
))]
struct ListArgs {
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(crate) async fn run(args: FleetHoldsArgs) -> anyhow::Result<Exit> {
    let FleetHoldsCommand::List(args) = args.command;
    let list: FleetHoldList = args.client.api_client()?.get("/v1/fleet-holds", &[]).await?;
    output::print_list(&list.holds, args.client.output, hold_table)?;
    Ok(Exit::Success)
}

fn hold_table(holds: &[FleetHold]) -> TextTable {
    let headings = ["code", "quota", "since", "next retry", "waiting", "retried by", "message"];
    let mut table = output::new_table(headings);
    for hold in holds {
        table.add_row([
            hold.code.as_str(),
            &hold.quota,
            &hold.since.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            &hold.probe_at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            &hold.waiting.to_string(),
            hold.probing_operation_id.as_deref().unwrap_or("-"),
            &hold.message,
        ]);
    }
    table
}
