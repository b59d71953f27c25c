//! What a person does about an operation: `retry`, `cancel`, `adopt`, `approve`, `reject`.

use clap::Args;
use freehold_api::schema::{AdoptRequest, Approval, ApprovalDecision, Operation, RetryRequest};
use serde::Serialize;

use super::{path, show};
use crate::client::{Api, ClientArgs};
use crate::exit::{Exit, ExitError, exit_codes};

/// Have an operation that needs attention tried again, once the cause is gone
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold operations retry op_01k2m8v3x9e7rt4s5q6w7y8z9c\n  ",
    "freehold operations retry op_01k2m8v3x9e7rt4s5q6w7y8z9c --account-email aws+example@example.com\n\n",
    "For everything that failed for one reason which is now gone:\n  ",
    "freehold operations list --state needs_attention --code residency_not_prepared --output json \\\n    ",
    "| jq -r '.[].id' | xargs -n1 freehold operations retry\n\n",
    exit_codes!(),
))]
pub(super) struct RetryArgs {
    /// The operation: op_…
    #[arg(value_name = "OPERATION")]
    id: String,
    /// Try again with this e-mail address for the AWS account; another person has to approve it
    #[arg(long, value_name = "EMAIL")]
    account_email: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Give an onboarding up: what it has made is taken away again
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold operations cancel op_01k2m8v3x9e7rt4s5q6w7y8z9c\n\n", exit_codes!()))]
pub(super) struct CancelArgs {
    /// The operation: op_…
    #[arg(value_name = "OPERATION")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Name an AWS account that is there already; another person has to approve it
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations adopt op_01k2m8v3x9e7rt4s5q6w7y8z9c --account 111122223333\n\n",
    exit_codes!(),
))]
pub(super) struct AdoptArgs {
    /// The operation: op_…
    #[arg(value_name = "OPERATION")]
    id: String,
    /// The account: active, in this organisation, and never another environment's
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Approve what another person has asked for
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold operations approve op_01k2m8v3x9e7rt4s5q6w7y8z9c --request-hash 9f86d081…\n\n",
    "`freehold operations show` says what was asked for, and its hash.\n\n",
    exit_codes!(),
))]
pub(super) struct DecideArgs {
    /// The operation: op_…
    #[arg(value_name = "OPERATION")]
    id: String,
    /// What is approved or rejected: its hash, or the first 8 characters or more of it
    #[arg(long, value_name = "HASH")]
    request_hash: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn retry(args: RetryArgs) -> anyhow::Result<Exit> {
    let correction = args.account_email.map(|account_email| RetryRequest { account_email });
    post(&args.client, &args.id, "retry", correction.as_ref()).await
}

pub(super) async fn cancel(args: CancelArgs) -> anyhow::Result<Exit> {
    post(&args.client, &args.id, "cancel", None::<&()>).await
}

pub(super) async fn adopt(args: AdoptArgs) -> anyhow::Result<Exit> {
    post(&args.client, &args.id, "adopt", Some(&AdoptRequest { aws_account_id: args.account })).await
}

pub(super) async fn decide(args: DecideArgs, what: &str) -> anyhow::Result<Exit> {
    let request_hash = whole_hash(&args.client.api()?, &args.id, &args.request_hash).await?;
    post(&args.client, &args.id, what, Some(&ApprovalDecision { request_hash })).await
}

async fn post(client: &ClientArgs, id: &str, what: &str, body: Option<&impl Serialize>) -> anyhow::Result<Exit> {
    let operation: Operation = client.api()?.post(&format!("{}/{what}", path(id)), &[], body).await?;
    show(&operation, client.output)
}

/// The hash of what is pending that begins like this; a whole one stays as it is.
async fn whole_hash(api: &Api, id: &str, hash: &str) -> anyhow::Result<String> {
    const SHORTEST: usize = 8;
    if hash.len() >= 64 {
        return Ok(hash.to_owned());
    }
    let operation: Operation = api.get(&path(id), &[]).await?;
    let begins =
        |one: &&Approval| one.state == "pending" && hash.len() >= SHORTEST && one.request_hash.starts_with(hash);
    operation.approvals.iter().flatten().find(begins).map(|one| one.request_hash.clone()).ok_or_else(|| {
        ExitError::because(Exit::NotFound, format!("nothing whose hash begins with {hash} waits for approval on {id}"))
    })
}
