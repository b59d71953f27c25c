//! `freehold rollouts watch`: follow a rollout, with a live picture of its waves on a terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use freehold_api::schema::{Rollout, RolloutWave};
use indicatif::{ProgressBar, ProgressStyle};

use super::{counts, find, path_of};
use crate::client::{ApiClient, ClientArgs};
use crate::event_stream::is_retryable;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format, PROGRESS_BARS};

/// Pause between two reads of a rollout.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of requests in a row that the API does not answer.
const MAX_FAILURES: u32 = 60;

/// Follow a rollout until it has ended or is halted
///
/// On a terminal, one bar per wave shows the progress. Each change is a line of its own. The command also waits while
/// the rollout bakes, is paused, or needs an approval.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold rollouts watch\n  ",
    "freehold rollouts watch rol_01k2m8v3x9e7rt4s5q6w7y8z9g --output json | jq .state\n\n",
    "The token needs the scopes fleet and rollouts:read. Exit code 0 if the rollout has succeeded, 3 if it is \
     halted, and 1 if it was aborted or rolled back.\n\n",
    exit_codes!(),
))]
pub(super) struct WatchArgs {
    /// Id of the rollout (rol_…) [default: the latest]
    #[arg(value_name = "ROLLOUT")]
    id: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: WatchArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let rollout = find(&api, args.id.as_deref()).await?;
    follow(&api, &rollout.id, args.client.output).await
}

/// Follows a rollout. Returns the exit code of its end.
pub(super) async fn follow(api: &ApiClient, id: &str, format: Format) -> anyhow::Result<Exit> {
    let (mut display, mut failures) = (ProgressDisplay::default(), 0);
    loop {
        let rollout: Rollout = match api.get(&path_of(id), &[]).await {
            Ok(rollout) => rollout,
            Err(error) if failures < MAX_FAILURES && is_retryable(&error) => {
                failures += 1;
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Err(error) => {
                display.finish();
                return Err(error);
            }
        };
        failures = 0;
        display.show(&rollout, format)?;
        let exit = match rollout.state.as_str() {
            "succeeded" => Exit::Success,
            "halted" => Exit::NeedsAttention,
            "aborted" | "rolled_back" if rollout.finished_at.is_some() => Exit::Failure,
            _ => {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
        };
        display.finish();
        return Ok(exit);
    }
}

/// Bars of the waves, and the lines that were printed last.
#[derive(Default)]
struct ProgressDisplay {
    bars: BTreeMap<String, ProgressBar>,
    /// Latest line of the rollout itself.
    state: Option<String>,
    /// Latest numbers of environments of each wave.
    waves: BTreeMap<String, String>,
}

impl ProgressDisplay {
    fn show(&mut self, rollout: &Rollout, format: Format) -> anyhow::Result<()> {
        let width = rollout.waves.iter().flatten().map(|wave| wave.name.len()).max().unwrap_or(0);
        let mut has_changed = false;
        for wave in rollout.waves.iter().flatten() {
            let text = counts(&wave.environments);
            self.show_bar(wave, &text, width);
            let before = self.waves.insert(wave.name.clone(), text.clone());
            let is_started = wave.started_at.is_some();
            if before.as_deref() != Some(text.as_str()) && (is_started || before.is_none()) {
                has_changed = true;
                if format == Format::Table {
                    output::print_line(format!("{}  {:width$}  {text}", time_of_day(rollout.updated_at), wave.name))?;
                }
            }
        }
        let state = match &rollout.reason {
            Some(reason) => format!("{}: {reason}", rollout.state),
            None => rollout.state.clone(),
        };
        if self.state.as_deref() != Some(state.as_str()) {
            has_changed = true;
            if format == Format::Table {
                output::print_line(format!("{}  {:width$}  {state}", time_of_day(rollout.updated_at), ""))?;
                output::print_line(format!("{:8}  {:width$}  {}", "", "", rollout.next))?;
            }
            self.state = Some(state);
        }
        if has_changed && format == Format::Json {
            output::print_json_line(rollout)?;
        }
        Ok(())
    }

    fn show_bar(&mut self, wave: &RolloutWave, text: &str, width: usize) {
        let count = |state: &str| wave.environments.get(state).copied().unwrap_or_default();
        let total: i64 = wave.environments.values().sum();
        let ended = total - count("waiting") - count("updating");
        let bar = self.bars.entry(wave.name.clone()).or_insert_with(|| {
            let bar = PROGRESS_BARS.add(ProgressBar::new(u64::try_from(total).unwrap_or(0)));
            // With an invalid template, the bar keeps its default style.
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos:>5}/{len} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(format!("{:width$}", wave.name));
            bar
        });
        bar.set_position(u64::try_from(ended).unwrap_or(0));
        bar.set_message(text.to_owned());
    }

    fn finish(&self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
            PROGRESS_BARS.remove(bar);
        }
    }
}

/// Returns the time of the last change, by the clock of the API.
fn time_of_day(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%S").to_string()
}
