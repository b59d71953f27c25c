//! `freehold operations`: work on environments, step by step, and what a person can do about it.

mod remedies;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use freehold_api::schema::{FleetHoldList, Operation, OperationPage, Step};

use crate::client::{ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};
use crate::format_queue;
use crate::output::{self, Format};

/// Look at operations, and do something about those that need attention
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
    Retry(remedies::RetryArgs),
    Cancel(remedies::CancelArgs),
    Adopt(remedies::AdoptArgs),
    Approve(remedies::DecideArgs),
    /// Reject what another person has asked for
    Reject(remedies::DecideArgs),
}

/// List operations, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold operations list --state needs_attention\n  \
    freehold operations list --code account_email_taken --output json | jq -r '.[].id'")]
struct ListArgs {
    /// Only those that are pending, running, needs_attention, succeeded, failed or canceled
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those that need attention for this reason
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only those of this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Show one operation with its steps
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold operations show op_01k2m8v3x9e7rt4s5q6w7y8z9c\n\n", exit_codes!()))]
struct ShowArgs {
    /// The operation: op_…
    #[arg(value_name = "OPERATION")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: OperationsArgs) -> anyhow::Result<Exit> {
    match args.command {
        OperationsCommand::List(args) => list(args).await,
        OperationsCommand::Show(args) => {
            let operation = args.client.api()?.get(&path(&args.id), &[]).await?;
            show(&operation, args.client.output)
        }
        OperationsCommand::Retry(args) => remedies::retry(args).await,
        OperationsCommand::Cancel(args) => remedies::cancel(args).await,
        OperationsCommand::Adopt(args) => remedies::adopt(args).await,
        OperationsCommand::Approve(args) => remedies::decide(args, "approve").await,
        OperationsCommand::Reject(args) => remedies::decide(args, "reject").await,
    }
}

fn path(id: &str) -> String {
    format!("/v1/operations/{}", in_path(id))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let query =
        [("page_size", Some("200".to_owned())), ("state", args.state), ("code", args.code), ("tenant", args.tenant)];
    let mut operations = Vec::new();
    let api = args.client.api()?;
    api.pages("/v1/operations", &query, |page| {
        let page: OperationPage = serde_json::from_value(page)?;
        operations.extend(page.operations);
        Ok(page.next_page_token)
    })
    .await?;
    let held: FleetHoldList = api.get("/v1/fleet-holds", &[]).await?;
    for hold in held.holds {
        let until = hold.probe_at.format("%Y-%m-%d %H:%M:%S");
        output::note(format!(
            "{} {} operations wait; the next try is at {until} UTC ({}).",
            hold.message, hold.waiting, hold.code
        ));
    }
    if args.client.output == Format::Json {
        output::json(&operations)?;
        return Ok(Exit::Done);
    }
    let mut table = output::table(["operation", "kind", "state", "tenant", "environment", "accepted", "attention"]);
    for operation in &operations {
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
    output::show(&table)?;
    Ok(Exit::Done)
}

/// Shows an operation; that it needs attention is also the exit code.
fn show(operation: &Operation, format: Format) -> anyhow::Result<Exit> {
    let exit = if operation.state == "needs_attention" { Exit::NeedsAttention } else { Exit::Done };
    if format == Format::Json {
        output::json(operation)?;
        return Ok(exit);
    }
    let subject = format!("{} of {}", operation.environment, operation.tenant_id);
    let facts = [
        ("operation", operation.id.as_str()),
        ("kind", &operation.kind),
        ("environment", &subject),
        ("state", &operation.state),
        ("asked for by", &operation.requested_by),
    ];
    for (name, value) in facts {
        output::line(format!("{name:12} {value}"))?;
    }
    if let Some(queue) = &operation.queue {
        output::line(format!("{:12} {}", "in line", format_queue::told(queue)))?;
    }
    if let Some(attention) = &operation.attention {
        output::line(format!("{:12} {} ({})", "attention", attention.message, attention.code))?;
        output::line(format!("{:12} {}", "remedies", attention.remedies.join(", ")))?;
    }
    for approval in operation.approvals.iter().flatten().filter(|approval| approval.state == "pending") {
        let asked = format!("{} {}, asked for by {}", approval.action, approval.request, approval.requested_by);
        output::line(format!("{:12} {asked}; hash {}", "to approve", approval.request_hash))?;
    }
    let mut table = output::table(["step", "state", "attempts", "what it waits for, or what it has learnt"]);
    for step in operation.steps.iter().flatten() {
        table.add_row([
            step.name.as_str(),
            &step.state,
            &step.attempts.to_string(),
            &step_note(step, operation.updated_at),
        ]);
    }
    output::show(&table)?;
    Ok(exit)
}

/// What there is to say of a step; `at` is when it was true.
fn step_note(step: &Step, at: DateTime<Utc>) -> String {
    if let Some(error) = &step.last_error {
        return error.clone();
    }
    match (&step.waits_for, step.check_at) {
        (Some(what), Some(until)) => {
            let format = if until.date_naive() == at.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
            format!("{what}; looks again at {}", until.format(format))
        }
        (Some(what), None) => what.clone(),
        (None, _) => {
            let facts = step.facts.iter().filter(|(_, value)| value.is_string() || value.is_number());
            facts
                .map(|(name, value)| format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned)))
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}
