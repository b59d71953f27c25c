//! `freehold health`: health check of a process, for container images without a shell and `curl`.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::exit::Exit;
use crate::output;

/// Timeout of the health check request, shorter than the usual timeout of container health checks (5 seconds).
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(4);

/// Check the health of a running process (for container health checks)
///
/// Exits with 0 if the response has a status of 2xx, else with 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  freehold health\n  freehold health http://127.0.0.1:9464/readyz\n\n\
    /livez checks that the process runs; /readyz checks that the API can serve requests or that the worker can run \
    operations. The API serves both at its own address, a worker at the address of --metrics-listen.")]
pub(crate) struct HealthArgs {
    /// URL of the health check
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/livez")]
    url: String,
}

pub(crate) async fn run(args: HealthArgs) -> anyhow::Result<Exit> {
    let client = reqwest::Client::builder().no_proxy().timeout(HEALTH_CHECK_TIMEOUT).build()?;
    let response = client.get(&args.url).send().await;
    let status = response.with_context(|| format!("{} does not respond", args.url))?.status();
    if !status.is_success() {
        bail!("{} returned {status}", args.url);
    }
    output::print_line("ok")?;
    Ok(Exit::Success)
}
