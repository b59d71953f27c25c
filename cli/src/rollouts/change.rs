//! `freehold rollouts pause, resume, approve, reject, promote, abort, roll-back, retry-failed`: changes of a rollout.

use clap::Args;
use freehold_api::schema::{Rollout, RolloutChange, RolloutPromotion, WaveApproval};
use serde::Serialize;

use super::{path_of, print};
use crate::client::ClientArgs;
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Rollout to change, and the connection to the API.
#[derive(Debug, Args)]
struct TargetArgs {
    /// Id of the rollout (rol_…)
    #[arg(value_name = "ROLLOUT")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

impl TargetArgs {
    async fn rollout(&self) -> anyhow::Result<Rollout> {
        self.client.api_client()?.get(&path_of(&self.id), &[]).await
    }
}

/// Returns the number of environments in these states.
fn count(rollout: &Rollout, states: &[&str]) -> i64 {
    let waves = rollout.waves.iter().flatten();
    waves.flat_map(|wave| states.iter().filter_map(|state| wave.environments.get(*state))).sum()
}

/// Pause a rollout
///
/// No further update starts until the rollout is resumed. Updates in progress finish.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts pause rol_01k2m8v3x9e7rt4s5q6w7y8z9g --reason 'Errors in the shop.'\n\n",
    "The token needs the scopes fleet and rollouts:write.\n\n",
    exit_codes!(),
))]
pub(super) struct PauseArgs {
    /// Reason, which the rollout then shows
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn pause(args: PauseArgs) -> anyhow::Result<Exit> {
    post(args.target, "pause", &RolloutChange { reason: args.reason }).await
}

/// Resume a paused rollout
///
/// The rollout continues where it was paused.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts resume rol_01k2m8v3x9e7rt4s5q6w7y8z9g\n\n",
    "The token needs the scopes fleet and rollouts:write.\n\n",
    exit_codes!(),
))]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn resume(args: ResumeArgs) -> anyhow::Result<Exit> {
    post(args.target, "resume", &RolloutChange::default()).await
}

/// Approve the current wave of a rollout of another person
///
/// The approval is bound to the hash that `freehold rollouts show` prints.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts approve rol_01k2m8v3x9e7rt4s5q6w7y8z9g --sha256 9f86d081…\n\n",
    "The token needs the scopes fleet and rollouts:approve.\n\n",
    exit_codes!(),
))]
pub(super) struct ApproveArgs {
    /// Hash of the wave that you have reviewed
    #[arg(long, value_name = "HASH")]
    sha256: String,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn approve(args: ApproveArgs) -> anyhow::Result<Exit> {
    post(args.target, "approve", &WaveApproval { sha256: args.sha256 }).await
}

/// Reject the current wave of a rollout
///
/// The rollout halts. Retry, roll back or abort it afterwards.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts reject rol_01k2m8v3x9e7rt4s5q6w7y8z9g --reason 'The release needs a fix.'\n\n",
    "The token needs the scopes fleet and rollouts:approve.\n\n",
    exit_codes!(),
))]
pub(super) struct RejectArgs {
    /// Reason, which the rollout then shows
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn reject(args: RejectArgs) -> anyhow::Result<Exit> {
    post(args.target, "reject", &RolloutChange { reason: args.reason }).await
}

/// End the bake of a wave early
///
/// The next wave starts at once, or asks for its approval.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts promote rol_01k2m8v3x9e7rt4s5q6w7y8z9g --reason 'All metrics are fine.'\n\n",
    "The token needs the scopes fleet and rollouts:write.\n\n",
    exit_codes!(),
))]
pub(super) struct PromoteArgs {
    /// Reason, which the rollout then shows
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn promote(args: PromoteArgs) -> anyhow::Result<Exit> {
    post(args.target, "promote", &RolloutPromotion { reason: args.reason }).await
}

/// Abort a rollout
///
/// Updates in progress finish; all other environments keep their releases. Updated environments keep the release of
/// the rollout.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts abort rol_01k2m8v3x9e7rt4s5q6w7y8z9g --reason 'A fix is ready.'\n\n",
    "The token needs the scopes fleet and rollouts:write.\n\n",
    exit_codes!(),
))]
pub(super) struct AbortArgs {
    /// Reason, which the rollout then shows
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn abort(args: AbortArgs) -> anyhow::Result<Exit> {
    if args.confirmation.must_ask()? {
        let rollout = args.target.rollout().await?;
        let consequences = format!(
            "This aborts the rollout {} of the release {}. {} environments keep the releases that they have now. An \
             aborted rollout cannot be continued; create another one.",
            rollout.id,
            rollout.release_id,
            count(&rollout, &["waiting"])
        );
        confirm(&consequences, Answer::Yes)?;
    }
    post(args.target, "abort", &RolloutChange { reason: args.reason }).await
}

/// Roll a rollout back
///
/// Each environment that the rollout has updated gets back its own release before the rollout, the last wave first.
/// Maintenance windows are ignored.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts roll-back rol_01k2m8v3x9e7rt4s5q6w7y8z9g --reason 'Errors in the shop.'\n\n",
    "The token needs the scopes fleet and rollouts:write.\n\n",
    exit_codes!(),
))]
pub(super) struct RollBackArgs {
    /// Reason, which the rollout then shows
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn roll_back(args: RollBackArgs) -> anyhow::Result<Exit> {
    if args.confirmation.must_ask()? {
        let rollout = args.target.rollout().await?;
        let consequences = format!(
            "This rolls {} back: {} environments that have the release {} or are being updated get the release before, \
             also outside their maintenance windows. To undo this, create another rollout.",
            rollout.id,
            count(&rollout, &["updating", "baking", "succeeded"]),
            rollout.release_id
        );
        confirm(&consequences, Answer::Yes)?;
    }
    post(args.target, "roll-back", &RolloutChange { reason: args.reason }).await
}

/// Retry the failed environments of a rollout
///
/// The failed environments are updated again, and then the rollout continues.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold rollouts retry-failed rol_01k2m8v3x9e7rt4s5q6w7y8z9g\n\n",
    "The token needs the scopes fleet and rollouts:write.\n\n",
    exit_codes!(),
))]
pub(super) struct RetryFailedArgs {
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn retry_failed(args: RetryFailedArgs) -> anyhow::Result<Exit> {
    post(args.target, "retry-failed", &RolloutChange::default()).await
}

/// Sends a change and prints the rollout.
async fn post(target: TargetArgs, action: &str, body: &impl Serialize) -> anyhow::Result<Exit> {
    let path = format!("{}/{action}", path_of(&target.id));
    let rollout: Rollout = target.client.api_client()?.post(&path, &[], Some(body)).await?;
    match target.client.output {
        Format::Json => output::print_json(&rollout)?,
        Format::Table => print(&rollout)?,
    }
    Ok(Exit::Success)
}
