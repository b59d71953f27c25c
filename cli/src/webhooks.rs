//! `freehold webhooks`: manage webhook endpoints, show and replay their deliveries.

mod deliveries;
mod test;

use clap::{Args, Subcommand};
use freehold_api::schema::{NewWebhookEndpoint, WebhookEndpoint, WebhookEndpointPage};

use crate::client::{ClientArgs, encode_path_segment};
use crate::confirmation::{Answer, ConfirmationArgs, confirm};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format, ListFormat, TextTable};

macro_rules! endpoint_example {
    ($command:literal) => {
        concat!("Example:\n  freehold webhooks ", $command, " whe_01k2m8v3x9e7rt4s5q6w7y8z9f\n\n", exit_codes!())
    };
}

/// Manage webhook endpoints; show and replay their deliveries
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold webhooks create --url https://example.com/freehold --type environment.ready\n\n",
    exit_codes!(),
))]
pub(crate) struct WebhooksArgs {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Debug, Subcommand)]
enum WebhooksCommand {
    List(ListArgs),
    Create(CreateArgs),
    Show(deliveries::ShowArgs),
    Test(test::TestArgs),
    Replay(deliveries::ReplayArgs),
    /// Create a new signing secret and print it once; the old one stays valid for 24 hours
    #[command(after_help = endpoint_example!("rotate-secret"))]
    RotateSecret(EndpointArgs),
    /// Disable an endpoint: send no deliveries until it is enabled
    #[command(after_help = endpoint_example!("disable"))]
    Disable(EndpointArgs),
    /// Enable a disabled endpoint
    #[command(after_help = endpoint_example!("enable"))]
    Enable(EndpointArgs),
    /// Delete an endpoint with its deliveries
    #[command(after_help = endpoint_example!("delete"))]
    Delete(DeleteArgs),
}

/// List webhook endpoints, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold webhooks list\n  \
    freehold webhooks list --output json | jq '.[] | select(.state == \"disabled\")'")]
