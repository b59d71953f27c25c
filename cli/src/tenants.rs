//! `freehold tenants`: signing customers up, looking at them, watching them become ready, changing them, letting them go.

mod add_environment;
mod create;
mod offboard;
mod show;
mod update;

#[cfg(feature = "sandbox")]
pub(crate) use create::sign_up;

use clap::{Args, Subcommand};
use freehold_api::schema::{Tenant, TenantPage};

use crate::client::{Api, ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::progress::{Lines, watch};

/// Sign customers up, look at them, watch them become ready, let them go
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
    Offboard(offboard::OffboardArgs),
    Restore(offboard::RestoreArgs),
    LegalHold(offboard::LegalHoldArgs),
}

/// List tenants, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold tenants list --state needs_attention\n  \
    freehold tenants list --output json | jq -r '.[].environments[].aws_account_id'")]
struct ListArgs {
    /// Only those that are onboarding, ready, needs_attention, restoring, offboarding or offboarded
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those with an environment at home there
    #[arg(long, value_name = "REGION")]
    home_region: Option<String>,
    /// Only those of this plan
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Only the one that the SaaS gives this id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Only those with this in their company name or external id
    #[arg(long, short, value_name = "TEXT")]
    query: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Show one tenant with its environments
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold tenants show ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n", exit_codes!()))]
struct ShowArgs {
    /// The tenant: ten_…
    #[arg(value_name = "TENANT")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Watch a tenant, step by step, until it is ready or needs attention
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  \
         freehold tenants watch ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n  \
         freehold tenants watch ten_01k2m8v3x9e7rt4s5q6w7y8z9b --output json | jq -r .type\n\n\
         Each line: minutes and seconds since the signup, environment, step, what happened. With --output json it is\n\
         the event as the API has it, one a line.\n\n",
        exit_codes!(),
    )
)]
struct WatchArgs {
    /// The tenant: ten_…
    #[arg(value_name = "TENANT")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: TenantsArgs) -> anyhow::Result<Exit> {
    match args.command {
        TenantsCommand::Create(args) => create::run(args).await,
        TenantsCommand::List(args) => list(args).await,
        TenantsCommand::Show(args) => {
            let api = args.client.api()?;
            let tenant = get(&api, &args.id).await?;
            let queues = match args.client.output {
                Format::Json => Vec::new(),
                Format::Table => show::queues(&api, &tenant).await?,
            };
            show::show(&tenant, &queues, args.client.output)?;
            Ok(Exit::Done)
        }
        TenantsCommand::Update(args) => update::run(args).await,
        TenantsCommand::AddEnvironment(args) => add_environment::run(args).await,
        TenantsCommand::Offboard(args) => offboard::offboard(args).await,
        TenantsCommand::Restore(args) => offboard::restore(args).await,
        TenantsCommand::LegalHold(args) => offboard::legal_hold(args).await,
        TenantsCommand::Watch(args) => {
            let api = args.client.api()?;
            let tenant = get(&api, &args.id).await?;
            let ready = watch(&api, &[&tenant], Lines::Data(args.client.output)).await?;
            Ok(if ready { Exit::Done } else { Exit::NeedsAttention })
        }
    }
}

/// One tenant, as it stands now.
pub(crate) async fn get(api: &Api, id: &str) -> anyhow::Result<Tenant> {
    api.get(&format!("/v1/tenants/{}", in_path(id)), &[]).await
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let query = [
        ("page_size", Some("200".to_owned())),
        ("state", args.state),
        ("home_region", args.home_region),
        ("tier", args.tier),
        ("external_id", args.external_id),
        ("q", args.query),
    ];
    let mut tenants = Vec::new();
    let api = args.client.api()?;
    api.pages("/v1/tenants", &query, |page| {
        let page: TenantPage = serde_json::from_value(page)?;
        tenants.extend(page.tenants);
        Ok(page.next_page_token)
    })
    .await?;
    match args.client.output {
        Format::Json => output::json(&tenants)?,
        Format::Table => show::list(&tenants)?,
    }
    Ok(Exit::Done)
}
