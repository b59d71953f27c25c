//! `freehold tenants update`: update the details of a tenant.

use anyhow::{Context, bail};
use clap::Args;
use freehold_api::schema::{ApprovalDetails, MaintenanceWindow, Tenant};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::create::parse_label;
use super::{show, tenant_path};
use crate::approvals::print_approval;
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output;
use crate::tenant_reference::TenantReference;

/// Update the details of a tenant; fields without an option stay unchanged
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants update ten_01k2m8v3x9e7rt4s5q6w7y8z9b --tier enterprise --label team=north\n  ",
    "freehold tenants update ten_01k2m8v3x9e7rt4s5q6w7y8z9b --external-id '' --remove-label pilot\n  ",
    "freehold tenants update ten_01k2m8v3x9e7rt4s5q6w7y8z9b \\\n    ",
    "--maintenance-window 'sat,sun 22:00 240 Europe/Berlin'\n\n",
    "The names of AWS accounts do not change. A new administrator gets the access of the old one, if the tier has a \
     tenant group. Access that comes with a new tier is granted by the next reconcile \
     run. A tier that requires approval must be set alone, and needs the approval of a second person.\n\n",
    exit_codes!(),
))]
pub(super) struct UpdateArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    id: TenantReference,
    /// Company name of the customer
    #[arg(long, value_name = "NAME")]
    company_name: Option<String>,
    /// E-mail address of the tenant's administrator
    #[arg(long, value_name = "EMAIL")]
    admin_email: Option<String>,
    /// Tier (commercial plan) of the tenant
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Id of the customer in your SaaS; '' removes it
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Label to add or replace; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
    /// Label to remove; repeatable
    #[arg(long = "remove-label", value_name = "KEY")]
    removed: Vec<String>,
    /// Weekly time in which updates may start: days, start, length in minutes and time zone, separated by spaces;
    /// repeatable; replaces all present ones
    #[arg(long = "maintenance-window", value_name = "WINDOW", value_parser = parse_window)]
    windows: Vec<MaintenanceWindow>,
    /// Allow updates at any time
    #[arg(long, conflicts_with = "windows")]
    no_maintenance_windows: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: UpdateArgs) -> anyhow::Result<Exit> {
    let labels = args.removed.into_iter().map(|key| (key, Value::Null));
    let labels: Map<_, _> = labels.chain(args.labels.into_iter().map(|(key, value)| (key, value.into()))).collect();
    let mut patch = Map::new();
    patch.extend(args.company_name.map(|name| ("company_name".to_owned(), name.into())));
    patch.extend(args.admin_email.map(|email| ("admin_email".to_owned(), email.into())));
    patch.extend(args.tier.map(|tier| ("tier".to_owned(), tier.into())));
    patch.extend(
        args.external_id.map(|id| ("external_id".to_owned(), if id.is_empty() { Value::Null } else { id.into() })),
    );
    if !labels.is_empty() {
        patch.insert("labels".to_owned(), json!(labels));
    }
    if args.no_maintenance_windows || !args.windows.is_empty() {
        patch.insert("maintenance_windows".to_owned(), json!(args.windows));
    }
    if patch.is_empty() {
        bail!(
            "nothing to update; set --company-name, --admin-email, --tier, --external-id, --label, --remove-label, \
             --maintenance-window or --no-maintenance-windows"
        );
    }
    let api = args.client.api_client()?;
    let tenant = args.id.resolve_for_change(&api).await?;
    // `If-Match: *` skips the check for concurrent changes, because the command does not show the current values first.
    match api.patch(&tenant_path(&tenant), "*", &patch).await? {
        UpdateResult::Waiting(approval) => {
            output::print_note(format!(
                "nothing is changed yet: the tier needs the approval of a second person, with: freehold approvals \
                 approve {} --request-hash {}",
                approval.id, approval.request_hash
            ));
            print_approval(&approval, args.client.output)?;
        }
        UpdateResult::Updated(tenant) => show::print_tenant(&tenant, &[], args.client.output)?,
    }
    Ok(Exit::Success)
}

/// Parses a maintenance window, such as `sat,sun 22:00 240 Europe/Berlin`. The API checks its parts.
fn parse_window(text: &str) -> anyhow::Result<MaintenanceWindow> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [days, start, minutes, time_zone] = words[..] else {
        bail!("must be days, start, minutes and time zone, such as: sat,sun 22:00 240 Europe/Berlin");
    };
    Ok(MaintenanceWindow {
        days: days.split(',').map(ToOwned::to_owned).collect(),
        start: start.to_owned(),
        minutes: minutes.parse().context("the minutes must be a whole number")?,
        time_zone: time_zone.to_owned(),
    })
}

/// Response to an update.
#[derive(Deserialize)]
#[serde(untagged)]
enum UpdateResult {
    /// The change of the tier waits for approval.
    Waiting(Box<ApprovalDetails>),
    Updated(Box<Tenant>),
}
