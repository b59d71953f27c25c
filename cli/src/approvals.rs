//! `freehold approvals`: list and show the requests that need a second person, and decide on them.

use clap::{Args, Subcommand};
use freehold_api::schema::{ApprovalDecision, ApprovalDetails, ApprovalPage};

use crate::client::{ApiClient, ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format, ListFormat, TextTable};
use crate::tenant_reference::TenantReference;

/// List and show the requests that need a second person, and decide on them
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold approvals list --state pending\n\n",
    exit_codes!(),
))]
pub(crate) struct ApprovalsArgs {
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    List(ListArgs),
    Show(ShowArgs),
    Approve(ApproveArgs),
    Reject(RejectArgs),
}

/// List approvals, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold approvals list --state pending\n  \
    freehold approvals list --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b --output json | jq -r '.[].outcome'")]
struct ListArgs {
    /// Only approvals in this state: pending, approved, rejected, expired
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only approvals of this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

/// Show an approval: the request, its requester, the decision, its reason and the result
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold approvals show apr_01k2m8v3x9e7rt4s5q6w7y8z9d\n\n",
    exit_codes!(),
))]
struct ShowArgs {
    /// Id of the approval (apr_…)
    #[arg(value_name = "APPROVAL")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Approve a request of another person
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold approvals approve apr_01k2m8v3x9e7rt4s5q6w7y8z9d --request-hash 9f86d081…\n\n",
    exit_codes!(),
))]
struct ApproveArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// Reason of the decision
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Reject a request
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold approvals reject apr_01k2m8v3x9e7rt4s5q6w7y8z9d --request-hash 9f86d081… \\\n    ",
    "--reason 'The contract is not signed.'\n\n",
    exit_codes!(),
))]
struct RejectArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// Reason of the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct RequestArgs {
    /// Id of the approval (apr_…)
    #[arg(value_name = "APPROVAL")]
    id: String,
    /// Hash of the request, or at least its first 8 characters
    #[arg(long, value_name = "HASH")]
    request_hash: String,
}

pub(crate) async fn run(args: ApprovalsArgs) -> anyhow::Result<Exit> {
    match args.command {
        ApprovalsCommand::List(args) => list(args).await,
        ApprovalsCommand::Show(args) => {
            let approval = args.client.api_client()?.get(&path(&args.id), &[]).await?;
            print_approval(&approval, args.client.output)?;
            Ok(Exit::Success)
        }
        ApprovalsCommand::Approve(args) => decide(&args.request, "approve", args.reason, &args.client).await,
        ApprovalsCommand::Reject(args) => decide(&args.request, "reject", Some(args.reason), &args.client).await,
    }
}

fn path(id: &str) -> String {
    format!("/v1/approvals/{}", encode_path_segment(id))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = TenantReference::resolve_filter(args.tenant.as_ref(), &api).await?;
    let query = [("page_size", Some("200".to_owned())), ("state", args.state), ("tenant", tenant)];
    let mut approvals = Vec::new();
    api.for_each_page("/v1/approvals", &query, |page| {
        let page: ApprovalPage = serde_json::from_value(page)?;
        approvals.extend(page.approvals);
        Ok(page.next_page_token)
    })
    .await?;
    output::print_list(&approvals, args.client.output, approval_table)?;
    Ok(Exit::Success)
}

fn approval_table(approvals: &[ApprovalDetails]) -> TextTable {
    let mut table =
        output::new_table(["approval", "state", "action", "company", "environment", "requested", "by", "hash"]);
    for approval in approvals {
        let requested = approval.requested_at.format("%Y-%m-%d %H:%M:%S").to_string();
        table.add_row([
            approval.id.as_str(),
            &approval.state,
            &approval.action,
            &approval.company_name,
            approval.environment.as_deref().unwrap_or("-"),
            &requested,
            &approval.requested_by,
            approval.request_hash.get(..12).unwrap_or_default(),
        ]);
    }
    table
}

async fn decide(
    request: &RequestArgs,
    action: &str,
    reason: Option<String>,
    client: &ClientArgs,
) -> anyhow::Result<Exit> {
    let api = client.api_client()?;
    let request_hash = full_hash(&api, request).await?;
    let body = ApprovalDecision { request_hash, reason };
    let approval = api.post(&format!("{}/{action}", path(&request.id)), &[], Some(&body)).await?;
    print_approval(&approval, client.output)?;
    Ok(Exit::Success)
}

/// Returns the full hash of the approval if its hash starts with the given one. A full hash is returned unchanged.
async fn full_hash(api: &ApiClient, request: &RequestArgs) -> anyhow::Result<String> {
    const FULL_LENGTH: usize = 64;
    const MIN_LENGTH: usize = 8;
    let (id, hash) = (&request.id, &request.request_hash);
    if hash.len() >= FULL_LENGTH {
        return Ok(hash.clone());
    }
    let approval: ApprovalDetails = api.get(&path(id), &[]).await?;
    if hash.len() >= MIN_LENGTH && approval.request_hash.starts_with(hash.as_str()) {
        return Ok(approval.request_hash);
    }
    Err(Exit::NotFound
        .error(format!("the hash of approval {id} does not start with {hash} (give at least {MIN_LENGTH} characters)")))
}

/// Prints an approval with its request in plain fields.
pub(crate) fn print_approval(approval: &ApprovalDetails, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print_json(approval);
    }
    let time = |at: &chrono::DateTime<chrono::Utc>| format!("{} UTC", at.format("%Y-%m-%d %H:%M:%S"));
    output::print_field("approval", &approval.id)?;
    output::print_field("action", &approval.action)?;
    output::print_field("state", &approval.state)?;
    output::print_field("tenant", format!("{} ({})", approval.company_name, approval.tenant_id))?;
    if let Some(environment) = &approval.environment {
        output::print_field("environment", environment)?;
    }
    if let (Some(id), Some(kind), Some(state)) =
        (&approval.operation_id, &approval.operation_kind, &approval.operation_state)
    {
        output::print_field("operation", format!("{id} ({kind}, {state})"))?;
    }
    for (name, value) in approval.request.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output::print_field(&format!("request {name}"), value)?;
    }
    output::print_field("request hash", &approval.request_hash)?;
    output::print_field("requested", format!("{} by {}", time(&approval.requested_at), approval.requested_by))?;
    if let (Some(at), Some(by)) = (&approval.decided_at, &approval.decided_by) {
        output::print_field("decided", format!("{} by {by}", time(at)))?;
    }
    if let Some(reason) = &approval.reason {
        output::print_field("reason", reason)?;
    }
    output::print_field("outcome", &approval.outcome)?;
    Ok(())
}
