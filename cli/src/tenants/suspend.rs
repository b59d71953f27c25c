//! `freehold tenants suspend` and `resume`: suspend a tenant without a countdown to deletion, and end the suspension.

use clap::Args;
use freehold_api::schema::{ResumeRequest, SuspendRequest, Tenant};
use serde::Serialize;

use super::{get_tenant, show, tenant_path};
use crate::client::{ApiClient, ClientArgs};
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
use crate::exit::{Exit, exit_codes};
use crate::output::Format;
use crate::tenant_reference::TenantReference;

/// Suspend a tenant without a countdown to deletion
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants suspend ten_01k2m8v3x9e7rt4s5q6w7y8z9b --reason non_payment\n  ",
    "freehold tenants suspend ten_01k2m8v3x9e7rt4s5q6w7y8z9b --reason abuse --note 'Abuse report 4711'\n\n",
    "Moves the AWS accounts to quarantine and revokes all access until `freehold tenants resume`. Deletes nothing. \
     Needs the scope tenants:suspend.\n\n",
    exit_codes!(),
))]
pub(super) struct SuspendArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Reason: non_payment, abuse, security, customer_request, other
    #[arg(long, value_name = "REASON")]
    reason: String,
    /// Details for your staff; required with the reason other
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// Resume a suspended tenant
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold tenants resume ten_01k2m8v3x9e7rt4s5q6w7y8z9b --reason 'Invoice 4711 is paid.'\n\n",
    "Moves the AWS accounts back, assigns the access again and verifies each environment. Needs the scope \
     tenants:suspend.\n\n",
    exit_codes!(),
))]
pub(super) struct ResumeArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Reason for the end of the suspension
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn suspend(args: SuspendArgs) -> anyhow::Result<Exit> {
    let must_ask = args.confirmation.must_ask()?;
    let api = args.client.api_client()?;
    let id = args.id.resolve_for_change(&api).await?;
    if must_ask {
        let tenant = get_tenant(&api, &id).await?;
        let consequences = format!(
            "This suspends {} ({id}): all access to its AWS accounts is blocked. Nothing is deleted, and `freehold \
             tenants resume` undoes this at any time.",
            tenant.company_name
        );
        confirm(&consequences, Answer::Yes)?;
    }
    let request = SuspendRequest { reason: args.reason, note: args.note };
    post(&api, &id, "suspend", &request, args.client.output).await
}

pub(super) async fn resume(args: ResumeArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let id = args.id.resolve_for_change(&api).await?;
    post(&api, &id, "resume", &ResumeRequest { reason: args.reason }, args.client.output).await
}

async fn post(api: &ApiClient, id: &str, action: &str, body: &impl Serialize, format: Format) -> anyhow::Result<Exit> {
    let tenant: Tenant = api.post(&format!("{}/{action}", tenant_path(id)), &[], Some(body)).await?;
    show::print_tenant(&tenant, &[], format)?;
    Ok(Exit::Success)
}
