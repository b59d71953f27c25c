//! `freehold tenants update`

use anyhow::bail;
use clap::Args;
use freehold_api::schema::Tenant;
use serde_json::{Map, Value, json};

use super::create::label;
use super::show;
use crate::client::{ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};

/// Change what is known of a tenant; what is not named stays
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants update ten_01k2m8v3x9e7rt4s5q6w7y8z9b --tier enterprise --label team=north\n  ",
    "freehold tenants update ten_01k2m8v3x9e7rt4s5q6w7y8z9b --external-id '' --remove-label pilot\n\n",
    "AWS accounts keep their names. What access another plan brings with it is granted by the next comparison with AWS.\n\n",
    exit_codes!(),
))]
pub(super) struct UpdateArgs {
    /// The tenant: ten_…
    #[arg(value_name = "TENANT")]
    id: String,
    /// What the customer calls itself
    #[arg(long, value_name = "NAME")]
    company_name: Option<String>,
    /// The commercial plan
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// The id that the SaaS gives the customer; '' takes it away
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A label to set; may be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A label to take away; may be given more than once
    #[arg(long = "remove-label", value_name = "KEY")]
    removed: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: UpdateArgs) -> anyhow::Result<Exit> {
    let labels = args.removed.into_iter().map(|key| (key, Value::Null));
    let labels: Map<_, _> = labels.chain(args.labels.into_iter().map(|(key, value)| (key, value.into()))).collect();
    let mut patch = Map::new();
    patch.extend(args.company_name.map(|name| ("company_name".to_owned(), name.into())));
    patch.extend(args.tier.map(|tier| ("tier".to_owned(), tier.into())));
    patch.extend(
        args.external_id.map(|id| ("external_id".to_owned(), if id.is_empty() { Value::Null } else { id.into() })),
    );
    if !labels.is_empty() {
        patch.insert("labels".to_owned(), json!(labels));
    }
    if patch.is_empty() {
        bail!("say what is to be another: --company-name, --tier, --external-id, --label or --remove-label");
    }
    let api = args.client.api()?;
    // Whoever names a value wants that value, whatever was there.
    let tenant: Tenant = api.patch(&format!("/v1/tenants/{}", in_path(&args.id)), "*", &patch).await?;
    show::show(&tenant, &[], args.client.output)?;
    Ok(Exit::Done)
}
