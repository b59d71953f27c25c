//! `freehold proof verify`: verify a residency proof without configuration, API and network.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use freehold_tenancy::InstallationId;
use freehold_tenancy::residency_proof::{self, VerifyError, read_public_keys};

use super::report;
use crate::exit::Exit;
use crate::output;

/// Verify a residency proof, without configuration and network
///
/// Checks the signature, prints the report, and says whether the environment conforms to its residency.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold proof verify residency-proof.jws --public-key \"$PROOF_PUBLIC_KEY\"\n  \
    freehold proof verify residency-proof.jws --public-key keys.json --installation ins_01k2m8v3x9e7rt4s5q6w7y8z9a\n\n\
    The file is the response to `Accept: application/jose`, or the output of `freehold proof show --output jws`.\n\n\
    Exit codes:\n  \
    0  the proof is valid, and the environment conforms\n  \
    1  the file or the public key cannot be read\n  \
    2  invalid command line\n  \
    3  the verification fails: the proof was changed, was signed with another key, belongs to another installation, or \
    says that the environment does not conform")]
pub(super) struct VerifyArgs {
    /// File with the proof, a compact JWS
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Public key in base64, JWK or JWK set, or a file with one of them
    ///
    /// `freehold proof public-key` prints the key; /v1/residency-proof-keys of the API serves a JWK set. Obtain it
    /// from another source than the proof.
    #[arg(long, value_name = "FILE_OR_VALUE")]
    public_key: String,
    /// Id of the installation that the proof must belong to (ins_…)
    #[arg(long, value_name = "ID")]
    installation: Option<InstallationId>,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let shown = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {shown}"))?;
    let keys = read_public_keys(&args.public_key)?;
    let verified = residency_proof::verify(text.trim_ascii_end(), &keys);
    let verified = verified.and_then(|document| match args.installation {
        Some(expected) if document.installation_id != expected => {
            Err(VerifyError::OtherInstallation { found: document.installation_id, expected })
        }
        _ => Ok(document),
    });
    let document = match verified {
        Ok(document) => document,
        Err(reason) => return Err(Exit::NotVerified.error(format!("the proof in {shown} is NOT valid: {reason}"))),
    };
    report::print(&document)?;
    output::print_line("The signature is valid.")?;
    if !document.conforms {
        output::print_note("error: the proof is valid, but the environment does NOT conform to its residency");
        return Ok(Exit::NotVerified);
    }
    Ok(Exit::Success)
}
