//! `freehold regions`: list the regions of AWS and whether environments can run there.

use clap::Args;
use freehold_api::schema::{AwsRegion, AwsRegionList};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, ListFormat, TextTable};

/// List the regions of AWS, and which of them are offered
///
/// A region is offered if a residency of the configuration contains it, and if CloudFormation has the resource types of
/// the baseline and of the template of the tenant stack there.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold regions --offered\n  ",
    "freehold regions --output json | jq -r '.[] | select(.opt_in_required).region'\n\n",
    "Columns: `offered as` are the roles in which an environment can use the region; `missing types` are needed \
     resource types that CloudFormation lacks there, with the stack that needs them.\n\n",
    "The token needs the scopes fleet and tenants:read.\n\n",
    exit_codes!(),
))]
pub(crate) struct RegionsArgs {
    /// Only regions that are offered
    #[arg(long)]
    offered: bool,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(crate) async fn run(args: RegionsArgs) -> anyhow::Result<Exit> {
    let query = [("offered", args.offered.then(|| "true".to_owned()))];
    let list: AwsRegionList = args.client.api_client()?.get("/v1/regions", &query).await?;
    output::print_list(&list.regions, args.client.output, region_table)?;
    Ok(Exit::Success)
}

fn region_table(regions: &[AwsRegion]) -> TextTable {
    let headings = ["region", "place", "residency", "opt-in", "offered as", "missing types", "message"];
    let mut table = output::new_table(headings);
    for region in regions {
        table.add_row([
            region.region.as_str(),
            &region.place,
            region.residency.as_deref().unwrap_or("-"),
            if region.opt_in_required { "yes" } else { "no" },
            &or_dash(region.offered_as.join(", ")),
            &or_dash(missing_types(region)),
            region.message.as_deref().unwrap_or("-"),
        ]);
    }
    table
}

fn missing_types(region: &AwsRegion) -> String {
    if !region.types_known {
        return "unknown".to_owned();
    }
    let missing = region.missing_types.iter();
    missing.map(|one| format!("{} ({})", one.resource_type, one.needed_by)).collect::<Vec<_>>().join(", ")
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
