//! `freehold tenants add-environment`: add an environment to a tenant.

use clap::Args;
use freehold_api::schema::{Environment, NewEnvironment, NewEnvironmentPreview};

use super::create::generate_idempotency_key;
use super::{show, tenant_path};
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Add an environment, with its own AWS account, to a tenant
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold tenants add-environment ten_01k2m8v3x9e7rt4s5q6w7y8z9b --name staging\n\n",
    exit_codes!(),
))]
pub(super) struct AddEnvironmentArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Name of the environment, unique within the tenant
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Home region, e.g. eu-central-1 [default: home region of the tenant's first environment]
    #[arg(long, value_name = "REGION")]
    home_region: Option<String>,
    /// Replica region, in which a further copy of the stack runs; repeatable, at most 3
    #[arg(long = "replica-region", value_name = "REGION")]
    replica_regions: Vec<String>,
    /// Create a front door: one address of the environment that survives the loss of its home region [default: as
    /// configured for the tier]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    front_door: Option<bool>,
    /// Residency, which must contain the home region [default: derived from the home region]
    #[arg(long, value_name = "NAME")]
    residency: Option<String>,
    /// Idempotency key [default: generated and printed]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Validate the request and show what would be created, without creating it
    #[arg(long, conflicts_with = "idempotency_key")]
    dry_run: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: AddEnvironmentArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let path = format!("{}/environments", tenant_path(&args.id.resolve_for_change(&api).await?));
    let body = NewEnvironment {
        name: args.name,
        home_region: args.home_region,
        replica_regions: Some(args.replica_regions).filter(|regions| !regions.is_empty()),
        front_door: args.front_door,
        residency: args.residency,
    };
    if args.dry_run {
        let preview: NewEnvironmentPreview = api.post(&format!("{path}?dry_run=true"), &[], Some(&body)).await?;
        show::print_environment_preview(&preview, args.client.output)?;
        return Ok(if preview.accepted { Exit::Success } else { Exit::Failure });
    }
    let key = args.idempotency_key.unwrap_or_else(generate_idempotency_key);
    let environment: Environment = api.post(&path, &[("idempotency-key", &key)], Some(&body)).await?;
    if args.client.output == Format::Json {
        output::print_json(&environment)?;
    } else {
        output::print_field("environment", environment.name)?;
        output::print_field("state", environment.state)?;
        output::print_field("operation", environment.operation_id)?;
    }
    Ok(Exit::Success)
}
