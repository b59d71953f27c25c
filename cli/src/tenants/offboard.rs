//! `freehold tenants offboard`, `restore` and `legal-hold`: offboard and restore tenants, and set legal holds.

use clap::Args;
use freehold_api::schema::{LegalHold, Tenant};

use super::{COOLING_OFF_PERIOD, environment_path, get_tenant, show, tenant_path};
use crate::client::ClientArgs;
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
use crate::exit::{Exit, exit_codes};
use crate::output;
use crate::tenant_reference::TenantReference;

/// Offboard a tenant or one of its environments
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants offboard ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n  ",
    "freehold tenants offboard ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging --close-account\n\n",
    "Access is suspended immediately. `freehold tenants restore` works until the cooling-off period ends; then the \
     stacks are deleted. The AWS accounts stay open, except with --close-account, which a second person must \
     approve.\n\n",
    exit_codes!(),
))]
pub(super) struct OffboardArgs {
    #[command(flatten)]
    target: Target,
    /// Also close the AWS accounts at the end; a second person must approve
    #[arg(long)]
    close_account: bool,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// Restore a tenant or one of its environments before its cooling-off period ends
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold tenants restore ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n",
    exit_codes!(),
))]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    client: ClientArgs,
}

/// Place a legal hold on a tenant, or lift it
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants legal-hold ten_01k2m8v3x9e7rt4s5q6w7y8z9b --reason 'Court case 4711'\n  ",
    "freehold tenants legal-hold ten_01k2m8v3x9e7rt4s5q6w7y8z9b --lift\n\n",
    exit_codes!(),
))]
pub(super) struct LegalHoldArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Reason for the legal hold
    #[arg(long, value_name = "TEXT", required_unless_present = "lift", conflicts_with = "lift")]
    reason: Option<String>,
    /// Lift the legal hold; needs the scope legal-holds:lift
    #[arg(long)]
    lift: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct Target {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Only this environment [default: all environments]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

impl Target {
    /// Returns the path of the tenant or environment in the API.
    fn path(&self, tenant: &str) -> String {
        self.environment.as_ref().map_or_else(|| tenant_path(tenant), |name| environment_path(tenant, name))
    }
}

pub(super) async fn offboard(args: OffboardArgs) -> anyhow::Result<Exit> {
    let query = [("close_account", args.close_account.then(|| "true".to_owned()))];
    let must_ask = args.confirmation.must_ask()?;
    let api = args.client.api_client()?;
    let tenant = args.target.id.resolve_for_change(&api).await?;
    if must_ask {
        let tenant = get_tenant(&api, &tenant).await?;
        confirm(&consequences(&tenant, &args), Answer::CompanyName(&tenant.company_name))?;
    }
    let tenant: Tenant = api.delete(&args.target.path(&tenant), &query).await?;
    let offboarding = tenant.environments.iter().filter(|environment| environment.state == "offboarding");
    for environment in offboarding.filter(|_| args.close_account) {
        let (name, operation) = (&environment.name, &environment.operation_id);
        output::print_note(format!(
            "closing the AWS account of environment {name} needs the approval of a second person; get the request \
             hash with: freehold operations show {operation}"
        ));
    }
    show::print_tenant(&tenant, &[], args.client.output)?;
    Ok(Exit::Success)
}

/// Returns the consequences of an offboarding.
fn consequences(tenant: &Tenant, args: &OffboardArgs) -> String {
    let environments = match &args.target.environment {
        Some(name) => format!("the environment {name}"),
        None => "all remaining environments".to_owned(),
    };
    let account = if args.close_account {
        "; if a second person approves, the AWS accounts are closed, which AWS can undo within 90 days"
    } else {
        ""
    };
    format!(
        "This offboards {environments} of {} ({}). All access is suspended immediately. `freehold tenants restore` \
         undoes this until the end of {COOLING_OFF_PERIOD}. Then the stacks are deleted with their data{account}.",
        tenant.company_name, tenant.id
    )
}

pub(super) async fn restore(args: RestoreArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = args.target.id.resolve_for_change(&api).await?;
    let path = format!("{}/restore", args.target.path(&tenant));
    let tenant: Tenant = api.post(&path, &[], None::<&()>).await?;
    show::print_tenant(&tenant, &[], args.client.output)?;
    Ok(Exit::Success)
}

pub(super) async fn legal_hold(args: LegalHoldArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let path = format!("{}/legal-hold", tenant_path(&args.id.resolve_for_change(&api).await?));
    let tenant: Tenant = match args.reason {
        Some(reason) => api.put(&path, &LegalHold { reason }).await?,
        None => api.delete(&path, &[]).await?,
    };
    show::print_tenant(&tenant, &[], args.client.output)?;
    Ok(Exit::Success)
}