struct ListArgs {
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

/// Create a webhook endpoint; prints its signing secret once
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold webhooks create --url https://example.com/freehold\n  ",
    "freehold webhooks create --url https://example.com/freehold --type environment.ready \\\n    ",
    "--description billing\n  ",
    "freehold webhooks create --url https://hooks.slack.com/services/T0/B0/x --format slack\n\n",
    exit_codes!(),
))]
struct CreateArgs {
    /// URL that receives the events; must be https and publicly reachable
    #[arg(long, value_name = "URL")]
    url: String,
    /// Send only events of this type; repeatable [default: all types]
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Description of the endpoint
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Format of the body: freehold, or slack or teams for messages to a channel [default: freehold]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct EndpointArgs {
    /// Id of the webhook endpoint (whe_…)
    #[arg(value_name = "ENDPOINT")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    #[command(flatten)]
    endpoint: EndpointArgs,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
}

pub(crate) async fn run(args: WebhooksArgs) -> anyhow::Result<Exit> {
    match args.command {
        WebhooksCommand::List(args) => list(args).await,
        WebhooksCommand::Create(args) => create(args).await,
        WebhooksCommand::Show(args) => deliveries::show(args).await,
        WebhooksCommand::Test(args) => test::run(args).await,
        WebhooksCommand::Replay(args) => deliveries::replay(args).await,
        WebhooksCommand::RotateSecret(args) => post(args, "rotate-secret").await,
        WebhooksCommand::Disable(args) => post(args, "disable").await,
        WebhooksCommand::Enable(args) => post(args, "enable").await,
        WebhooksCommand::Delete(args) => delete(args.endpoint, &args.confirmation).await,
    }
}

fn endpoint_path(id: &str) -> String {
    format!("/v1/webhook-endpoints/{}", encode_path_segment(id))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let mut endpoints = Vec::new();
    let query = [("page_size", Some("200".to_owned()))];
    args.client
        .api_client()?
        .for_each_page("/v1/webhook-endpoints", &query, |page| {
            let page: WebhookEndpointPage = serde_json::from_value(page)?;
            endpoints.extend(page.webhook_endpoints);
            Ok(page.next_page_token)
        })
        .await?;
    output::print_list(&endpoints, args.client.output, endpoint_table)?;
    Ok(Exit::Success)
}

fn endpoint_table(endpoints: &[WebhookEndpoint]) -> TextTable {
    let mut table = output::new_table(["endpoint", "state", "url", "format", "types", "description", "failing since"]);
    for endpoint in endpoints {
        let failing_since = endpoint.failing_since.map(|since| since.format("%Y-%m-%d %H:%M:%S").to_string());
        table.add_row([
            endpoint.id.as_str(),
            endpoint.disabled_reason.as_deref().unwrap_or(&endpoint.state),
            &endpoint.url,
            &endpoint.format,
            &format_types(endpoint),
            &endpoint.description,
            failing_since.as_deref().unwrap_or("-"),
        ]);
    }
    table
}

async fn create(args: CreateArgs) -> anyhow::Result<Exit> {
    let types = (!args.types.is_empty()).then_some(args.types);
    let body = NewWebhookEndpoint { url: args.url, types, description: args.description, format: args.format };
    let endpoint: WebhookEndpoint = args.client.api_client()?.post("/v1/webhook-endpoints", &[], Some(&body)).await?;
    print_endpoint(&endpoint, args.client.output)
}

async fn delete(args: EndpointArgs, confirmation: &ConfirmationArgs) -> anyhow::Result<Exit> {
    let must_ask = confirmation.must_ask()?;
    let api = args.client.api_client()?;
    if must_ask {
        let endpoint: WebhookEndpoint = api.get(&endpoint_path(&args.id), &[]).await?;
        let consequences = format!(
            "This deletes the webhook endpoint {} ({}) with its signing secret and deliveries, and cannot be undone. \
             `freehold webhooks disable` only stops the deliveries.",
            endpoint.id, endpoint.url
        );
        confirm(&consequences, Answer::Yes)?;
    }
    let () = api.delete(&endpoint_path(&args.id), &[]).await?;
    output::print_note(format!("deleted webhook endpoint {}", args.id));
    Ok(Exit::Success)
}

async fn post(args: EndpointArgs, action: &str) -> anyhow::Result<Exit> {
    let path = format!("{}/{action}", endpoint_path(&args.id));
    let endpoint: WebhookEndpoint = args.client.api_client()?.post(&path, &[], None::<&()>).await?;
    print_endpoint(&endpoint, args.client.output)
}

/// Prints a webhook endpoint. The response contains the secret only after creation and rotation.
fn print_endpoint(endpoint: &WebhookEndpoint, format: Format) -> anyhow::Result<Exit> {
    if format == Format::Json {
        output::print_json(endpoint)?;
        return Ok(Exit::Success);
    }
    print_fields(endpoint)?;
    if let Some(secret) = &endpoint.secret {
        output::print_field("secret", secret)?;
        output::print_note("store the secret now; it is not shown again");
    }
    Ok(Exit::Success)
}

fn print_fields(endpoint: &WebhookEndpoint) -> anyhow::Result<()> {
    let state = match &endpoint.disabled_message {
        Some(reason) => format!("{}: {reason}", endpoint.state),
        None => endpoint.state.clone(),
    };
    let types = format_types(endpoint);
    for (name, value) in [
        ("endpoint", endpoint.id.as_str()),
        ("url", &endpoint.url),
        ("types", &types),
        ("format", &endpoint.format),
        ("description", &endpoint.description),
        ("state", &state),
    ] {
        output::print_field(name, value)?;
    }
    Ok(())
}

fn format_types(endpoint: &WebhookEndpoint) -> String {
    endpoint.types.as_ref().map_or("all".to_owned(), |types| types.join(", "))
}
