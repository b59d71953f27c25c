//! `freehold events tail`: print new events of the feed as they appear.

use std::time::Duration;

use clap::Args;
use freehold_api::schema::{FeedEvent, FeedEventPage};

use super::{FilterArgs, PATH, details, position, time};
use crate::client::{ApiClient, ClientArgs};
use crate::event_stream::is_retryable;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, ListFormat};
use crate::shutdown::listen_for_signals;

/// Seconds that the API waits for an event before it returns an empty page.
const WAIT_SECONDS: &str = "20";

/// Pause after a request that the API has not answered.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Maximum number of requests in a row that the API does not answer.
const MAX_FAILURES: u32 = 60;

/// Print new events as they appear, until Ctrl-C
///
/// Prints one line per event. After a lost connection, the command continues after the last event that it has printed.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold events tail --tenant 'Example GmbH'\n  ",
    "freehold events tail --types environment.degraded --output json | jq -r .subject\n\n",
    "With --output json or ndjson, each line is an event in the format of the API.\n\n",
    "The token needs the scope events:read.\n\n",
    exit_codes!(),
))]
pub(super) struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print the stored events after this position first [default: only new events]
    #[arg(long, value_name = "POSITION")]
    after: Option<i64>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

pub(super) async fn run(args: TailArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let filter = args.filter.query(&api).await?;
    let after = match args.after {
        Some(after) => after,
        None => end_of_feed(&api).await?,
    };
    let shutdown = listen_for_signals()?;
    tokio::select! {
        result = follow(&api, &filter, after, args.client.output) => result,
        () = shutdown.cancelled() => Ok(Exit::Success),
    }
}

/// Returns the position of the latest event.
async fn end_of_feed(api: &ApiClient) -> anyhow::Result<i64> {
    let page: FeedEventPage = api.get(PATH, &[("page_size", Some("1".to_owned()))]).await?;
    Ok(page.latest_position)
}

/// Prints events until the API refuses a request, or does not answer for a minute.
async fn follow(
    api: &ApiClient,
    filter: &[(&str, Option<String>)],
    mut after: i64,
    format: ListFormat,
) -> anyhow::Result<Exit> {
    let mut failures = 0;
    loop {
        let mut query = filter.to_vec();
        query.extend([("after", Some(after.to_string())), ("wait", Some(WAIT_SECONDS.to_owned()))]);
        match api.get::<FeedEventPage>(PATH, &query).await {
            Ok(page) => {
                failures = 0;
                page.events.iter().try_for_each(|event| print_event(event, format))?;
                after = page.next_after;
            }
            Err(error) if failures < MAX_FAILURES && is_retryable(&error) => {
                failures += 1;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn print_event(event: &FeedEvent, format: ListFormat) -> anyhow::Result<()> {
    if format != ListFormat::Table {
        return output::print_json_line(event);
    }
    let tenant = event.data.tenant_id.as_deref().unwrap_or("-");
    let line = format!("{}  {:>6}  {}  {tenant}  {}", time(event), position(event), event.r#type, details(event));
    Ok(output::print_line(line.trim_end())?)
}
