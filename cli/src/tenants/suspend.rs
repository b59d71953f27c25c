//! `freehold tenants suspend` and `resume`: suspend a tenant without a countdown to deletion, and end the suspension.

use clap::Args;
use freehold_api::schema::{ResumeRequest, SuspendRequest, Tenant};
use serde::Serialize;

use super::{show, tenant_path};
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
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
    post(&args.client, &args.id, "suspend", &SuspendRequest { reason: args.reason, note: args.note }).await
}

pub(super) async fn resume(args: ResumeArgs) -> anyhow::Result<Exit> {
    post(&args.client, &args.id, "resume", &ResumeRequest { reason: args.reason }).await
}

async fn post(
    client: &ClientArgs,
    tenant: &TenantReference,
    action: &str,
    body: &impl Serialize,
) -> anyhow::Result<Exit> {
    let api = client.api_client()?;
    let path = format!("{}/{action}", tenant_path(&tenant.resolve_for_change(&api).await?));
    let tenant: Tenant = api.post(&path, &[], Some(body)).await?;
    show::print_tenant(&tenant, &[], client.output)?;
    Ok(Exit::Success)
}
