//! `freehold health`: asks a process on this machine how it is, for images that have no shell and no `curl`.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::exit::Exit;
use crate::output;

/// How long the answer may take; the container's own limit comes after.
const PATIENCE: Duration = Duration::from_secs(4);

/// Ask a running process how it is, for a container's health check
///
/// It ends with 0 if the answer is a good one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  freehold health\n  freehold health http://127.0.0.1:9464/readyz\n\n\
    /livez says whether the process runs, /readyz whether it can work. The API has them beside its routes, a worker at\n\
    the address of --metrics-listen.")]
pub(crate) struct HealthArgs {
    /// What to ask
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/livez")]
    url: String,
}

pub(crate) async fn run(args: HealthArgs) -> anyhow::Result<Exit> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let answer = client.get(&args.url).send().await;
    let status = answer.with_context(|| format!("{} does not answer", args.url))?.status();
    if !status.is_success() {
        bail!("{} answers {status}", args.url);
    }
    output::line("ok")?;
    Ok(Exit::Done)
}
