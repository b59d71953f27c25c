//! `freehold tenants add-environment`: another AWS account for a tenant.

use clap::Args;
use freehold_api::schema::{Environment, NewEnvironment};
use uuid::Uuid;

use crate::client::{ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};
use crate::output::{self, Format};

/// Give a tenant another environment, which gets an AWS account
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold tenants add-environment ten_01k2m8v3x9e7rt4s5q6w7y8z9b --name staging\n\n",
    exit_codes!(),
))]
pub(super) struct AddEnvironmentArgs {
    /// The tenant: ten_…
    #[arg(value_name = "TENANT")]
    id: String,
    /// What it is called
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where its stack runs first; where the tenant's first environment does, if left out
    #[arg(long, value_name = "REGION")]
    home_region: Option<String>,
    /// Makes sending this again harmless; made up, and told, if left out
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: AddEnvironmentArgs) -> anyhow::Result<Exit> {
    let key = args.idempotency_key.unwrap_or_else(|| {
        let key = Uuid::now_v7().to_string();
        output::note(format!("idempotency key {key}"));
        key
    });
    let path = format!("/v1/tenants/{}/environments", in_path(&args.id));
    let wanted = NewEnvironment { name: args.name, home_region: args.home_region };
    let environment: Environment = args.client.api()?.post(&path, &[("idempotency-key", &key)], Some(&wanted)).await?;
    if args.client.output == Format::Json {
        output::json(&environment)?;
    } else {
        output::line(format!("{:12} {}", "environment", environment.name))?;
        output::line(format!("{:12} {}", "state", environment.state))?;
        output::line(format!("{:12} {}", "operation", environment.operation_id))?;
    }
    Ok(Exit::Done)
}
