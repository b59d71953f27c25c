//! `freehold openapi`: print the description of the REST API.

use clap::Args;

use crate::exit::Exit;
use crate::output;

/// Print the OpenAPI 3.1 description of the REST API
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold openapi > openapi/openapi.json")]
pub(crate) struct OpenapiArgs {}

pub(crate) fn run() -> anyhow::Result<Exit> {
    output::print_line(freehold_api::openapi_json().trim_end())?;
    Ok(Exit::Success)
}
