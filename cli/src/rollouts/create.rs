//! `freehold rollouts create`: create a rollout, or show its plan.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use freehold_api::schema::{NewRollout, NewWave, Rollout, RolloutPreview};
use serde::Deserialize;

use super::{duration, print, watch};
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Create a rollout of a release
///
/// The waves are those of a plan in the configuration, or of a file. With --dry-run, nothing is created; the output
/// shows the number of environments of each wave, how many are updated at the same time and why, and how long it takes.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold rollouts create rel_01k2m8v3x9e7rt4s5q6w7y8z9a --plan standard --dry-run\n  ",
    "freehold rollouts create rel_01k2m8v3x9e7rt4s5q6w7y8z9a --waves waves.toml --watch\n\n",
    "A file of waves has the form of the configuration:\n  ",
    "[[waves]]\n  name = \"canary\"\n  select = { percent = 5 }\n  max_concurrent = 5\n  bake_seconds = 3600\n\n  ",
    "[[waves]]\n  name = \"everyone\"\n  max_concurrent = 100\n  max_failures = 20\n\n",
    "The token needs the scopes fleet and rollouts:write, with --watch also rollouts:read.\n\n",
    exit_codes!(),
))]
#[expect(clippy::struct_excessive_bools, reason = "each field is a flag of the command")]
pub(super) struct CreateArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Name of a plan in the configuration
    #[arg(long, value_name = "NAME", required_unless_present = "waves", conflicts_with = "waves")]
    plan: Option<String>,
    /// File with the waves, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    waves: Option<PathBuf>,
    /// Start updates also outside the maintenance windows of the tenants
    #[arg(long)]
    ignore_windows: bool,
    /// Give the release to new environments after the last wave
    #[arg(long)]
    make_default: bool,
    /// Show the waves and their durations, and create nothing
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
    /// Follow the rollout until its end
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: CreateArgs) -> anyhow::Result<Exit> {
    let body = NewRollout {
        release: args.release,
        plan: args.plan,
        waves: args.waves.as_deref().map(read_waves).transpose()?,
        respect_windows: args.ignore_windows.then_some(false),
        makes_default: args.make_default.then_some(true),
    };
    let api = args.client.api_client()?;
    if args.dry_run {
        let preview: RolloutPreview = api.post("/v1/rollouts?dry_run=true", &[], Some(&body)).await?;
        match args.client.output {
            Format::Json => output::print_json(&preview)?,
            Format::Table => print_preview(&preview)?,
        }
        return Ok(Exit::Success);
    }
    let rollout: Rollout = api.post("/v1/rollouts", &[], Some(&body)).await?;
    if args.watch {
        return watch::follow(&api, &rollout.id, args.client.output).await;
    }
    match args.client.output {
        Format::Json => output::print_json(&rollout)?,
        Format::Table => print(&rollout)?,
    }
    output::print_note(format!("to follow the rollout: freehold rollouts watch {}", rollout.id));
    Ok(Exit::Success)
}

/// File with the waves of a rollout.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WavesFile {
    waves: Vec<NewWave>,
}

fn read_waves(path: &Path) -> anyhow::Result<Vec<NewWave>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: anyhow::Result<WavesFile> = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(Into::into)
    } else {
        toml::from_str(&text).map_err(Into::into)
    };
    Ok(file.with_context(|| format!("{} has no valid waves", path.display()))?.waves)
}

fn print_preview(preview: &RolloutPreview) -> anyhow::Result<()> {
    let mut table = output::new_table(["wave", "environments", "at the same time", "limited by", "duration with bake"]);
    for wave in &preview.waves {
        table.add_row([
            wave.name.as_str(),
            &wave.environments.to_string(),
            &wave.effective_concurrency.to_string(),
            &wave.concurrency_limit,
            &duration(wave.seconds),
        ]);
    }
    output::print_table(&table)?;
    output::print_field("duration", duration(preview.seconds))?;
    output::print_field("left out", format!("{} environments", preview.left_out.len()))?;
    for one in &preview.left_out {
        output::print_line(format!("  {}  {}", one.environment_id, one.reason))?;
    }
    output::print_note("nothing was created");
    Ok(())
}
