//! `freehold proof refresh`: observe an environment again and sign the result.

use clap::Args;
use freehold_api::schema::{Operation, ResidencyProof};
use serde_json::Value;

use super::path_of;
use crate::client::ClientArgs;
use crate::event_stream::follow_operation;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Refresh the residency proof of an environment
///
/// Starts an operation that observes the environment in AWS and signs the result. It only reads; the environment stays
/// ready.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold proof refresh ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging --wait\n\n",
    "Needs the scopes fleet and operations:write. With --wait, the exit code is 1 if no proof could be written, or if \
     the environment does not conform.\n\n",
    exit_codes!(),
))]
pub(super) struct RefreshArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    tenant: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    /// Wait until the proof is written
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: RefreshArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let path = path_of(&args.tenant.resolve_for_change(&api).await?, &args.environment);
    let started: Operation = api.post(&path, &[], None::<&()>).await?;
    if !args.wait {
        match args.client.output {
            Format::Json => output::print_json(&started)?,
            Format::Table => output::print_field("operation", &started.id)?,
        }
        return Ok(Exit::Success);
    }
    let operation = follow_operation(&api, &started.id, |_| Ok(())).await?;
    if operation.state != "succeeded" {
        let cause = operation.failure.map(|failure| failure.message).unwrap_or_default();
        return Err(Exit::Failure.error(format!("no proof was written, the operation is {}. {cause}", operation.state)));
    }
    let proof: ResidencyProof = api.get(&path, &[]).await?;
    if args.client.output == Format::Json {
        output::print_json(&proof)?;
    } else {
        output::print_field("operation", &operation.id)?;
        output::print_field("observed", proof.observed_at.format("%Y-%m-%d %H:%M:%S UTC"))?;
        output::print_field("conforms", if proof.conforms { "yes" } else { "NO" })?;
        for reason in proof.document["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output::print_field("", format!("- {reason}"))?;
        }
    }
    Ok(if proof.conforms { Exit::Success } else { Exit::Failure })
}
