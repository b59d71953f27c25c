//! `freehold rollouts`: create, show, follow and change rollouts of a release.

mod change;
mod create;
mod read;
mod watch;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use freehold_api::schema::{Rollout, RolloutPage};

use crate::client::{ApiClient, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output;

/// Create, show, follow and change rollouts: one release for many environments, wave by wave
///
/// A rollout updates the environments wave by wave and halts when more updates fail than a wave tolerates. One rollout
/// runs at a time.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold rollouts create rel_01k2m8v3x9e7rt4s5q6w7y8z9a --plan standard --dry-run\n  ",
    "freehold rollouts create rel_01k2m8v3x9e7rt4s5q6w7y8z9a --plan standard --watch\n  ",
    "freehold rollouts approve rol_01k2m8v3x9e7rt4s5q6w7y8z9g --sha256 9f86d081…\n  ",
    "freehold rollouts retry-failed rol_01k2m8v3x9e7rt4s5q6w7y8z9g\n\n",
    exit_codes!(),
))]
pub(crate) struct RolloutsArgs {
    #[command(subcommand)]
    command: RolloutsCommand,
}

#[derive(Debug, Subcommand)]
enum RolloutsCommand {
    Create(create::CreateArgs),
    List(read::ListArgs),
    Show(read::ShowArgs),
    Environments(read::EnvironmentsArgs),
    Watch(watch::WatchArgs),
    Pause(change::PauseArgs),
    Resume(change::ResumeArgs),
    Approve(change::ApproveArgs),
    Reject(change::RejectArgs),
    Promote(change::PromoteArgs),
    Abort(change::AbortArgs),
    RollBack(change::RollBackArgs),
    RetryFailed(change::RetryFailedArgs),
}

pub(crate) async fn run(args: RolloutsArgs) -> anyhow::Result<Exit> {
    match args.command {
        RolloutsCommand::Create(args) => create::run(args).await,
        RolloutsCommand::List(args) => read::list(args).await,
        RolloutsCommand::Show(args) => read::show(args).await,
        RolloutsCommand::Environments(args) => read::environments(args).await,
        RolloutsCommand::Watch(args) => watch::run(args).await,
        RolloutsCommand::Pause(args) => change::pause(args).await,
        RolloutsCommand::Resume(args) => change::resume(args).await,
        RolloutsCommand::Approve(args) => change::approve(args).await,
        RolloutsCommand::Reject(args) => change::reject(args).await,
        RolloutsCommand::Promote(args) => change::promote(args).await,
        RolloutsCommand::Abort(args) => change::abort(args).await,
        RolloutsCommand::RollBack(args) => change::roll_back(args).await,
        RolloutsCommand::RetryFailed(args) => change::retry_failed(args).await,
    }
}

fn path_of(id: &str) -> String {
    format!("/v1/rollouts/{}", encode_path_segment(id))
}

/// Returns the rollout `id`, or the one that was created last.
async fn find(api: &ApiClient, id: Option<&str>) -> anyhow::Result<Rollout> {
    if let Some(id) = id {
        return api.get(&path_of(id), &[]).await;
    }
    let page: RolloutPage = api.get("/v1/rollouts", &[("page_size", Some("1".to_owned()))]).await?;
    let latest = page.rollouts.first().ok_or_else(|| Exit::NotFound.error("there is no rollout yet"))?;
    api.get(&path_of(&latest.id), &[]).await
}

/// Prints a rollout with its waves.
fn print(rollout: &Rollout) -> anyhow::Result<()> {
    output::print_field("rollout", &rollout.id)?;
    output::print_field("release", &rollout.release_id)?;
    output::print_field("state", format!("{}, since {}", rollout.state, time(rollout.since)))?;
    if let Some(reason) = &rollout.reason {
        output::print_field("reason", reason)?;
    }
    output::print_field("next", &rollout.next)?;
    output::print_field("created by", format!("{}, at {}", rollout.created_by, time(rollout.created_at)))?;
    if !rollout.actions.is_empty() {
        output::print_field("allowed", rollout.actions.join(", "))?;
    }
    print_waves(rollout)?;
    for failure in rollout.failures.iter().flatten() {
        output::print_field("failures", format!("{}: {}", failure.environments, failure.reason))?;
    }
    for wave in rollout.waves.iter().flatten().filter(|wave| wave.name == rollout.wave) {
        if let (Some(sha256), None) = (&wave.approval_sha256, &wave.approved_by) {
            output::print_field("approval hash", sha256)?;
        }
    }
    for wave in rollout.waves.iter().flatten() {
        if let Some(reason) = &wave.promotion_reason {
            output::print_field("promoted", format!("{}: {reason}", wave.name))?;
        }
    }
    Ok(())
}

fn print_waves(rollout: &Rollout) -> anyhow::Result<()> {
    let headings = ["wave", "environments", "concurrency", "failures", "bake", "approved by", "ended", "states"];
    let mut table = output::new_table(headings);
    for wave in rollout.waves.iter().flatten() {
        let failed = wave.environments.get("failed").copied().unwrap_or_default();
        let approval = match (&wave.approval_sha256, &wave.approved_by) {
            (_, Some(by)) => by.as_str(),
            (Some(_), None) => "not yet",
            (None, None) => "not needed",
        };
        table.add_row([
            wave.name.as_str(),
            &wave.environments.values().sum::<i64>().to_string(),
            &format!("{} ({})", wave.effective_concurrency, wave.concurrency_limit),
            &format!("{failed} of {} tolerated", wave.max_failures),
            &duration(wave.bake_seconds),
            approval,
            &wave.finished_at.map_or_else(|| "-".to_owned(), time),
            &counts(&wave.environments),
        ]);
    }
    Ok(output::print_table(&table)?)
}

/// Formats the numbers of environments by state, such as `3 updating, 12 succeeded`.
fn counts(environments: &BTreeMap<String, i64>) -> String {
    let order = ["waiting", "updating", "baking", "succeeded", "failed", "skipped", "rolled_back"];
    let of_state = |state: &&str| environments.get(*state).map(|count| format!("{count} {}", state.replace('_', " ")));
    order.iter().filter_map(of_state).collect::<Vec<_>>().join(", ")
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Formats a number of seconds, such as `1 h 5 min`.
fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "-".to_owned(),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_texts() {
        for (seconds, text) in [(0, "-"), (65, "1 min 5 s"), (600, "10 min"), (3600, "1 h"), (23_575, "6 h 32 min")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
