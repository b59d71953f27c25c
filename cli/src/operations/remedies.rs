//! `freehold operations retry`, `cancel`, `adopt`, `approve` and `reject`: apply remedies and decide on approvals.

use clap::Args;
use freehold_api::schema::{AdoptRequest, Approval, ApprovalDecision, Operation, RetryRequest};
use serde::Serialize;

use super::{operation_path, print_operation};
use crate::client::{ApiClient, ClientArgs};
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
use crate::exit::{Exit, exit_codes};
use crate::tenants::get_tenant;

/// Retry an operation that needs attention, after the cause has been removed
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold operations retry op_01k2m8v3x9e7rt4s5q6w7y8z9c\n  ",
    "freehold operations retry op_01k2m8v3x9e7rt4s5q6w7y8z9c --account-email aws+example@example.com\n\n",
    "To retry all operations with the same attention code:\n  ",
    "freehold operations list --state needs_attention --code residency_not_prepared --output json \\\n    ",
    "| jq -r '.[].id' | xargs -n1 freehold operations retry\n\n",
    exit_codes!(),
))]
pub(super) struct RetryArgs {
    /// Id of the operation (op_…)
    #[arg(value_name = "OPERATION")]
    id: String,
    /// Use this e-mail address for the AWS account; a second person must approve
    #[arg(long, value_name = "EMAIL")]
    account_email: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Cancel an onboarding and remove what it has created
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations cancel op_01k2m8v3x9e7rt4s5q6w7y8z9c\n\n",
    exit_codes!(),
))]
pub(super) struct CancelArgs {
    /// Id of the operation (op_…)
    #[arg(value_name = "OPERATION")]
    id: String,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// Adopt an existing AWS account; a second person must approve
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations adopt op_01k2m8v3x9e7rt4s5q6w7y8z9c --account 111122223333\n\n",
    exit_codes!(),
))]
pub(super) struct AdoptArgs {
    /// Id of the operation (op_…)
    #[arg(value_name = "OPERATION")]
    id: String,
    /// Id of the AWS account; must be active, in this organisation and never mapped to another environment
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// Reason of the decision
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(super) struct RejectArgs {
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
    /// Id of the operation (op_…)
    #[arg(value_name = "OPERATION")]
    id: String,
    /// Hash of the request, or at least its first 8 characters
    #[arg(long, value_name = "HASH")]
    request_hash: String,
}

pub(super) async fn retry(args: RetryArgs) -> anyhow::Result<Exit> {
    let correction = args.account_email.map(|account_email| RetryRequest { account_email });
    post(&args.client, &args.id, "retry", correction.as_ref()).await
}

pub(super) async fn cancel(args: CancelArgs) -> anyhow::Result<Exit> {
    if args.confirmation.must_ask()? {
        confirm_cancellation(&args.client.api_client()?, &args.id).await?;
    }
    post(&args.client, &args.id, "cancel", None::<&()>).await
}

/// Asks for a confirmation. The cancellation of an onboarding can lead to an offboarding.
async fn confirm_cancellation(api: &ApiClient, id: &str) -> anyhow::Result<()> {
    let operation: Operation = api.get(&operation_path(id), &[]).await?;
    let tenant = get_tenant(api, &operation.tenant_id).await?;
    let (kind, environment, name) = (&operation.kind, &operation.environment, &tenant.company_name);
    let question = format!("This cancels {kind} of the environment {environment} of {name} ({}).", tenant.id);
    if kind == "onboard" {
        let consequences = format!(
            "{question} What the onboarding has created is removed, and an AWS account that may exist is offboarded. \
             This cannot be undone. An environment that is ready already stays."
        );
        return confirm(&consequences, Answer::CompanyName(name));
    }
    confirm(
        &format!("{question} A cancelled operation cannot be continued; to make the change later, request it again."),
        Answer::Yes,
    )
}

pub(super) async fn adopt(args: AdoptArgs) -> anyhow::Result<Exit> {
    post(&args.client, &args.id, "adopt", Some(&AdoptRequest { aws_account_id: args.account })).await
}

pub(super) async fn approve(args: ApproveArgs) -> anyhow::Result<Exit> {
    decide(&args.request, "approve", args.reason, &args.client).await
}

pub(super) async fn reject(args: RejectArgs) -> anyhow::Result<Exit> {
    decide(&args.request, "reject", Some(args.reason), &args.client).await
}

async fn decide(
    request: &RequestArgs,
    action: &str,
    reason: Option<String>,
    client: &ClientArgs,
) -> anyhow::Result<Exit> {
    let request_hash = find_full_hash(&client.api_client()?, &request.id, &request.request_hash).await?;
    post(client, &request.id, action, Some(&ApprovalDecision { request_hash, reason })).await
}

async fn post(client: &ClientArgs, id: &str, action: &str, body: Option<&impl Serialize>) -> anyhow::Result<Exit> {
    let operation: Operation =
        client.api_client()?.post(&format!("{}/{action}", operation_path(id)), &[], body).await?;
    print_operation(&operation, client.output)
}

/// Returns the full hash of the pending request whose hash starts with `hash`. A full hash is returned unchanged.
async fn find_full_hash(api: &ApiClient, id: &str, hash: &str) -> anyhow::Result<String> {
    const FULL_LENGTH: usize = 64;
    const MIN_LENGTH: usize = 8;
    if hash.len() >= FULL_LENGTH {
        return Ok(hash.to_owned());
    }
    let operation: Operation = api.get(&operation_path(id), &[]).await?;
    let is_match =
        |one: &&Approval| one.state == "pending" && hash.len() >= MIN_LENGTH && one.request_hash.starts_with(hash);
    operation.approvals.iter().flatten().find(is_match).map(|one| one.request_hash.clone()).ok_or_else(|| {
        Exit::NotFound.error(format!(
            "operation {id} has no pending request with a hash that starts with {hash} (give at least {MIN_LENGTH} \
             characters)"
        ))
    })
}
