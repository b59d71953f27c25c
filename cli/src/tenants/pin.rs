//! `freehold tenants pin` and `unpin`: keep an environment on its release, and end that.

use chrono::{DateTime, Utc};
use clap::Args;
use freehold_api::schema::{Environment, PinRequest};

use super::environment_path;
use super::show::print_pins;
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Pin an environment to its release
///
/// No update starts in the environment until the pin ends. Repairs, changes of regions and upgrades of the baseline
/// continue. A present pin is replaced.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold tenants pin ten_01k2m8v3x9e7rt4s5q6w7y8z9b production \\\n    ",
    "--reason 'The customer tests the release.' --until 2030-03-01T00:00:00Z\n\n",
    exit_codes!(),
))]
pub(super) struct PinArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Name of the environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    /// Reason, which support staff see
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// End of the pin (RFC 3339) [default: none, the pin lasts until unpin]
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    #[command(flatten)]
    client: ClientArgs,
}

/// End the pin of an environment
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold tenants unpin ten_01k2m8v3x9e7rt4s5q6w7y8z9b production\n\n",
    exit_codes!(),
))]
pub(super) struct UnpinArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Name of the environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn pin(args: PinArgs) -> anyhow::Result<Exit> {
    let request = PinRequest { reason: args.reason, until: args.until };
    let api = args.client.api_client()?;
    let path = pin_path(&args.id.resolve_for_change(&api).await?, &args.environment);
    let environment: Environment = api.put(&path, &request).await?;
    print(&environment, args.client.output)
}

pub(super) async fn unpin(args: UnpinArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let path = pin_path(&args.id.resolve_for_change(&api).await?, &args.environment);
    let environment: Environment = api.delete(&path, &[]).await?;
    print(&environment, args.client.output)
}

fn pin_path(tenant: &str, environment: &str) -> String {
    format!("{}/pin", environment_path(tenant, environment))
}

fn print(environment: &Environment, format: Format) -> anyhow::Result<Exit> {
    if format == Format::Json {
        output::print_json(environment)?;
        return Ok(Exit::Success);
    }
    output::print_field("environment", &environment.name)?;
    if environment.pin.is_none() {
        output::print_field("pin", "-")?;
    }
    print_pins(std::slice::from_ref(environment))?;
    Ok(Exit::Success)
}
