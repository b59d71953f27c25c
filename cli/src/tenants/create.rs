//! `freehold tenants create`: signs a customer up, once however often it is sent.

use std::collections::BTreeMap;

use clap::Args;
use freehold_api::schema::{Signup, SignupPreview, Tenant};
use uuid::Uuid;

use super::{get, show};
use crate::client::{Api, ClientArgs};
use crate::exit::{Exit, exit_codes};
use crate::output;
use crate::progress::{Lines, watch};

/// Sign a customer up
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants create --company-name 'Example GmbH' --admin-email admin@example.com \\\n    ",
    "--home-region eu-central-1 --wait\n  ",
    "freehold tenants create --company-name 'Example Inc.' --admin-email admin@example.com \\\n    ",
    "--home-region us-east-1 --tier enterprise --environment production --environment staging \\\n    ",
    "--external-id customer-4711 --label team=north --output json\n\n",
    "A signup that may not have arrived is sent again with the same --idempotency-key; it is then accepted once.\n\n",
    exit_codes!(),
))]
pub(super) struct CreateArgs {
    /// What the customer calls itself
    #[arg(long, value_name = "NAME")]
    company_name: String,
    /// The person who administers it
    #[arg(long, value_name = "EMAIL")]
    admin_email: String,
    /// Where its stacks run first, such as eu-central-1
    #[arg(long, value_name = "REGION")]
    home_region: String,
    /// The residency; follows from the home region if left out
    #[arg(long, value_name = "NAME")]
    residency: Option<String>,
    /// The commercial plan; the first configured one if left out
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// The id that the SaaS gives the customer
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// An environment, which gets an AWS account; may be given up to five times [default: production]
    #[arg(long = "environment", value_name = "NAME")]
    environments: Vec<String>,
    /// A label; may be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Makes sending this again harmless; made up, and told, if left out
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Only tell what the signup would come to
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    dry_run: bool,
    /// Watch until the tenant is ready or needs attention
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: CreateArgs) -> anyhow::Result<Exit> {
    let api = args.client.api()?;
    let signup = Signup {
        company_name: args.company_name,
        admin_email: args.admin_email,
        home_region: args.home_region,
        residency: args.residency,
        tier: args.tier,
        external_id: args.external_id,
        environments: Some(args.environments).filter(|names| !names.is_empty()),
        labels: Some(BTreeMap::from_iter(args.labels)).filter(|labels| !labels.is_empty()),
    };
    if args.dry_run {
        let preview: SignupPreview = api.post("/v1/tenants?dry_run=true", &[], Some(&signup)).await?;
        show::preview(&preview, args.client.output)?;
        return Ok(if preview.accepted { Exit::Done } else { Exit::Failed });
    }
    let key = args.idempotency_key.unwrap_or_else(|| {
        let key = Uuid::now_v7().to_string();
        output::note(format!("idempotency key {key}"));
        key
    });
    let mut tenant = sign_up(&api, &signup, &key).await?;
    let mut ready = true;
    if args.wait {
        output::note(format!("{} is {}", tenant.company_name, tenant.id));
        ready = watch(&api, &[&tenant], Lines::Messages).await?;
        tenant = get(&api, &tenant.id).await?;
    }
    show::show(&tenant, &[], args.client.output)?;
    if !args.wait && args.client.output == output::Format::Table {
        output::note(format!("watch it with: freehold tenants watch {}", tenant.id));
    }
    Ok(if ready { Exit::Done } else { Exit::NeedsAttention })
}

/// Signs a customer up under an idempotency key.
pub(crate) async fn sign_up(api: &Api, signup: &Signup, key: &str) -> anyhow::Result<Tenant> {
    api.post("/v1/tenants", &[("idempotency-key", key)], Some(signup)).await
}
