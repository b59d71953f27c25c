//! `freehold webhooks`: where the feed is sent, what came of it, and sending it again.

mod deliveries;

use clap::{Args, Subcommand};
use freehold_api::schema::{NewWebhookEndpoint, WebhookEndpoint, WebhookEndpointPage};

use crate::client::{ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Have events sent to a URL, and look at what came of it
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
    Replay(deliveries::ReplayArgs),
    /// Put a new secret in place of the one there is; for 24 hours both are good
    RotateSecret(EndpointArgs),
    /// Have nothing sent to an endpoint for now
    Disable(EndpointArgs),
    /// Have events sent to an endpoint again
    Enable(EndpointArgs),
    /// Have nothing sent to an endpoint any more, and forget it
    Delete(EndpointArgs),
}

/// List webhook endpoints, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold webhooks list\n  \
    freehold webhooks list --output json | jq '.[] | select(.state == \"disabled\")'")]
struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// Have events sent to a URL; prints the secret that they are signed with, once
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold webhooks create --url https://example.com/freehold\n  ",
    "freehold webhooks create --url https://example.com/freehold --type environment.ready --description billing\n\n",
    exit_codes!(),
))]
struct CreateArgs {
    /// Where: https, on the public internet
    #[arg(long, value_name = "URL")]
    url: String,
    /// Only events of this type; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold webhooks list\n\n", exit_codes!()))]
struct EndpointArgs {
    /// The endpoint: whe_…
    #[arg(value_name = "ENDPOINT")]
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: WebhooksArgs) -> anyhow::Result<Exit> {
    match args.command {
        WebhooksCommand::List(args) => list(args).await,
        WebhooksCommand::Create(args) => create(args).await,
        WebhooksCommand::Show(args) => deliveries::show(args).await,
        WebhooksCommand::Replay(args) => deliveries::replay(args).await,
        WebhooksCommand::RotateSecret(args) => post(args, "rotate-secret").await,
        WebhooksCommand::Disable(args) => post(args, "disable").await,
        WebhooksCommand::Enable(args) => post(args, "enable").await,
        WebhooksCommand::Delete(args) => {
            let () = args.client.api()?.delete(&path(&args.id), &[]).await?;
            output::note(format!("{} is gone", args.id));
            Ok(Exit::Done)
        }
    }
}

fn path(id: &str) -> String {
    format!("/v1/webhook-endpoints/{}", in_path(id))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let mut endpoints = Vec::new();
    let query = [("page_size", Some("200".to_owned()))];
    args.client
        .api()?
        .pages("/v1/webhook-endpoints", &query, |page| {
            let page: WebhookEndpointPage = serde_json::from_value(page)?;
            endpoints.extend(page.webhook_endpoints);
            Ok(page.next_page_token)
        })
        .await?;
    if args.client.output == Format::Json {
        output::json(&endpoints)?;
        return Ok(Exit::Done);
    }
    let mut table = output::table(["endpoint", "state", "url", "types", "description", "failing since"]);
    for endpoint in &endpoints {
        let failing = endpoint.failing_since.map(|since| since.format("%Y-%m-%d %H:%M:%S").to_string());
        table.add_row([
            endpoint.id.as_str(),
            endpoint.disabled_reason.as_deref().unwrap_or(&endpoint.state),
            &endpoint.url,
            &types(endpoint),
            &endpoint.description,
            failing.as_deref().unwrap_or("-"),
        ]);
    }
    output::show(&table)?;
    Ok(Exit::Done)
}

async fn create(args: CreateArgs) -> anyhow::Result<Exit> {
    let types = (!args.types.is_empty()).then_some(args.types);
    let body = NewWebhookEndpoint { url: args.url, types, description: args.description };
    let made: WebhookEndpoint = args.client.api()?.post("/v1/webhook-endpoints", &[], Some(&body)).await?;
    told(&made, args.client.output)
}

async fn post(args: EndpointArgs, what: &str) -> anyhow::Result<Exit> {
    let path = format!("{}/{what}", path(&args.id));
    let endpoint: WebhookEndpoint = args.client.api()?.post(&path, &[], None::<&()>).await?;
    told(&endpoint, args.client.output)
}

/// An endpoint, and its secret where it was made or rotated just now.
fn told(endpoint: &WebhookEndpoint, format: Format) -> anyhow::Result<Exit> {
    if format == Format::Json {
        output::json(endpoint)?;
        return Ok(Exit::Done);
    }
    facts(endpoint)?;
    if let Some(secret) = &endpoint.secret {
        output::line(format!("{:12} {secret}", "secret"))?;
        output::note("Keep the secret; it is not shown again.");
    }
    Ok(Exit::Done)
}

fn facts(endpoint: &WebhookEndpoint) -> anyhow::Result<()> {
    let state = match &endpoint.disabled_message {
        Some(why) => format!("{}: {why}", endpoint.state),
        None => endpoint.state.clone(),
    };
    let types = types(endpoint);
    for (name, value) in [
        ("endpoint", endpoint.id.as_str()),
        ("url", &endpoint.url),
        ("types", &types),
        ("description", &endpoint.description),
        ("state", &state),
    ] {
        output::line(format!("{name:12} {value}").trim_end())?;
    }
    Ok(())
}

fn types(endpoint: &WebhookEndpoint) -> String {
    endpoint.types.as_ref().map_or("all".to_owned(), |types| types.join(", "))
}
