//! `freehold tenants move-home`: make a replica the home of an environment.

use clap::Args;
use freehold_api::schema::{HomeMove, NewHome};

use super::environment_path;
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Move the home of an environment to a replica
///
/// The replica becomes the home, and the old home stays as a replica. No data is moved. The move also works while the
/// old home is down. The environment stays ready; without a front door, its URL changes.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold tenants move-home ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment production eu-west-1\n\n",
    exit_codes!(),
))]
pub(super) struct MoveHomeArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME")]
    environment: String,
    /// Replica region that becomes the home
    #[arg(value_name = "REGION")]
    region: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: MoveHomeArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = args.id.resolve_for_change(&api).await?;
    let path = format!("{}/move-home", environment_path(&tenant, &args.environment));
    let body = NewHome { region: args.region };
    let moved: HomeMove = api.post(&path, &[], Some(&body)).await?;
    if args.client.output == Format::Json {
        output::print_json(&moved)?;
        return Ok(Exit::Success);
    }
    output::print_field("from", &moved.from)?;
    output::print_field("to", &moved.to)?;
    output::print_field("operation", moved.operation_id.as_deref().unwrap_or("-"))?;
    output::print_note(&moved.notice);
    if moved.operation_id.is_some() {
        output::print_note(format!("to watch the operation: freehold tenants watch {tenant}"));
    }
    Ok(Exit::Success)
}
