//! `freehold webhooks show` and `replay`: deliveries of a webhook endpoint.

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use freehold_api::schema::{
    ReplayRequest, ReplayResult, WebhookAttempt, WebhookDelivery, WebhookDeliveryPage, WebhookEndpoint,
};
use serde_json::json;

use super::{endpoint_path, print_fields};
use crate::client::{ApiClient, ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Maximum number of deliveries that `show` prints.
const MAX_DELIVERIES: &str = "20";

/// Show an endpoint with its latest deliveries, or one delivery with its attempts
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold webhooks show whe_01k2m8v3x9e7rt4s5q6w7y8z9f --state failed\n  ",
    "freehold webhooks show whe_01k2m8v3x9e7rt4s5q6w7y8z9f whd_01k2m8v3x9e7rt4s5q6w7y8z9g\n\n",
    exit_codes!(),
))]
pub(super) struct ShowArgs {
    /// Id of the webhook endpoint (whe_…)
    #[arg(value_name = "ENDPOINT")]
    id: String,
    /// Id of the delivery (whd_…) [default: the latest 20 deliveries]
    #[arg(value_name = "DELIVERY")]
    delivery: Option<String>,
    /// Only deliveries in this state: pending, delivered, failed
    #[arg(long, value_name = "STATE", conflicts_with = "delivery")]
    state: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Replay one delivery, or all events since a time
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold webhooks replay whe_01k2m8v3x9e7rt4s5q6w7y8z9f whd_01k2m8v3x9e7rt4s5q6w7y8z9g\n  ",
    "freehold webhooks replay whe_01k2m8v3x9e7rt4s5q6w7y8z9f --since 2026-11-01T00:00:00Z\n\n",
    exit_codes!(),
))]
pub(super) struct ReplayArgs {
    /// Id of the webhook endpoint (whe_…)
    #[arg(value_name = "ENDPOINT")]
    id: String,
    /// Id of the delivery (whd_…); required without --since
    #[arg(value_name = "DELIVERY")]
    delivery: Option<String>,
    /// Replay all events since this time (RFC 3339), at most 30 days ago
    #[arg(long, value_name = "TIME", conflicts_with = "delivery", value_parser = parse_time)]
    since: Option<DateTime<Utc>>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let (api, endpoint) = (args.client.api_client()?, endpoint_path(&args.id));
    if let Some(delivery) = &args.delivery {
        return show_delivery(
            &api,
            &format!("{endpoint}/deliveries/{}", encode_path_segment(delivery)),
            args.client.output,
        )
        .await;
    }
    let shown: WebhookEndpoint = api.get(&endpoint, &[]).await?;
    let query = [("page_size", Some(MAX_DELIVERIES.to_owned())), ("state", args.state)];
    let page: WebhookDeliveryPage = api.get(&format!("{endpoint}/deliveries"), &query).await?;
    if args.client.output == Format::Json {
        output::print_json(&json!({ "endpoint": shown, "deliveries": page.webhook_deliveries }))?;
        return Ok(Exit::Success);
    }
    print_fields(&shown)?;
    let mut table = output::new_table(["delivery", "event", "state", "attempts", "next attempt"]);
    for delivery in &page.webhook_deliveries {
        table.add_row([
            delivery.id.as_str(),
            delivery.r#type.as_deref().unwrap_or("-"),
            &delivery.state,
            &delivery.attempt_count.to_string(),
            &format_time(delivery.next_attempt_at),
        ]);
    }
    output::print_table(&table)?;
    Ok(Exit::Success)
}

async fn show_delivery(api: &ApiClient, path: &str, format: Format) -> anyhow::Result<Exit> {
    let delivery: WebhookDelivery = api.get(path, &[]).await?;
    if format == Format::Json {
        output::print_json(&delivery)?;
    } else {
        print_delivery(&delivery)?;
    }
    Ok(Exit::Success)
}

/// Prints a delivery with its attempts.
pub(super) fn print_delivery(delivery: &WebhookDelivery) -> anyhow::Result<()> {
    let event_type = delivery.r#type.as_deref().unwrap_or("-");
    let event = match delivery.position {
        0 => event_type.to_owned(),
        position => format!("{event_type} at position {position}"),
    };
    for (name, value) in [("delivery", &delivery.id), ("event", &event), ("state", &delivery.state)] {
        output::print_field(name, value)?;
    }
    let mut table = output::new_table(["attempt", "started", "duration", "status", "result", "next attempt"]);
    for WebhookAttempt { number, started_at, duration_ms, response_status, message, next_attempt_at, .. } in
        delivery.attempts.iter().flatten()
    {
        table.add_row([
            &number.to_string(),
            &format_time(Some(*started_at)),
            &format!("{duration_ms} ms"),
            &response_status.map_or("-".to_owned(), |status| status.to_string()),
            message,
            &format_time(*next_attempt_at),
        ]);
    }
    Ok(output::print_table(&table)?)
}

pub(super) async fn replay(args: ReplayArgs) -> anyhow::Result<Exit> {
    let (api, endpoint) = (args.client.api_client()?, endpoint_path(&args.id));
    match (args.delivery, args.since) {
        (Some(delivery), _) => {
            let path = format!("{endpoint}/deliveries/{}/replay", encode_path_segment(&delivery));
            let delivery: WebhookDelivery = api.post(&path, &[], None::<&()>).await?;
            output::print_note(format!("delivery {} is queued for replay", delivery.id));
        }
        (None, Some(since)) => {
            let path = format!("{endpoint}/replay");
            let replayed: ReplayResult = api.post(&path, &[], Some(&ReplayRequest { since })).await?;
            output::print_note(format!("{} events are queued for replay", replayed.events));
        }
        (None, None) => bail!("nothing to replay; give a delivery id or --since"),
    }
    Ok(Exit::Success)
}

fn format_time(time: Option<DateTime<Utc>>) -> String {
    time.map_or("-".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    text.parse().map_err(|_| "must be a time with its zone such as 2026-11-01T00:00:00Z")
}
