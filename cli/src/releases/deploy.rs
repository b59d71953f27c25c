//! `freehold releases preview, deploy`: show what a release would change in an environment, and update it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use freehold_api::schema::{NewPreview, NewUpdate, Operation, ReleaseOperation};
use serde::Deserialize;

use super::register::split;
use crate::client::{ApiClient, ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;
use crate::tenants::{environment_path, get_tenant};

/// Pause between two reads of an operation.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Show what a release would change in an environment
///
/// CloudFormation compares the release with each stack of the environment. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold releases preview rel_01k2m8v3x9e7rt4s5q6w7y8z9a ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n",
    "The token needs the scopes fleet, tenants:read, operations:read and releases:write.\n\n",
    exit_codes!(),
))]
pub(super) struct PreviewArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    tenant: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Changes of one region in the result of a preview.
#[derive(Debug, Deserialize)]
struct RegionChanges {
    region: String,
    changes: Vec<Change>,
}

/// Change of one resource.
#[derive(Debug, Deserialize)]
struct Change {
    resource: String,
    #[serde(rename = "type")]
    resource_type: String,
    action: String,
    replacement: Option<String>,
    properties: Vec<String>,
}

pub(super) async fn preview(args: PreviewArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = get_tenant(&api, &args.tenant.resolve(&api).await?).await?;
    let environment = tenant.environments.iter().rev().find(|one| one.name == args.environment).ok_or_else(|| {
        Exit::Failure.error(format!("the tenant {} has no environment {}", tenant.id, args.environment))
    })?;
    let path = format!("/v1/releases/{}/preview", encode_path_segment(&args.release));
    let body = NewPreview { environment_id: environment.id.clone() };
    let started: ReleaseOperation = api.post(&path, &[], Some(&body)).await?;
    let operation = wait(&api, started.operation_id.as_deref().unwrap_or_default()).await?;
    if args.client.output == Format::Json {
        output::print_json(&operation)?;
        return Ok(exit_of(&operation));
    }
    if let Some(failure) = &operation.failure {
        return Err(Exit::Failure.error(failure.message.clone()));
    }
    let regions = operation.result.as_ref().and_then(|result| result.get("regions")).cloned().unwrap_or_default();
    let regions: Vec<RegionChanges> = serde_json::from_value(regions)?;
    let mut table = output::new_table(["region", "resource", "type", "action", "replacement", "properties"]);
    for RegionChanges { region, changes } in &regions {
        if changes.is_empty() {
            table.add_row([region.as_str(), "-", "-", "no change", "-", "-"]);
        }
        for change in changes {
            table.add_row([
                region.as_str(),
                &change.resource,
                &change.resource_type,
                &change.action.to_lowercase(),
                change.replacement.as_deref().unwrap_or("-"),
                &change.properties.join(", "),
            ]);
        }
    }
    output::print_table(&table)?;
    output::print_note("nothing was changed");
    Ok(Exit::Success)
}

/// Update an environment to a release
///
/// The environment stays ready. If the update fails, CloudFormation restores the release before. With --wait, the
/// command ends when the update has succeeded or failed.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold releases deploy rel_01k2m8v3x9e7rt4s5q6w7y8z9a ten_01k2m8v3x9e7rt4s5q6w7y8z9b --wait\n  ",
    "freehold releases deploy rel_01k2m8v3x9e7rt4s5q6w7y8z9a ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging\n\n",
    "The token needs the scopes fleet and releases:write, with --wait also operations:read. Exit code 1 if the update \
     fails.\n\n",
    exit_codes!(),
))]
pub(super) struct DeployArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    tenant: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    /// Start outside the maintenance windows of the tenant
    #[arg(long)]
    ignore_window: bool,
    /// Parameter of the environment, also for later updates; repeatable, replaces all others [default: keep them]
    #[arg(long, value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Reason for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until the update has ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn deploy(args: DeployArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = args.tenant.resolve_for_change(&api).await?;
    let path = format!("{}/updates", environment_path(&tenant, &args.environment));
    let parameters = args.parameter.iter().map(|entry| split(entry, '=', "--parameter NAME=VALUE"));
    let parameters: BTreeMap<_, _> = parameters.collect::<anyhow::Result<_>>()?;
    let body = NewUpdate {
        release: args.release,
        ignore_window: Some(args.ignore_window),
        parameters: (!parameters.is_empty()).then_some(parameters),
        reason: args.reason,
    };
    let started: ReleaseOperation = api.post(&path, &[], Some(&body)).await?;
    let Some(id) = &started.operation_id else {
        match args.client.output {
            Format::Json => output::print_json(&started)?,
            Format::Table => output::print_line("the environment has the release already")?,
        }
        return Ok(Exit::Success);
    };
    if !args.wait {
        match args.client.output {
            Format::Json => output::print_json(&started)?,
            Format::Table => output::print_field("operation", id)?,
        }
        output::print_note(format!("to watch the operation: freehold tenants watch {tenant}"));
        return Ok(Exit::Success);
    }
    let operation = wait(&api, id).await?;
    match args.client.output {
        Format::Json => output::print_json(&operation)?,
        Format::Table => {
            output::print_field("operation", id)?;
            output::print_field("state", &operation.state)?;
            if let Some(failure) = &operation.failure {
                output::print_field("reason", &failure.message)?;
            }
        }
    }
    Ok(exit_of(&operation))
}

/// Reads an operation until it has ended or needs a person.
async fn wait(api: &ApiClient, id: &str) -> anyhow::Result<Operation> {
    loop {
        let operation: Operation = api.get(&format!("/v1/operations/{}", encode_path_segment(id)), &[]).await?;
        if !matches!(operation.state.as_str(), "pending" | "running") {
            return Ok(operation);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn exit_of(operation: &Operation) -> Exit {
    match operation.state.as_str() {
        "succeeded" => Exit::Success,
        "needs_attention" => Exit::NeedsAttention,
        _ => Exit::Failure,
    }
}
