//! `freehold proof show`: show the latest residency proof of an environment.

use anyhow::Context;
use clap::{Args, ValueEnum};
use freehold_api::schema::ResidencyProof;

use super::{path_of, report};
use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output;
use crate::tenant_reference::TenantReference;

/// Show the latest residency proof of an environment
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold proof show ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging\n  ",
    "freehold proof show ten_01k2m8v3x9e7rt4s5q6w7y8z9b --output jws > residency-proof.jws\n  ",
    "freehold proof show ten_01k2m8v3x9e7rt4s5q6w7y8z9b --output html > residency-proof.html\n\n",
    "The proof describes the time at which it was observed; `freehold proof refresh` observes again. This command does \
     not verify the signature.\n\n",
    exit_codes!(),
))]
pub(super) struct ShowArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    tenant: TenantReference,
    /// Name of the environment
    #[arg(long, value_name = "NAME", default_value = "production")]
    environment: String,
    #[command(flatten)]
    client: ClientArgs<ProofFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProofFormat {
    /// Report, for reading on a terminal
    Table,
    /// JSON, for programs
    Json,
    /// Signed document (compact JWS), for `freehold proof verify`
    Jws,
    /// Page for auditors
    Html,
}

pub(super) async fn run(args: ShowArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let path = path_of(&args.tenant.resolve(&api).await?, &args.environment);
    if args.client.output == ProofFormat::Html {
        let page = api.open_export(&path, &[], "text/html").await?.bytes().await?;
        output::write_export(&page)?;
        return Ok(Exit::Success);
    }
    let proof: ResidencyProof = api.get(&path, &[]).await?;
    match args.client.output {
        ProofFormat::Json => output::print_json(&proof)?,
        ProofFormat::Jws => output::print_line(&proof.jws)?,
        ProofFormat::Table | ProofFormat::Html => {
            let document = serde_json::from_value(proof.document);
            report::print(&document.context("the proof does not match this version of Freehold")?)?;
        }
    }
    Ok(Exit::Success)
}
