//! `freehold tenants suspend` and `resume`: suspend a tenant without a countdown to deletion, and end the suspension.

use clap::Args;
use freehold_api::schema::{ResumeRequest, SuspendRequest, Tenant};
use serde::Serialize;

use super::show;
use crate::client::{ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};

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
    /// Id of the tenant (ten_…)
    #[arg(value_name = "TENANT")]
    id: String,
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
    /// Id of the tenant (ten_…)
    #[arg(value_name = "TENANT")]
    id: String,
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

async fn post(client: &ClientArgs, id: &str, action: &str, body: &impl Serialize) -> anyhow::Result<Exit> {
    let path = format!("/v1/tenants/{}/{action}", encode_path_segment(id));
    let tenant: Tenant = client.api_client()?.post(&path, &[], Some(body)).await?;
    show::print_tenant(&tenant, &[], client.output)?;
    Ok(Exit::Success)
}
