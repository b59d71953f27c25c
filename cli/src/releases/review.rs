//! `freehold releases list, show, diff, approve, environments`: what a reviewer needs.

use clap::Args;
use freehold_api::schema::{Release, ReleaseApproval, ReleaseDiff, ReleasePage, ReleaseRegion, ReleaseRegionPage};

use crate::client::{ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format, ListFormat, TextTable};

/// List releases, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold releases list\n  \
    freehold releases list --output json | jq -r '.[] | select(.state == \"ready\").id'\n\n\
    The token needs the scopes fleet and releases:read.")]
pub(super) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(super) async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let mut releases: Vec<Release> = Vec::new();
    let query = [("page_size", Some("200".to_owned()))];
    let api = args.client.api_client()?;
    api.for_each_page("/v1/releases", &query, |page| {
        let page: ReleasePage = serde_json::from_value(page)?;
        releases.extend(page.releases);
        Ok(page.next_page_token)
    })
    .await?;
    output::print_list(&releases, args.client.output, release_table)?;
    Ok(Exit::Success)
}

fn release_table(releases: &[Release]) -> TextTable {
    let mut table = output::new_table(["release", "state", "source", "registered", "approved by", "default", "notes"]);
    for release in releases {
        table.add_row([
            release.id.as_str(),
            &release.state,
            &release.source,
            &release.registered_at.format("%Y-%m-%d %H:%M").to_string(),
            super::approval_text(release),
            if release.is_default { "yes" } else { "no" },
            release.notes.as_deref().unwrap_or("-"),
        ]);
    }
    table
}

/// Show a release
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold releases show rel_01k2m8v3x9e7rt4s5q6w7y8z9a\n  ",
    "freehold releases show rel_01k2m8v3x9e7rt4s5q6w7y8z9a --output json | jq -r .content.template\n\n",
    exit_codes!(),
))]
pub(super) struct ShowArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let path = format!("/v1/releases/{}", encode_path_segment(&args.id));
    let release: Release = args.client.api_client()?.get(&path, &[]).await?;
    match args.client.output {
        Format::Json => output::print_json(&release)?,
        Format::Table => super::print(&release)?,
    }
    Ok(Exit::Success)
}

/// Compare a release with the default release, or with another one
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold releases diff rel_01k2m8v3x9e7rt4s5q6w7y8z9a\n  ",
    "freehold releases diff rel_01k2m8v3x9e7rt4s5q6w7y8z9a --against rel_01k2m8v3x9e7rt4s5q6w7y8z99\n\n",
    exit_codes!(),
))]
pub(super) struct DiffArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    id: String,
    /// Id of the release to compare with
    #[arg(long, value_name = "RELEASE")]
    against: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn diff(args: DiffArgs) -> anyhow::Result<Exit> {
    let path = format!("/v1/releases/{}/diff", encode_path_segment(&args.id));
    let diff: ReleaseDiff = args.client.api_client()?.get(&path, &[("against", args.against)]).await?;
    if args.client.output == Format::Json {
        output::print_json(&diff)?;
        return Ok(Exit::Success);
    }
    if diff.templates.is_empty() && diff.parameters.is_empty() && diff.urls.is_empty() {
        output::print_line(format!("{} and {} have the same content", diff.against, diff.release))?;
    }
    for (name, text) in &diff.templates {
        output::print_line(format!("{name}:"))?;
        text.lines().try_for_each(output::print_line)?;
    }
    for (name, [old, new]) in &diff.parameters {
        let text = |value: &Option<String>| value.as_ref().map_or("not set".to_owned(), |value| format!("`{value}`"));
        output::print_line(format!("parameter {name}: {} → {}", text(old), text(new)))?;
    }
    for region in &diff.urls {
        output::print_line(format!("the copy of the template in {region} differs"))?;
    }
    Ok(Exit::Success)
}

/// Approve a release of another person
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold releases approve rel_01k2m8v3x9e7rt4s5q6w7y8z9a --sha256 \
     9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\n",
    "Review the release first: freehold releases diff. The token needs the scopes fleet and releases:approve.\n\n",
    exit_codes!(),
))]
pub(super) struct ApproveArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    id: String,
    /// Hash of the release that was reviewed
    #[arg(long, value_name = "HASH")]
    sha256: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn approve(args: ApproveArgs) -> anyhow::Result<Exit> {
    let path = format!("/v1/releases/{}/approve", encode_path_segment(&args.id));
    let body = ReleaseApproval { sha256: args.sha256 };
    let release: Release = args.client.api_client()?.post(&path, &[], Some(&body)).await?;
    match args.client.output {
        Format::Json => output::print_json(&release)?,
        Format::Table => super::print(&release)?,
    }
    Ok(Exit::Success)
}

/// List the environments that have a release
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold releases environments rel_01k2m8v3x9e7rt4s5q6w7y8z9a\n\n",
    exit_codes!(),
))]
pub(super) struct EnvironmentsArgs {
    /// Id of the release (rel_…)
    #[arg(value_name = "RELEASE")]
    id: String,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(super) async fn environments(args: EnvironmentsArgs) -> anyhow::Result<Exit> {
    let path = format!("/v1/releases/{}/environments", encode_path_segment(&args.id));
    let mut regions: Vec<ReleaseRegion> = Vec::new();
    let query = [("page_size", Some("200".to_owned()))];
    let api = args.client.api_client()?;
    api.for_each_page(&path, &query, |page| {
        let page: ReleaseRegionPage = serde_json::from_value(page)?;
        regions.extend(page.regions);
        Ok(page.next_page_token)
    })
    .await?;
    output::print_list(&regions, args.client.output, region_table)?;
    Ok(Exit::Success)
}

fn region_table(regions: &[ReleaseRegion]) -> TextTable {
    let mut table = output::new_table(["tenant", "environment", "region", "role", "since"]);
    for region in regions {
        table.add_row([
            region.tenant_id.as_str(),
            &region.environment,
            &region.region,
            &region.role,
            &region.since.map_or("-".to_owned(), |since| since.format("%Y-%m-%d %H:%M").to_string()),
        ]);
    }
    table
}
