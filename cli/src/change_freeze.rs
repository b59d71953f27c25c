//! `freehold change-freeze`: show, set and end the time in which no update starts in any environment.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use freehold_api::schema::{ChangeFreeze, FreezeRequest};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

const PATH: &str = "/v1/change-freeze";

/// Show, set and end the change freeze
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold change-freeze show\n  ",
    "freehold change-freeze set --reason 'The shop season.' --until 2030-01-02T00:00:00Z\n  ",
    "freehold change-freeze end\n\n",
    exit_codes!(),
))]
pub(crate) struct ChangeFreezeArgs {
    #[command(subcommand)]
    command: ChangeFreezeCommand,
}

#[derive(Debug, Subcommand)]
enum ChangeFreezeCommand {
    Show(ShowArgs),
    Set(SetArgs),
    End(EndArgs),
}

/// Show whether a change freeze is in force
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold change-freeze show\n\n", exit_codes!()))]
struct ShowArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// Set a change freeze
///
/// No update starts in any environment until the freeze ends. Updates that have started continue, and so do onboarding,
/// repairs, changes of regions and upgrades of the baseline. A present freeze is replaced.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold change-freeze set --reason 'The shop season.' --until 2030-01-02T00:00:00Z\n\n",
    exit_codes!(),
))]
struct SetArgs {
    /// Reason, which refused updates show
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// End of the freeze (RFC 3339) [default: none, the freeze lasts until end]
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    #[command(flatten)]
    client: ClientArgs,
}

/// End the change freeze
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold change-freeze end\n\n", exit_codes!()))]
struct EndArgs {
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: ChangeFreezeArgs) -> anyhow::Result<Exit> {
    let (freeze, format): (ChangeFreeze, _) = match args.command {
        ChangeFreezeCommand::Show(args) => (args.client.api_client()?.get(PATH, &[]).await?, args.client.output),
        ChangeFreezeCommand::Set(args) => {
            let request = FreezeRequest { reason: args.reason, until: args.until };
            (args.client.api_client()?.put(PATH, &request).await?, args.client.output)
        }
        ChangeFreezeCommand::End(args) => (args.client.api_client()?.delete(PATH, &[]).await?, args.client.output),
    };
    if format == Format::Json {
        output::print_json(&freeze)?;
        return Ok(Exit::Success);
    }
    let time = |time: DateTime<Utc>| format!("{} UTC", time.format("%Y-%m-%d %H:%M:%S"));
    output::print_field("change freeze", if freeze.in_force { "in force" } else { "none" })?;
    if let (Some(reason), Some(set_by), Some(set_at)) = (&freeze.reason, &freeze.set_by, freeze.set_at) {
        output::print_field("reason", reason)?;
        output::print_field("until", freeze.until.map_or_else(|| "ended by hand".to_owned(), time))?;
        output::print_field("set by", format!("{set_by}, at {}", time(set_at)))?;
    }
    Ok(Exit::Success)
}
