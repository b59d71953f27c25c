//! `freehold proof`: show, refresh and verify residency proofs, print the public key.

mod refresh;
mod report;
mod show;
mod verify;

use anyhow::Context;
use clap::{Args, Subcommand};
use freehold_tenancy::Config;

use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;
use crate::tenants::environment_path;

/// Show, refresh and verify residency proofs
///
/// A residency proof is a signed document: where the environment of a tenant can run and where it runs, as a worker has
/// observed it in AWS.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold proof refresh ten_01k2m8v3x9e7rt4s5q6w7y8z9b --wait\n  \
    freehold proof show ten_01k2m8v3x9e7rt4s5q6w7y8z9b --output jws > residency-proof.jws\n  \
    freehold proof verify residency-proof.jws --public-key \"$PROOF_PUBLIC_KEY\"")]
pub(crate) struct ProofArgs {
    #[command(subcommand)]
    command: ProofCommand,
}

#[derive(Debug, Subcommand)]
enum ProofCommand {
    Show(show::ShowArgs),
    Refresh(refresh::RefreshArgs),
    Verify(verify::VerifyArgs),
    PublicKey(PublicKeyArgs),
}

/// Print, in base64, the public key that belongs to proof.signing_key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold proof public-key --config freehold.toml")]
struct PublicKeyArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) async fn run(args: ProofArgs) -> anyhow::Result<Exit> {
    match args.command {
        ProofCommand::Show(args) => show::run(args).await,
        ProofCommand::Refresh(args) => refresh::run(args).await,
        ProofCommand::Verify(args) => verify::run(&args),
        ProofCommand::PublicKey(args) => {
            let config = Config::load(&args.config.config)?;
            let signer = config.proof.signer()?.context("proof.signing_key is not set")?;
            output::print_line(signer.public_key().to_string())?;
            Ok(Exit::Success)
        }
    }
}

/// Returns the path of an environment's proof in the API.
fn path_of(tenant: &str, environment: &str) -> String {
    format!("{}/residency-proof", environment_path(tenant, environment))
}
