//! `freehold tenants`: create, list, show, watch, update, offboard, restore, suspend and resume tenants, change their
//! regions and front doors, move their homes, upgrade baselines, and pin environments to their release.

mod add_environment;
mod change_regions;
mod create;
mod front_door;
mod move_home;
mod offboard;
mod pin;
mod show;
mod suspend;
mod update;
mod upgrade_baseline;

#[cfg(feature = "sandbox")]
pub(crate) use create::create_tenant;

use clap::{Args, Subcommand};
use freehold_api::schema::{Tenant, TenantPage};

use crate::client::{ApiClient, ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format, ListFormat};
use crate::progress::{ProgressOutput, watch_tenants};
use crate::tenant_reference::TenantReference;

/// Time in which an offboarding or the removal of a region can be undone, for questions.
const COOLING_OFF_PERIOD: &str = "the cooling-off period (7 days, unless cooling_off_seconds of [offboarding] is set)";

/// Manage tenants: create, show, watch, update, offboard, restore, suspend, resume
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold tenants create --company-name 'Example GmbH' --admin-email admin@example.com \\\n    ",
    "--home-region eu-central-1 --wait\n\n",
    exit_codes!(),
))]
pub(crate) struct TenantsArgs {
    #[command(subcommand)]
    command: TenantsCommand,
}

#[derive(Debug, Subcommand)]
enum TenantsCommand {
    Create(create::CreateArgs),
    List(ListArgs),
    Show(ShowArgs),
    Watch(WatchArgs),
    Update(update::UpdateArgs),
    AddEnvironment(add_environment::AddEnvironmentArgs),
    ChangeRegions(change_regions::ChangeRegionsArgs),
    FrontDoor(front_door::FrontDoorArgs),
    MoveHome(move_home::MoveHomeArgs),
    Offboard(offboard::OffboardArgs),
    Restore(offboard::RestoreArgs),
    Suspend(suspend::SuspendArgs),
    Resume(suspend::ResumeArgs),
    LegalHold(offboard::LegalHoldArgs),
    UpgradeBaseline(upgrade_baseline::UpgradeBaselineArgs),
    Pin(pin::PinArgs),
    Unpin(pin::UnpinArgs),
}

/// List tenants, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold tenants list --attention\n  \
    freehold tenants list --output json | jq -r '.[].environments[].aws_account_id'")]
struct ListArgs {
    /// Only tenants in this state: onboarding, ready, degraded, needs_attention, restoring, suspended,
    /// offboarding, offboarded
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only tenants with an environment that is degraded or needs attention
    #[arg(long)]
    attention: bool,
    /// Only tenants with an environment in this home region
    #[arg(long, value_name = "REGION")]
    home_region: Option<String>,
    /// Only tenants with an environment in this region, as its home or as a replica
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Only tenants of this tier
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Only the tenant with this external id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Only tenants with this text in their company name, administrator e-mail, external id or AWS account id
    #[arg(long, short, value_name = "TEXT")]
    query: Option<String>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

/// Show a tenant with its environments and their open findings
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold tenants show ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n", exit_codes!()))]
struct ShowArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    #[command(flatten)]
    client: ClientArgs,
}

/// Watch a tenant until it is ready or needs attention
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  \
         freehold tenants watch ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n  \
         freehold tenants watch ten_01k2m8v3x9e7rt4s5q6w7y8z9b --output json | jq -r .type\n\n\
         Prints one line per event: time since the signup (minutes:seconds), environment, step, message. \
         With --output json, each line is an event in the format of the API.\n\n",
        exit_codes!(),
    )
)]
struct WatchArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: TenantsArgs) -> anyhow::Result<Exit> {
    match args.command {
        TenantsCommand::Create(args) => create::run(args).await,
        TenantsCommand::List(args) => list(args).await,
        TenantsCommand::Show(args) => {
            let api = args.client.api_client()?;
            let tenant = get_tenant(&api, &args.id.resolve(&api).await?).await?;
            let queues = match args.client.output {
                Format::Json => Vec::new(),
                Format::Table => show::queue_positions(&api, &tenant).await?,
            };
            show::print_tenant(&tenant, &queues, args.client.output)?;
            Ok(Exit::Success)
        }
        TenantsCommand::Update(args) => update::run(args).await,
        TenantsCommand::AddEnvironment(args) => add_environment::run(args).await,
        TenantsCommand::ChangeRegions(args) => change_regions::run(args).await,
        TenantsCommand::FrontDoor(args) => front_door::run(args).await,
        TenantsCommand::MoveHome(args) => move_home::run(args).await,
        TenantsCommand::Offboard(args) => offboard::offboard(args).await,
        TenantsCommand::Restore(args) => offboard::restore(args).await,
        TenantsCommand::Suspend(args) => suspend::suspend(args).await,
        TenantsCommand::Resume(args) => suspend::resume(args).await,
        TenantsCommand::LegalHold(args) => offboard::legal_hold(args).await,
        TenantsCommand::UpgradeBaseline(args) => upgrade_baseline::run(args).await,
        TenantsCommand::Pin(args) => pin::pin(args).await,
        TenantsCommand::Unpin(args) => pin::unpin(args).await,
        TenantsCommand::Watch(args) => {
            let api = args.client.api_client()?;
            let tenant = get_tenant(&api, &args.id.resolve(&api).await?).await?;
            let ready = watch_tenants(&api, &[&tenant], ProgressOutput::Stdout(args.client.output)).await?;
            Ok(if ready { Exit::Success } else { Exit::NeedsAttention })
        }
    }
}

pub(crate) async fn get_tenant(api: &ApiClient, id: &str) -> anyhow::Result<Tenant> {
    api.get(&tenant_path(id), &[]).await
}

/// Returns the path of a tenant in the API.
fn tenant_path(id: &str) -> String {
    format!("/v1/tenants/{}", encode_path_segment(id))
}

/// Returns the path of an environment in the API.
pub(crate) fn environment_path(tenant: &str, name: &str) -> String {
    format!("{}/environments/{}", tenant_path(tenant), encode_path_segment(name))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let query = [
        ("page_size", Some("200".to_owned())),
        ("state", args.state),
        ("attention", args.attention.then(|| "true".to_owned())),
        ("home_region", args.home_region),
        ("region", args.region),
        ("tier", args.tier),
        ("external_id", args.external_id),
        ("q", args.query),
    ];
    let mut tenants = Vec::new();
    let api = args.client.api_client()?;
    api.for_each_page("/v1/tenants", &query, |page| {
        let page: TenantPage = serde_json::from_value(page)?;
        tenants.extend(page.tenants);
        Ok(page.next_page_token)
    })
    .await?;
    output::print_list(&tenants, args.client.output, show::tenant_table)?;
    Ok(Exit::Success)
}
