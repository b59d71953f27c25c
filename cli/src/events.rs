//! `freehold events`: list the events of the feed, and follow new events.

mod tail;

use clap::{Args, Subcommand, value_parser};
use freehold_api::schema::{FeedEvent, FeedEventPage};
use serde_json::Value;

use crate::client::{ApiClient, ClientArgs};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, ListFormat, TextTable};
use crate::tenant_reference::TenantReference;

const PATH: &str = "/v1/events";

/// Maximum number of events in a page.
const MAX_PAGE_SIZE: u64 = 1000;

/// List the events of the feed, and follow new events
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold events tail --tenant 'Example GmbH'\n  ",
    "freehold events list --types environment.ready,environment.offboarded\n\n",
    exit_codes!(),
))]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    List(ListArgs),
    Tail(tail::TailArgs),
}

/// List stored events, oldest first
///
/// Events are kept for a year.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold events list --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n  ",
    "freehold events list --types environment.account.assigned --after 4711 --output ndjson | jq .data\n\n",
    "The token needs the scope events:read.\n\n",
    exit_codes!(),
))]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only events after this position [default: from the oldest stored event]
    #[arg(long, value_name = "POSITION")]
    after: Option<i64>,
    /// Maximum number of events
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = value_parser!(u64).range(1..=100_000))]
    limit: u64,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

/// Filters of events by tenant and type.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Only events of this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    /// Only events of these types, separated by commas, such as environment.ready
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
}

impl FilterArgs {
    /// Returns the filters as a query. Resolves the reference to a tenant.
    async fn query(self, api: &ApiClient) -> anyhow::Result<[(&'static str, Option<String>); 2]> {
        let tenant = TenantReference::resolve_filter(self.tenant.as_ref(), api).await?;
        Ok([("tenant", tenant), ("types", self.types)])
    }
}

pub(crate) async fn run(args: EventsArgs) -> anyhow::Result<Exit> {
    match args.command {
        EventsCommand::List(args) => list(args).await,
        EventsCommand::Tail(args) => tail::run(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let filter = args.filter.query(&api).await?;
    let (mut events, mut after): (Vec<FeedEvent>, _) = (Vec::new(), args.after);
    let has_more = loop {
        let missing = args.limit.saturating_sub(events.len() as u64);
        let mut query = filter.to_vec();
        query.push(("after", after.map(|after| after.to_string())));
        query.push(("page_size", Some(missing.min(MAX_PAGE_SIZE).to_string())));
        let page: FeedEventPage = api.get(PATH, &query).await?;
        events.extend(page.events);
        after = Some(page.next_after);
        if !page.has_more || events.len() as u64 >= args.limit {
            break page.has_more;
        }
    };
    output::print_list(&events, args.client.output, event_table)?;
    if let (true, Some(after)) = (has_more, after) {
        output::print_note(format!("more events follow; continue with --after {after}, or raise --limit"));
    }
    Ok(Exit::Success)
}

fn event_table(events: &[FeedEvent]) -> TextTable {
    let mut table = output::new_table(["position", "time", "type", "tenant", "details"]);
    for event in events {
        table.add_row([
            position(event),
            &time(event),
            &event.r#type,
            event.data.tenant_id.as_deref().unwrap_or("-"),
            &details(event),
        ]);
    }
    table
}

/// Returns the position of an event without its leading zeros.
fn position(event: &FeedEvent) -> &str {
    event.sequence.trim_start_matches('0')
}

fn time(event: &FeedEvent) -> String {
    event.time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Returns the data of an event except the tenant, such as `environment_id=env_… region=eu-west-1`.
fn details(event: &FeedEvent) -> String {
    let data = serde_json::to_value(&event.data).unwrap_or_default();
    let fields = data.as_object().into_iter().flatten().filter(|(name, _)| *name != "tenant_id");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}
