//! `freehold rollouts list, show, environments`: progress of rollouts.

use clap::Args;
use freehold_api::schema::{Rollout, RolloutEnvironment, RolloutEnvironmentPage, RolloutPage};

use super::{find, path_of, print, time};
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format, ListFormat, TextTable};

/// List rollouts, newest first
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold rollouts list\n  ",
    "freehold rollouts list --output json | jq -r '.[] | select(.finished_at == null).id'\n\n",
    "The token needs the scopes fleet and rollouts:read.\n\n",
    exit_codes!(),
))]
pub(super) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(super) async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let mut rollouts: Vec<Rollout> = Vec::new();
    let query = [("page_size", Some("200".to_owned()))];
    args.client
        .api_client()?
        .for_each_page("/v1/rollouts", &query, |page| {
            let page: RolloutPage = serde_json::from_value(page)?;
            rollouts.extend(page.rollouts);
            Ok(page.next_page_token)
        })
        .await?;
    output::print_list(&rollouts, args.client.output, rollout_table)?;
    Ok(Exit::Success)
}

fn rollout_table(rollouts: &[Rollout]) -> TextTable {
    let mut table = output::new_table(["rollout", "release", "plan", "state", "wave", "created", "by", "reason"]);
    for rollout in rollouts {
        table.add_row([
            rollout.id.as_str(),
            &rollout.release_id,
            rollout.plan.as_deref().unwrap_or("-"),
            &rollout.state,
            &rollout.wave,
            &rollout.created_at.format("%Y-%m-%d %H:%M").to_string(),
            &rollout.created_by,
            rollout.reason.as_deref().unwrap_or("-"),
        ]);
    }
    table
}

/// Show a rollout with its waves, failures and next event
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold rollouts show\n  ",
    "freehold rollouts show rol_01k2m8v3x9e7rt4s5q6w7y8z9g --output json | jq .releases\n\n",
    "The token needs the scopes fleet and rollouts:read.\n\n",
    exit_codes!(),
))]
pub(super) struct ShowArgs {
    /// Id of the rollout (rol_…) [default: the latest]
    #[arg(value_name = "ROLLOUT")]
    id: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let rollout = find(&args.client.api_client()?, args.id.as_deref()).await?;
    if args.client.output == Format::Json {
        output::print_json(&rollout)?;
        return Ok(Exit::Success);
    }
    print(&rollout)?;
    let mut table = output::new_table(["region", "release", "environments"]);
    for count in rollout.releases.iter().flatten() {
        let release = count.release_id.as_deref().unwrap_or("not known");
        table.add_row([count.region.as_str(), release, &count.environments.to_string()]);
    }
    if !table.is_empty() {
        output::print_line("")?;
        output::print_table(&table)?;
    }
    Ok(Exit::Success)
}

/// List the environments of a rollout in the order of their updates
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold rollouts environments rol_01k2m8v3x9e7rt4s5q6w7y8z9g --state failed\n  ",
    "freehold rollouts environments rol_01k2m8v3x9e7rt4s5q6w7y8z9g --output json | jq -r .[].tenant_id\n\n",
    "The token needs the scopes fleet and rollouts:read.\n\n",
    exit_codes!(),
))]
pub(super) struct EnvironmentsArgs {
    /// Id of the rollout (rol_…)
    #[arg(value_name = "ROLLOUT")]
    id: String,
    /// Only environments of this wave
    #[arg(long, value_name = "NAME")]
    wave: Option<String>,
    /// Only environments in this state, such as failed
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(super) async fn environments(args: EnvironmentsArgs) -> anyhow::Result<Exit> {
    let mut environments: Vec<RolloutEnvironment> = Vec::new();
    let query = [("page_size", Some("200".to_owned())), ("wave", args.wave), ("state", args.state)];
    args.client
        .api_client()?
        .for_each_page(&format!("{}/environments", path_of(&args.id)), &query, |page| {
            let page: RolloutEnvironmentPage = serde_json::from_value(page)?;
            environments.extend(page.environments);
            Ok(page.next_page_token)
        })
        .await?;
    output::print_list(&environments, args.client.output, environment_table)?;
    Ok(Exit::Success)
}

fn environment_table(environments: &[RolloutEnvironment]) -> TextTable {
    let mut table = output::new_table(["environment", "tenant", "name", "wave", "state", "ended", "reason"]);
    for one in environments {
        table.add_row([
            one.environment_id.as_str(),
            &one.tenant_id,
            &one.environment,
            &one.wave,
            &one.state,
            &one.finished_at.map_or_else(|| "-".to_owned(), time),
            one.reason.as_deref().unwrap_or("-"),
        ]);
    }
    table
}
