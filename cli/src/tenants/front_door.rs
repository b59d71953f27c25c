//! `freehold tenants front-door`: create and delete the front door of an environment.

use clap::{Args, ValueEnum};
use freehold_api::schema::{Environment, EnvironmentPatch};

use super::{environment_path, get_tenant, show};
use crate::client::ClientArgs;
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Create or delete the front door of an environment
///
/// A front door is a CloudFront distribution in front of the regions of the environment: one address that survives the
/// loss of the home region. AWS decrypts requests at edge locations all over the world, so the residency must allow
/// it. The environment stays ready. A deleted front door loses its domain name for good.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants front-door ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment production on\n  ",
    "freehold tenants front-door ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment production off\n\n",
    exit_codes!(),
))]
pub(super) struct FrontDoorArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME")]
    environment: String,
    /// Whether the environment should have a front door
    #[arg(value_enum)]
    wanted: Switch,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Create the front door, or repair it
    On,
    /// Delete the front door
    Off,
}

pub(super) async fn run(args: FrontDoorArgs) -> anyhow::Result<Exit> {
    let must_ask = args.wanted == Switch::Off && args.confirmation.must_ask()?;
    let api = args.client.api_client()?;
    let tenant = args.id.resolve_for_change(&api).await?;
    if must_ask {
        let tenant = get_tenant(&api, &tenant).await?;
        let consequences = format!(
            "This deletes the front door of the environment {} of {} ({}). Its domain name is lost for good.",
            args.environment, tenant.company_name, tenant.id
        );
        confirm(&consequences, Answer::Yes)?;
    }
    let patch = EnvironmentPatch { front_door: Some(args.wanted == Switch::On), ..EnvironmentPatch::default() };
    // `If-Match: *` skips the check for concurrent changes, because the command does not show the current values first.
    let path = environment_path(&tenant, &args.environment);
    let environment: Environment = api.patch(&path, "*", &patch).await?;
    if args.client.output == Format::Json {
        output::print_json(&environment)?;
        return Ok(Exit::Success);
    }
    output::print_field("environment", &environment.name)?;
    output::print_field("state", &environment.state)?;
    output::print_field("operation", &environment.operation_id)?;
    show::print_regions(std::slice::from_ref(&environment))?;
    if !["none", "deployed"].contains(&environment.front_door.state.as_str()) {
        output::print_note(format!("to watch the operation: freehold tenants watch {tenant}"));
    }
    Ok(Exit::Success)
}
