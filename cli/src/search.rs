//! `freehold search`: find tenants, operations and other objects by any text or id.

use clap::Args;
use freehold_api::schema::SearchResult;

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Search by name, e-mail, external id, AWS account, AWS request or any id
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Finds tenants by a part of the company name, administrator e-mail address, external id or AWS account id, and any \
     object by its id. An operation is also found by the id of its latest failed request to AWS.\n\n",
    "Examples:\n  freehold search 'Example GmbH'\n  freehold search 84122\n  ",
    "freehold search admin@example.com --output json | jq -r '.hits[0].tenant_id'\n\n",
    exit_codes!(),
))]
pub(crate) struct SearchArgs {
    /// Text or id, 1 to 128 characters; case-insensitive
    #[arg(value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: SearchArgs) -> anyhow::Result<Exit> {
    let result: SearchResult = args.client.api_client()?.get("/v1/search", &[("q", Some(args.text))]).await?;
    let exit = if result.hits.is_empty() { Exit::NotFound } else { Exit::Success };
    if args.client.output == Format::Json {
        output::print_json(&result)?;
        return Ok(exit);
    }
    if result.hits.is_empty() {
        output::print_note("Nothing was found.");
        return Ok(exit);
    }
    let mut table = output::new_table(["kind", "id", "tenant", "company", "detail", "match"]);
    for hit in &result.hits {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([
            hit.kind.clone(),
            hit.id.clone(),
            or_dash(&hit.tenant_id),
            or_dash(&hit.company_name),
            or_dash(&hit.detail),
            hit.r#match.clone(),
        ]);
    }
    output::print_table(&table)?;
    Ok(exit)
}
