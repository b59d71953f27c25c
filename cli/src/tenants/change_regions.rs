//! `freehold tenants change-regions`: add and remove replica regions of an environment.

use clap::Args;
use freehold_api::schema::{Environment, EnvironmentPatch, Tenant};

use super::{COOLING_OFF_PERIOD, environment_path, get_tenant, show};
use crate::client::ClientArgs;
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
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
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ChangeRegionsArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = args.id.resolve_for_change(&api).await?;
    if !args.confirmation.is_skipped() {
        confirm_removal(&get_tenant(&api, &tenant).await?, &args)?;
    }
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

/// Asks for a confirmation if the command removes regions.
fn confirm_removal(tenant: &Tenant, args: &ChangeRegionsArgs) -> anyhow::Result<()> {
    let environment = tenant.environments.iter().rev().find(|environment| environment.name == args.environment);
    let regions = environment.into_iter().flat_map(|environment| &environment.regions);
    let replicas = regions.filter(|region| region.role == "replica" && region.state != "leaving");
    let removed: Vec<_> = replicas.map(|one| &*one.region).filter(|name| !is_kept(name, args)).collect();
    if removed.is_empty() || !args.confirmation.must_ask()? {
        return Ok(());
    }
    let consequences = format!(
        "This removes {} from the environment {} of {} ({}). At the end of {COOLING_OFF_PERIOD}, the stacks there are \
         deleted with their data. Until then, the same command with these regions undoes this.",
        removed.join(", "),
        args.environment,
        tenant.company_name,
        tenant.id
    );
    confirm(&consequences, Answer::CompanyName(&tenant.company_name))
}

fn is_kept(region: &str, args: &ChangeRegionsArgs) -> bool {
    args.replica_regions.iter().any(|kept| kept == region)
}
