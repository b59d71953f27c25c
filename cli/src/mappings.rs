//! `freehold mappings`: list the account mappings, and show the history of an AWS account.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use freehold_api::schema::{AccountHistory, AccountMapping, AccountMappingPage};
use freehold_tenancy::account_mapping::AccountState;

use crate::client::{ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::export;
use crate::output::{self, ExportFormat, ListFormat, TextTable};
use crate::tenant_reference::TenantReference;
use crate::time_arg::{format_time, parse_time};

const PATH: &str = "/v1/account-mappings";

/// List account mappings: the tenant and environment of each AWS account
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold mappings list --output csv > mappings.csv\n  ",
    "freehold mappings history 111122223333\n\n",
    exit_codes!(),
))]
pub(crate) struct MappingsArgs {
    #[command(subcommand)]
    command: MappingsCommand,
}

#[derive(Debug, Subcommand)]
enum MappingsCommand {
    List(ListArgs),
    History(HistoryArgs),
}

/// List the account mappings in force, now, at an earlier time or in a period
///
/// Company name, external id, end and state of the account always have their current values, also with --at. The
/// exports (--output ndjson and csv) have the column names and times of FOCUS 1.2.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold mappings list --tenant 'Example GmbH'\n  ",
    "freehold mappings list --from 2026-10-01 --to 2026-11-01 --output csv > october.csv\n  ",
    "freehold mappings list --account-state released_active\n  ",
    "freehold mappings list --output json | jq -r '.[] | [.aws_account_id, .company_name] | @tsv'\n\n",
    "The token needs the scope account-mappings:read.\n\n",
    exit_codes!(),
))]
struct ListArgs {
    /// Time at which the mappings are in force, such as 2026-10-31 or 2026-10-31T09:30:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<DateTime<Utc>>,
    /// Start of a period: mappings in force at any time in it [default: the beginning, if --to is given]
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "at")]
    from: Option<DateTime<Utc>>,
    /// End of the period, exclusive [default: now, if --from is given]
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "at")]
    to: Option<DateTime<Utc>>,
    /// Only mappings of this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    /// Only mappings whose account has this state now: in_use, released_active, closing, closed, suspended,
    /// left_organization or unknown; without a time, mappings of any time
    ///
    /// An account with the state released_active belongs to no environment any more, but is active in AWS and can cause
    /// costs.
    #[arg(long, value_name = "STATE", value_parser = str::parse::<AccountState>)]
    account_state: Option<AccountState>,
    #[command(flatten)]
    client: ClientArgs<ExportFormat>,
}

/// Show all mappings that an AWS account has ever had, oldest first
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold mappings history 111122223333\n\n",
    "The token needs the scope account-mappings:read.\n\n",
    exit_codes!(),
))]
struct HistoryArgs {
    /// Id of the AWS account (12 digits)
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(crate) async fn run(args: MappingsArgs) -> anyhow::Result<Exit> {
    match args.command {
        MappingsCommand::List(args) => list(args).await,
        MappingsCommand::History(args) => {
            let path = format!("{PATH}/{}", encode_path_segment(&args.account));
            let history: AccountHistory = args.client.api_client()?.get(&path, &[]).await?;
            output::print_list(&history.account_mappings, args.client.output, mapping_table)?;
            Ok(Exit::Success)
        }
    }
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = TenantReference::resolve_filter(args.tenant.as_ref(), &api).await?;
    let query = [
        ("at", args.at.map(format_time)),
        ("from", args.from.map(format_time)),
        ("to", args.to.map(format_time)),
        ("tenant", tenant),
        ("account_state", args.account_state.map(|state| state.to_string())),
    ];
    if let Some(media_type) = export::media_type(args.client.output) {
        return export::print_export(&api, PATH, &query, media_type).await;
    }
    let mut mappings: Vec<AccountMapping> = Vec::new();
    let paged: Vec<_> = query.into_iter().chain([("page_size", Some("200".to_owned()))]).collect();
    api.for_each_page(PATH, &paged, |page| {
        let page: AccountMappingPage = serde_json::from_value(page)?;
        mappings.extend(page.account_mappings);
        Ok(page.next_page_token)
    })
    .await?;
    if args.client.output == ExportFormat::Json {
        output::print_json(&mappings)?;
    } else {
        output::print_table(&mapping_table(&mappings))?;
    }
    Ok(Exit::Success)
}

fn mapping_table(mappings: &[AccountMapping]) -> TextTable {
    let mut table = output::new_table([
        "account",
        "tenant",
        "company",
        "external id",
        "environment",
        "home region",
        "since",
        "until",
        "account state",
    ]);
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    for mapping in mappings {
        table.add_row([
            mapping.aws_account_id.as_str(),
            &mapping.tenant_id,
            &mapping.company_name,
            mapping.external_id.as_deref().unwrap_or("-"),
            &mapping.environment,
            &mapping.home_region,
            &time(mapping.valid_from),
            &mapping.valid_to.map_or_else(|| "-".to_owned(), time),
            &match mapping.account_seen_at {
                Some(at) => format!("{} (seen {})", mapping.account_state, time(at)),
                None => mapping.account_state.to_string(),
            },
        ]);
    }
    table
}
