//! `freehold tenants create`: create a tenant with its environments.

use std::collections::BTreeMap;

use clap::Args;
use freehold_api::schema::{Signup, SignupPreview, Tenant};
use uuid::Uuid;

use super::{get_tenant, show};
use crate::client::{ApiClient, ClientArgs};
use crate::exit::{Exit, exit_codes};
use crate::output;
use crate::progress::{ProgressOutput, watch_tenants};

/// Create a tenant with its environments
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants create --company-name 'Example GmbH' --admin-email admin@example.com \\\n    ",
    "--home-region eu-central-1 --wait\n  ",
    "freehold tenants create --company-name 'Example Inc.' --admin-email admin@example.com \\\n    ",
    "--home-region us-east-1 --tier enterprise --environment production --environment staging \\\n    ",
    "--external-id customer-4711 --label team=north --output json\n\n",
    "If a request fails, repeat it with the same --idempotency-key: the tenant is created at most once.\n\n",
    exit_codes!(),
))]
pub(super) struct CreateArgs {
    /// Company name of the customer
    #[arg(long, value_name = "NAME")]
    company_name: String,
    /// E-mail address of the tenant's administrator
    #[arg(long, value_name = "EMAIL")]
    admin_email: String,
    /// Home region, e.g. eu-central-1
    #[arg(long, value_name = "REGION")]
    home_region: String,
    /// Replica region, in which a further copy of each stack runs; repeatable, at most 3
    #[arg(long = "replica-region", value_name = "REGION")]
    replica_regions: Vec<String>,
    /// Create a front door: one address of each environment that survives the loss of its home region [default: as
    /// configured for the tier]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    front_door: Option<bool>,
    /// Residency [default: derived from the home region]
    #[arg(long, value_name = "NAME")]
    residency: Option<String>,
    /// Tier (commercial plan) [default: the first one of the configuration]
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Id of the customer in your SaaS
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Environment to create, with its own AWS account; repeatable, at most 5 [default: production]
    #[arg(long = "environment", value_name = "NAME")]
    environments: Vec<String>,
    /// Label to add; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
    /// Idempotency key [default: generated and printed]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Validate the signup and show what would be created, without creating it
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    dry_run: bool,
    /// Wait until the tenant is ready or needs attention, and print each step
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: CreateArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let signup = Signup {
        company_name: args.company_name,
        admin_email: args.admin_email,
        home_region: args.home_region,
        replica_regions: Some(args.replica_regions).filter(|regions| !regions.is_empty()),
        front_door: args.front_door,
        residency: args.residency,
        tier: args.tier,
        external_id: args.external_id,
        environments: Some(args.environments).filter(|names| !names.is_empty()),
        labels: Some(BTreeMap::from_iter(args.labels)).filter(|labels| !labels.is_empty()),
    };
    if args.dry_run {
        let preview: SignupPreview = api.post("/v1/tenants?dry_run=true", &[], Some(&signup)).await?;
        show::print_preview(&preview, args.client.output)?;
        return Ok(if preview.accepted { Exit::Success } else { Exit::Failure });
    }
    let key = args.idempotency_key.unwrap_or_else(generate_idempotency_key);
    let mut tenant = create_tenant(&api, &signup, &key).await?;
    let mut ready = true;
    if args.wait {
        output::print_note(format!("created tenant {} ({})", tenant.id, tenant.company_name));
        ready = watch_tenants(&api, &[&tenant], ProgressOutput::Stderr).await?;
        tenant = get_tenant(&api, &tenant.id).await?;
    }
    show::print_tenant(&tenant, &[], args.client.output)?;
    if !args.wait && args.client.output == output::Format::Table {
        output::print_note(format!("to watch the onboarding: freehold tenants watch {}", tenant.id));
    }
    Ok(if ready { Exit::Success } else { Exit::NeedsAttention })
}

/// Generates an idempotency key and prints it, so that the user can repeat the request.
pub(super) fn generate_idempotency_key() -> String {
    let key = Uuid::now_v7().to_string();
    output::print_note(format!("idempotency key: {key}"));
    key
}

pub(crate) async fn create_tenant(api: &ApiClient, signup: &Signup, key: &str) -> anyhow::Result<Tenant> {
    api.post("/v1/tenants", &[("idempotency-key", key)], Some(signup)).await
}
