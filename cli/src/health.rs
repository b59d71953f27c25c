//! `freehold health`: health check of a process, for container images without a shell and `curl`.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use freehold_api::schema::Problem;

use crate::client::root_cause;
use crate::exit::Exit;
use crate::output;

/// Timeout of the health check request, shorter than the usual timeout of container health checks (5 seconds).
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum number of characters of the reason that is printed.
const MAX_REASON_CHARS: usize = 1_000;

/// Check the health of a running process (for container health checks)
///
/// Exits with 0 if the response has a status of 2xx; otherwise prints the reason and exits with 1.
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
    let response = client.get(&args.url).send().await.map_err(|error| no_answer(&args.url, &error))?;
    let status = response.status();
    if !status.is_success() {
        let reason = reason(&response.text().await.unwrap_or_default());
        bail!("{} returned {status}{}{reason}", args.url, if reason.is_empty() { "" } else { ": " });
    }
    output::print_line("ok")?;
    Ok(Exit::Success)
}

fn no_answer(url: &str, error: &reqwest::Error) -> anyhow::Error {
    if error.is_timeout() {
        return anyhow!("{url} does not answer within {} s", HEALTH_CHECK_TIMEOUT.as_secs());
    }
    if error.is_builder() {
        return anyhow!("URL: must be the URL of a health check such as http://127.0.0.1:8080/readyz, not `{url}`");
    }
    anyhow!("{url} does not answer: {}", root_cause(error))
}

/// Returns the reason in the body of a response: the detail of a problem, or the text itself.
fn reason(body: &str) -> String {
    let detail = serde_json::from_str::<Problem>(body).map(|problem| problem.detail);
    detail.unwrap_or_else(|_| body.to_owned()).trim().chars().take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_unhealthy_process_is_its_text_or_problem() {
        assert_eq!(reason("the database is unavailable: x\n"), "the database is unavailable: x");
        let problem =
            r#"{"type": "t", "title": "t", "status": 503, "detail": "No keys.", "code": "c", "request_id": "r"}"#;
        assert_eq!(reason(problem), "No keys.");
        assert_eq!(reason(""), "");
    }
}
