//! `freehold operations`: list and show operations, and act on those that need attention.

mod bundle;
mod remedies;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use freehold_api::schema::{FleetHoldList, Operation, OperationPage, Step, Vending};

use crate::client::{ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::format_queue::format_queue;
use crate::output::{self, Format, ListFormat, TextTable};
use crate::tenant_reference::TenantReference;

macro_rules! decision_example {
    ($command:literal, $reason:literal) => {
        concat!(
            "Example:\n  freehold operations ",
            $command,
            " op_01k2m8v3x9e7rt4s5q6w7y8z9c --request-hash 9f86d081…",
            $reason,
            "\n\n`freehold approvals list --state pending` prints pending requests with their hashes.\n\n",
            exit_codes!(),
        )
    };
}

/// List and show operations, and act on those that need attention
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations list --state needs_attention\n\n",
    exit_codes!(),
))]
pub(crate) struct OperationsArgs {
    #[command(subcommand)]
    command: OperationsCommand,
}

#[derive(Debug, Subcommand)]
enum OperationsCommand {
    List(ListArgs),
    Show(ShowArgs),
    Bundle(bundle::BundleArgs),
    Retry(remedies::RetryArgs),
    Cancel(remedies::CancelArgs),
    Adopt(remedies::AdoptArgs),
    /// Approve a request of another person
    #[command(after_help = decision_example!("approve", ""))]
    Approve(remedies::ApproveArgs),
    /// Reject a request of another person
    #[command(after_help = decision_example!("reject", " --reason 'The contract is not signed.'"))]
    Reject(remedies::RejectArgs),
}

/// List operations, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold operations list --state needs_attention\n  \
    freehold operations list --code account_email_taken --output json | jq -r '.[].id'")]
struct ListArgs {
    /// Only operations in this state: pending, running, needs_attention, succeeded, failed, canceled
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only operations with this attention code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only operations of this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

/// Show an operation with its steps
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations show op_01k2m8v3x9e7rt4s5q6w7y8z9c\n\n",
    exit_codes!(),
))]
struct ShowArgs {
    /// Id of the operation (op_…)
    #[arg(value_name = "OPERATION")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: OperationsArgs) -> anyhow::Result<Exit> {
    match args.command {
        OperationsCommand::List(args) => list(args).await,
        OperationsCommand::Show(args) => {
            let operation = args.client.api_client()?.get(&operation_path(&args.id), &[]).await?;
            print_operation(&operation, args.client.output)
        }
        OperationsCommand::Bundle(args) => bundle::download(args).await,
        OperationsCommand::Retry(args) => remedies::retry(args).await,
        OperationsCommand::Cancel(args) => remedies::cancel(args).await,
        OperationsCommand::Adopt(args) => remedies::adopt(args).await,
        OperationsCommand::Approve(args) => remedies::approve(args).await,
        OperationsCommand::Reject(args) => remedies::reject(args).await,
    }
}

fn operation_path(id: &str) -> String {
    format!("/v1/operations/{}", encode_path_segment(id))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = TenantReference::resolve_filter(args.tenant.as_ref(), &api).await?;
    let query = [("page_size", Some("200".to_owned())), ("state", args.state), ("code", args.code), ("tenant", tenant)];
    let mut operations = Vec::new();
    api.for_each_page("/v1/operations", &query, |page| {
        let page: OperationPage = serde_json::from_value(page)?;
        operations.extend(page.operations);
        Ok(page.next_page_token)
    })
    .await?;
    let vending: Vending = api.get("/v1/vending", &[]).await?;
    if let Some(message) = vending.message {
        output::print_note(format!("{message} {} operations wait.", vending.waiting));
    }
    let fleet_holds: FleetHoldList = api.get("/v1/fleet-holds", &[]).await?;
    for hold in fleet_holds.holds {
        let probe_at = hold.probe_at.format("%Y-%m-%d %H:%M:%S");
        output::print_note(format!(
            "fleet hold {}: {} {} operations wait; next retry at {probe_at} UTC",
            hold.code, hold.message, hold.waiting
        ));
    }
    output::print_list(&operations, args.client.output, operation_table)?;
    Ok(Exit::Success)
}

