//! `freehold sandbox fault`: stop regions of the running sandbox's simulated AWS.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use freehold_sandbox::faults::OutageForm;
use freehold_sandbox::http::{ActiveFault, FaultList, NewFault};
use freehold_tenancy::Region;
use reqwest::{Client, Method, Response};
use serde_json::Value;

use super::RunningSandbox;
use crate::duration_arg;
use crate::exit::Exit;
use crate::output::{self, Format};

/// Longest time for a response of the simulated AWS.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Start, list and clear faults of the running sandbox
///
/// A fault stops a region of the simulated AWS, so that you can see what your customers would notice.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold sandbox fault region-down eu-central-1\n  \
    freehold sandbox fault region-down eu-central-1 --form hanging --for 30m\n  \
    freehold sandbox fault list\n  \
    freehold sandbox fault clear")]
pub(crate) struct FaultArgs {
    #[command(subcommand)]
    command: FaultCommand,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    RegionDown(RegionDownArgs),
    List(ListArgs),
    Clear(ClearArgs),
}

#[derive(Debug, Args)]
struct SandboxUrl {
    /// URL of the simulated AWS [default: the only running sandbox]
    #[arg(long = "sandbox", value_name = "URL")]
    url: Option<String>,
}

/// Stop CloudFormation and the functions of a region
///
/// Stacks of the region make no progress until the fault ends. CloudFront, which is not part of a region, keeps working
/// and fails over as far as a distribution is configured to. A fault replaces an earlier one of the same region.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold sandbox fault region-down eu-central-1\n  \
    freehold sandbox fault region-down eu-central-1 --form hanging --for 30m\n  \
    freehold sandbox fault region-down eu-central-1 --all-services\n\n\
    Forms: refused (connections are refused), unreachable (connections time out), hanging (requests\n\
    are not answered), unavailable (status 503), not-found (functions answer with 404, services\n\
    with 503).")]
struct RegionDownArgs {
    /// Region to stop, e.g. eu-central-1
    #[arg(value_name = "REGION")]
    region: Region,
    /// Form of the outage: refused, unreachable, hanging, unavailable or not-found
    #[arg(long, value_name = "FORM", default_value_t = OutageForm::Refused)]
    form: OutageForm,
    /// Time by the sandbox's clock after which the region works again, e.g. 90s, 15m, 1h [default: until it is cleared]
    #[arg(long = "for", value_name = "TIME", value_parser = duration_arg::parse)]
    duration: Option<Duration>,
    /// Stop STS, Identity Center and all other services with an endpoint in the region, too
    #[arg(long)]
    all_services: bool,
    #[command(flatten)]
    sandbox: SandboxUrl,
}

/// List the active faults
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  freehold sandbox fault list\n  freehold sandbox fault list --output json")]
struct ListArgs {
    /// Format in which to print the list
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    sandbox: SandboxUrl,
}

/// End all faults of the running sandbox
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold sandbox fault clear")]
struct ClearArgs {
    #[command(flatten)]
    sandbox: SandboxUrl,
}

pub(super) async fn run(args: FaultArgs) -> anyhow::Result<Exit> {
    match args.command {
        FaultCommand::RegionDown(args) => {
            let seconds = args.duration.map(|duration| u32::try_from(duration.as_secs())).transpose();
            let seconds = seconds.ok().filter(|seconds| *seconds != Some(0)).context("--for must be from 1s to 30d")?;
            let RegionDownArgs { region, form, all_services, .. } = args;
            let fault = NewFault::RegionDown { region, form, all_services, seconds };
            let started: ActiveFault = args.sandbox.send(Method::POST, Some(&fault)).await?.json().await?;
            let ActiveFault::RegionDown { ends_at, .. } = started;
            output::print_line(match ends_at {
                Some(end) => {
                    format!("{region} is down until {} of the sandbox's clock", end.format("%Y-%m-%d %H:%M:%S UTC"))
                }
                None => format!("{region} is down until `freehold sandbox fault clear`"),
            })?;
        }
        FaultCommand::List(args) => {
            let list: FaultList = args.sandbox.send(Method::GET, None).await?.json().await?;
            print_list(&list, args.output)?;
        }
        FaultCommand::Clear(args) => {
            args.sandbox.send(Method::DELETE, None).await?;
            output::print_line("all faults are cleared")?;
        }
    }
    Ok(Exit::Success)
}

fn print_list(list: &FaultList, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print_json(&list.faults);
    }
    let mut table = output::new_table(["FAULT", "REGION", "FORM", "SERVICES", "STARTED (UTC)", "ENDS (UTC)"]);
    for ActiveFault::RegionDown { region, form, all_services, started_at, ends_at } in &list.faults {
        let time = |at: &chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
        let services = if *all_services { "all" } else { "CloudFormation, functions" };
        let end = ends_at.as_ref().map_or_else(|| "when cleared".to_owned(), time);
        table.add_row(["region-down", region.as_str(), form.as_str(), services, &time(started_at), &end]);
    }
    if table.is_empty() {
        output::print_note("no faults are active");
        return Ok(());
    }
    Ok(output::print_table(&table)?)
}

impl SandboxUrl {
    /// Sends a request for the faults of the sandbox. Returns an error unless the sandbox accepts it.
    async fn send(&self, method: Method, fault: Option<&NewFault>) -> anyhow::Result<Response> {
        let sandbox = match &self.url {
            Some(url) => RunningSandbox::with_aws(url).with_context(|| format!("no sandbox is running at {url}"))?,
            None => RunningSandbox::only("--sandbox")?
                .context("no sandbox is running; start one with `freehold sandbox`")?,
        };
        // A proxy on another machine cannot reach loopback addresses of this machine.
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let request = client.request(method, format!("{}/-/faults", sandbox.aws_url));
        let response = match fault {
            Some(fault) => request.json(fault),
            None => request,
        };
        let response = response.send().await.with_context(|| format!("no response from {}", sandbox.aws_url))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        match body["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => bail!("the sandbox answered with the status {status}"),
        }
    }
}
