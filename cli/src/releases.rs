//! `freehold releases`: register, review, approve, preview and deploy releases of the tenant stack.

mod deploy;
mod register;
mod review;

use clap::{Args, Subcommand};
use freehold_api::schema::Release;

use crate::exit::{Exit, exit_codes};
use crate::output;

/// Register, review, approve, preview and deploy releases of the tenant stack
///
/// A release is an immutable version of the tenant stack: its template and its parameters. Another person than the
/// registrant approves it before it is deployed in production.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  ",
    "freehold releases register --template app.yaml --notes \"Shop 2.4\" --wait\n  ",
    "freehold releases diff rel_01k2m8v3x9e7rt4s5q6w7y8z9a\n  ",
    "freehold releases approve rel_01k2m8v3x9e7rt4s5q6w7y8z9a --sha256 9f86d081…\n  ",
    "freehold releases deploy rel_01k2m8v3x9e7rt4s5q6w7y8z9a ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging\n\n",
    exit_codes!(),
))]
pub(crate) struct ReleasesArgs {
    #[command(subcommand)]
    command: ReleasesCommand,
}

#[derive(Debug, Subcommand)]
enum ReleasesCommand {
    Register(register::RegisterArgs),
    List(review::ListArgs),
    Show(review::ShowArgs),
    Diff(review::DiffArgs),
    Approve(review::ApproveArgs),
    Environments(review::EnvironmentsArgs),
    Preview(deploy::PreviewArgs),
    Deploy(deploy::DeployArgs),
}

pub(crate) async fn run(args: ReleasesArgs) -> anyhow::Result<Exit> {
    match args.command {
        ReleasesCommand::Register(args) => register::run(args).await,
        ReleasesCommand::List(args) => review::list(args).await,
        ReleasesCommand::Show(args) => review::show(args).await,
        ReleasesCommand::Diff(args) => review::diff(args).await,
        ReleasesCommand::Approve(args) => review::approve(args).await,
        ReleasesCommand::Environments(args) => review::environments(args).await,
        ReleasesCommand::Preview(args) => deploy::preview(args).await,
        ReleasesCommand::Deploy(args) => deploy::deploy(args).await,
    }
}

/// Prints a release without its content.
fn print(release: &Release) -> anyhow::Result<()> {
    output::print_field("release", &release.id)?;
    output::print_field("state", &release.state)?;
    output::print_field("sha256", &release.sha256)?;
    output::print_field("notes", release.notes.as_deref().unwrap_or("-"))?;
    output::print_field("registered by", &release.registered_by)?;
    output::print_field("registered at", release.registered_at.format("%Y-%m-%d %H:%M:%S UTC"))?;
    output::print_field("approved by", approval_text(release))?;
    output::print_field("default", if release.is_default { "yes" } else { "no" })?;
    for problem in &release.problems {
        output::print_field("problem", problem)?;
    }
    Ok(())
}

fn approval_text(release: &Release) -> &str {
    match &release.approved_by {
        Some(by) => by,
        None if release.is_approved => "not needed",
        None => "-",
    }
}
