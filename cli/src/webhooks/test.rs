//! `freehold webhooks test`: send a test event and print what the receiver answers.

use std::time::Duration;

use clap::Args;
use freehold_api::schema::WebhookDelivery;

use super::{deliveries, endpoint_path};
use crate::client::{ClientArgs, encode_path_segment};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Maximum time to wait for the first attempt. A worker makes it within a second, and a receiver may take 15 seconds.
const MAX_WAIT: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Send a test event to an endpoint and print the result
///
/// Sends one event of type webhook.test to this endpoint only, and waits at most 20 seconds for the first attempt.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold webhooks test whe_01k2m8v3x9e7rt4s5q6w7y8z9f\n\n",
    "The command fails if the first attempt fails. The delivery is retried like any other.\n\n",
    exit_codes!(),
))]
pub(super) struct TestArgs {
    /// Id of the webhook endpoint (whe_…)
    #[arg(value_name = "ENDPOINT")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: TestArgs) -> anyhow::Result<Exit> {
    let (api, endpoint) = (args.client.api_client()?, endpoint_path(&args.id));
    let mut delivery: WebhookDelivery = api.post(&format!("{endpoint}/test"), &[], None::<&()>).await?;
    let path = format!("{endpoint}/deliveries/{}", encode_path_segment(&delivery.id));
    let start = tokio::time::Instant::now();
    while delivery.attempt_count == 0 && start.elapsed() < MAX_WAIT {
        tokio::time::sleep(POLL_INTERVAL).await;
        delivery = api.get(&path, &[]).await?;
    }
    match args.client.output {
        Format::Json => output::print_json(&delivery)?,
        Format::Table => deliveries::print_delivery(&delivery)?,
    }
    if delivery.attempt_count == 0 {
        output::print_note(format!(
            "no attempt within 20 seconds: the endpoint is paused, or no worker runs; `freehold webhooks show {} {}` \
             shows the attempts",
            args.id, delivery.id
        ));
    }
    Ok(if delivery.state == "delivered" { Exit::Success } else { Exit::Failure })
}
