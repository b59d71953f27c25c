//! `freehold tenants change-regions`: add and remove replica regions of an environment.

use clap::Args;
use freehold_api::schema::{Environment, EnvironmentPatch};

use super::{environment_path, show};
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Change the replica regions of an environment
///
/// The options name all replica regions that the environment should have: a region that is missing is removed. The
/// stack of a removed region is deleted after the cooling-off period; until then, the command can bring the region
/// back. The environment stays ready.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants change-regions ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment production \\\n    ",
    "--replica-region eu-west-1\n  ",
    "freehold tenants change-regions ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment production --no-replicas\n\n",
    exit_codes!(),
))]
pub(super) struct ChangeRegionsArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME")]
    environment: String,
    /// Replica region that the environment should have; repeatable, at most 3
    #[arg(long = "replica-region", value_name = "REGION", required_unless_present = "no_replicas")]
    replica_regions: Vec<String>,
    /// Remove all replica regions
    #[arg(long, conflicts_with = "replica_regions")]
    no_replicas: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ChangeRegionsArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = args.id.resolve_for_change(&api).await?;
    let patch = EnvironmentPatch { replica_regions: Some(args.replica_regions), front_door: None };
    // `If-Match: *` skips the check for concurrent changes, because the command does not show the current values first.
    let path = environment_path(&tenant, &args.environment);
    let environment: Environment = api.patch(&path, "*", &patch).await?;
    if args.client.output == Format::Json {
        output::print_json(&environment)?;
    } else {
        output::print_field("environment", &environment.name)?;
        output::print_field("state", &environment.state)?;
        output::print_field("operation", &environment.operation_id)?;
        show::print_regions(std::slice::from_ref(&environment))?;
        let has = |states: &[&str]| environment.regions.iter().any(|region| states.contains(&region.state.as_str()));
        if has(&["leaving"]) {
            output::print_note("the stack of a leaving region is deleted after the cooling-off period");
        }
        if has(&["pending", "deploying", "updating", "failed", "unreachable"]) {
            output::print_note(format!("to watch the operation: freehold tenants watch {tenant}"));
        }
    }
    Ok(Exit::Success)
}
