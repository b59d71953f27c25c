//! `freehold releases register`: register a release and wait for its check.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_api::schema::{NewRelease, Release, ReleaseUrl};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Pause between two reads of a release that is being checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Register a release of the tenant stack
///
/// A worker checks the release by the rules of Freehold and asks CloudFormation in each region. With --wait, the
/// command ends when the release is ready or refused.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold releases register --template app.yaml --notes \"Shop 2.4\" --wait\n  ",
    "freehold releases register --template app.yaml --region-template eu-central-2=app-zurich.yaml\n  ",
    "freehold releases register --template app.yaml --parameter Version=2.4 --region-parameter \
     us-east-1/CodeBucket=code-us\n\n",
    "The token needs the scopes fleet and releases:write. Exit code 1 if the release is refused.\n\n",
    exit_codes!(),
))]
pub(super) struct RegisterArgs {
    /// CloudFormation template of the regions without one of their own
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Template of one region
    #[arg(long, value_name = "REGION=FILE")]
    region_template: Vec<String>,
    /// Copy of the template in the S3 of a region, with its SHA-256
    #[arg(long, value_name = "REGION=SHA256,URL")]
    url: Vec<String>,
    /// Value of a parameter of the template
    #[arg(long, value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Value of a parameter in one region
    #[arg(long, value_name = "REGION/NAME=VALUE")]
    region_parameter: Vec<String>,
    /// Description for people
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Wait until the release is ready or refused
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: RegisterArgs) -> anyhow::Result<Exit> {
    let body = body(&args)?;
    let api = args.client.api_client()?;
    let mut release: Release = api.post("/v1/releases", &[], Some(&body)).await?;
    while args.wait && release.state == "checking" {
        tokio::time::sleep(POLL_INTERVAL).await;
        release = api.get(&format!("/v1/releases/{}", release.id), &[]).await?;
        release.content = None;
    }
    if args.client.output == Format::Json {
        output::print_json(&release)?;
    } else {
        super::print(&release)?;
        let (id, sha256) = (&release.id, &release.sha256);
        match release.state.as_str() {
            "checking" => output::print_note(format!("to see the result of the check: freehold releases show {id}")),
            "ready" if !release.is_approved => output::print_note(format!(
                "another person approves it: freehold releases approve {id} --sha256 {sha256}"
            )),
            _ => {}
        }
    }
    Ok(if release.state == "refused" { Exit::Failure } else { Exit::Success })
}

fn body(args: &RegisterArgs) -> anyhow::Result<NewRelease> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let template = args.template.as_ref().map(|path| read(&path.display().to_string())).transpose()?;
    let mut region_templates = BTreeMap::new();
    for entry in &args.region_template {
        let (region, path) = split(entry, '=', "--region-template REGION=FILE")?;
        region_templates.insert(region, read(&path)?);
    }
    let mut urls = BTreeMap::new();
    for entry in &args.url {
        let (region, rest) = split(entry, '=', "--url REGION=SHA256,URL")?;
        let (sha256, url) = split(&rest, ',', "--url REGION=SHA256,URL")?;
        urls.insert(region, ReleaseUrl { url, sha256 });
    }
    let parameters = args.parameter.iter().map(|entry| split(entry, '=', "--parameter NAME=VALUE"));
    let parameters = parameters.collect::<anyhow::Result<_>>()?;
    let mut region_parameters: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for entry in &args.region_parameter {
        let (region, rest) = split(entry, '/', "--region-parameter REGION/NAME=VALUE")?;
        let (name, value) = split(&rest, '=', "--region-parameter REGION/NAME=VALUE")?;
        region_parameters.entry(region).or_default().insert(name, value);
    }
    Ok(NewRelease {
        template,
        region_templates: Some(region_templates),
        urls: Some(urls),
        parameters: Some(parameters),
        region_parameters: Some(region_parameters),
        notes: args.notes.clone(),
    })
}

pub(super) fn split(text: &str, at: char, form: &str) -> anyhow::Result<(String, String)> {
    let parts = text.split_once(at).filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or_else(|| Exit::Usage.error(format!("`{text}` must have the form {form}")))?;
    Ok((name.to_owned(), value.to_owned()))
}
