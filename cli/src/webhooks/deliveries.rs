//! `freehold webhooks show` and `replay`

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use freehold_api::schema::{
    ReplayRequest, ReplayResult, WebhookAttempt, WebhookDelivery, WebhookDeliveryPage, WebhookEndpoint,
};
use serde_json::json;

use super::{facts, path};
use crate::client::{Api, ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// How many deliveries are shown.
const SHOWN: &str = "20";

/// Show an endpoint with its latest deliveries, or one delivery with each attempt
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold webhooks show whe_01k2m8v3x9e7rt4s5q6w7y8z9f --state failed\n  ",
    "freehold webhooks show whe_01k2m8v3x9e7rt4s5q6w7y8z9f whd_01k2m8v3x9e7rt4s5q6w7y8z9g\n\n",
    exit_codes!(),
))]
pub(super) struct ShowArgs {
    /// The endpoint: whe_…
    #[arg(value_name = "ENDPOINT")]
    id: String,
    /// One of its deliveries: whd_…
    #[arg(value_name = "DELIVERY")]
    delivery: Option<String>,
    /// Only deliveries that are pending, delivered or failed
    #[arg(long, value_name = "STATE", conflicts_with = "delivery")]
    state: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Send one delivery again, or everything that has happened since a time
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold webhooks replay whe_01k2m8v3x9e7rt4s5q6w7y8z9f whd_01k2m8v3x9e7rt4s5q6w7y8z9g\n  ",
    "freehold webhooks replay whe_01k2m8v3x9e7rt4s5q6w7y8z9f --since 2026-11-01T00:00:00Z\n\n",
    exit_codes!(),
))]
pub(super) struct ReplayArgs {
    /// The endpoint: whe_…
    #[arg(value_name = "ENDPOINT")]
    id: String,
    /// One of its deliveries: whd_…
    #[arg(value_name = "DELIVERY")]
    delivery: Option<String>,
    /// Everything that happened at this time or later, at most 30 days ago
    #[arg(long, value_name = "TIME", conflicts_with = "delivery")]
    since: Option<DateTime<Utc>>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let (api, endpoint) = (args.client.api()?, path(&args.id));
    if let Some(delivery) = &args.delivery {
        return one(&api, &format!("{endpoint}/deliveries/{}", in_path(delivery)), args.client.output).await;
    }
    let shown: WebhookEndpoint = api.get(&endpoint, &[]).await?;
    let query = [("page_size", Some(SHOWN.to_owned())), ("state", args.state)];
    let page: WebhookDeliveryPage = api.get(&format!("{endpoint}/deliveries"), &query).await?;
    if args.client.output == Format::Json {
        output::json(&json!({ "endpoint": shown, "deliveries": page.webhook_deliveries }))?;
        return Ok(Exit::Done);
    }
    facts(&shown)?;
    let mut table = output::table(["delivery", "event", "state", "attempts", "next attempt"]);
    for delivery in &page.webhook_deliveries {
        table.add_row([
            delivery.id.as_str(),
            delivery.r#type.as_deref().unwrap_or("-"),
            &delivery.state,
            &delivery.attempt_count.to_string(),
            &time(delivery.next_attempt_at),
        ]);
    }
    output::show(&table)?;
    Ok(Exit::Done)
}

async fn one(api: &Api, path: &str, format: Format) -> anyhow::Result<Exit> {
    let delivery: WebhookDelivery = api.get(path, &[]).await?;
    if format == Format::Json {
        output::json(&delivery)?;
        return Ok(Exit::Done);
    }
    let event = format!("{} at position {}", delivery.r#type.as_deref().unwrap_or("-"), delivery.position);
    for (name, value) in [("delivery", &delivery.id), ("event", &event), ("state", &delivery.state)] {
        output::line(format!("{name:12} {value}"))?;
    }
    let mut table = output::table(["attempt", "began", "took", "status", "what came of it", "next attempt"]);
    for WebhookAttempt { number, started_at, duration_ms, response_status, message, next_attempt_at, .. } in
        delivery.attempts.iter().flatten()
    {
        table.add_row([
            &number.to_string(),
            &time(Some(*started_at)),
            &format!("{duration_ms} ms"),
            &response_status.map_or("-".to_owned(), |status| status.to_string()),
            message,
            &time(*next_attempt_at),
        ]);
    }
    output::show(&table)?;
    Ok(Exit::Done)
}

pub(super) async fn replay(args: ReplayArgs) -> anyhow::Result<Exit> {
    let (api, endpoint) = (args.client.api()?, path(&args.id));
    match (args.delivery, args.since) {
        (Some(delivery), _) => {
            let path = format!("{endpoint}/deliveries/{}/replay", in_path(&delivery));
            let delivery: WebhookDelivery = api.post(&path, &[], None::<&()>).await?;
            output::note(format!("{} is sent again", delivery.id));
        }
        (None, Some(since)) => {
            let path = format!("{endpoint}/replay");
            let replayed: ReplayResult = api.post(&path, &[], Some(&ReplayRequest { since })).await?;
            output::note(format!("{} events are sent", replayed.events));
        }
        (None, None) => bail!("say which: a delivery, or --since a time"),
    }
    Ok(Exit::Done)
}

fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or("-".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}
