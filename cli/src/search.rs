//! `freehold search`: find tenants, operations and other objects by any text or id.

use clap::Args;
use freehold_api::schema::{SearchHit, SearchResult};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, ListFormat, TextTable};

/// Search by name, e-mail, external id, AWS account, AWS request or any id
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Finds tenants by a part of the company name, administrator e-mail address, external id or AWS account id, and any \
     object by its id. An operation is also found by the id of its latest failed request to AWS.\n\n",
    "Examples:\n  freehold search 'Example GmbH'\n  freehold search 84122\n  ",
    "freehold search admin@example.com --output json | jq -r '.[0].tenant_id'\n\n",
    exit_codes!(),
))]
pub(crate) struct SearchArgs {
    /// Text or id, 1 to 128 characters; case-insensitive
    #[arg(value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(crate) async fn run(args: SearchArgs) -> anyhow::Result<Exit> {
    let result: SearchResult = args.client.api_client()?.get("/v1/search", &[("q", Some(args.text))]).await?;
    output::print_list(&result.hits, args.client.output, hit_table)?;
    if result.hits.is_empty() {
        output::print_note("Nothing was found.");
        return Ok(Exit::NotFound);
    }
    Ok(Exit::Success)
}

fn hit_table(hits: &[SearchHit]) -> TextTable {
    let mut table = output::new_table(["kind", "id", "tenant", "company", "detail", "match"]);
    for hit in hits {
        table.add_row([
            hit.kind.as_str(),
            &hit.id,
            hit.tenant_id.as_deref().unwrap_or("-"),
            hit.company_name.as_deref().unwrap_or("-"),
            hit.detail.as_deref().unwrap_or("-"),
            &hit.r#match,
        ]);
    }
    table
}