fn operation_table(operations: &[Operation]) -> TextTable {
    let mut table = output::new_table(["operation", "kind", "state", "tenant", "environment", "accepted", "attention"]);
    for operation in operations {
        let accepted = operation.created_at.format("%Y-%m-%d %H:%M:%S").to_string();
        table.add_row([
            operation.id.as_str(),
            &operation.kind,
            &operation.state,
            &operation.tenant_id,
            &operation.environment,
            &accepted,
            operation.attention.as_ref().map_or("-", |attention| &attention.code),
        ]);
    }
    table
}

/// Prints an operation. Returns [`Exit::NeedsAttention`] if the operation needs attention.
fn print_operation(operation: &Operation, format: Format) -> anyhow::Result<Exit> {
    let exit = if operation.state == "needs_attention" { Exit::NeedsAttention } else { Exit::Success };
    if format == Format::Json {
        output::print_json(operation)?;
        return Ok(exit);
    }
    let subject = format!("{} of {}", operation.environment, operation.tenant_id);
    let fields = [
        ("operation", operation.id.as_str()),
        ("kind", &operation.kind),
        ("environment", &subject),
        ("state", &operation.state),
        ("requested by", &operation.requested_by),
    ];
    for (name, value) in fields {
        output::print_field(name, value)?;
    }
    if let Some(queue) = &operation.queue {
        output::print_field("queue position", format_queue(queue))?;
    }
    if let Some(hold) = &operation.fleet_hold {
        let since = hold.since.format("%Y-%m-%d %H:%M:%S");
        output::print_field("fleet hold", format!("{} ({}, since {since} UTC)", hold.message, hold.code))?;
    }
    if let Some(attention) = &operation.attention {
        output::print_field("attention", format!("{} ({})", attention.message, attention.code))?;
        if let Some(id) = &attention.aws_request_id {
            output::print_field("AWS request", id)?;
        }
        output::print_field("remedies", attention.remedies.join(", "))?;
    }
    for sentence in customer_sentences(operation) {
        output::print_field("tell the customer", sentence)?;
    }
    if let Some(failure) = &operation.failure {
        output::print_field("failure", format!("{} ({})", failure.message, failure.code))?;
    }
    for approval in operation.approvals.iter().flatten().filter(|approval| approval.state == "pending") {
        let request = format!("{} {}, requested by {}", approval.action, approval.request, approval.requested_by);
        output::print_field("needs approval", format!("{request}; request hash {}", approval.request_hash))?;
    }
    let mut table = output::new_table(["step", "state", "attempts", "details"]);
    for step in operation.steps.iter().flatten() {
        table.add_row([
            step.name.as_str(),
            &step.state,
            &step.attempts.to_string(),
            &step_details(step, operation.updated_at),
        ]);
    }
    output::print_table(&table)?;
    Ok(exit)
}

/// Returns the sentence of the attention; without attention, the sentences of all waits.
fn customer_sentences(operation: &Operation) -> BTreeSet<&str> {
    match &operation.attention {
        // An older server sends no sentence.
        Some(attention) => Some(attention.tell_customer.as_str()).filter(|it| !it.is_empty()).into_iter().collect(),
        None => operation.steps.iter().flatten().filter_map(|step| step.tell_customer.as_deref()).collect(),
    }
}

/// Returns the last error, the reason of a skip or wait, or the facts of a step. The date of the next check is included
/// only if it differs from the date of `updated_at`.
fn step_details(step: &Step, updated_at: DateTime<Utc>) -> String {
    if let Some(error) = &step.last_error {
        return error.clone();
    }
    if let Some(reason) = &step.reason {
        return format!("nothing to do: {reason}");
    }
    match (&step.waits_for, step.check_at) {
        (Some(waits_for), Some(check_at)) => {
            let is_same_day = check_at.date_naive() == updated_at.date_naive();
            let format = if is_same_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
            format!("waiting for {waits_for}; next check at {} UTC", check_at.format(format))
        }
        (Some(waits_for), None) => format!("waiting for {waits_for}"),
        (None, _) => {
            let facts = step.facts.iter().filter(|(_, value)| value.is_string() || value.is_number());
            facts
                .map(|(name, value)| format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned)))
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}
