//! Demo (`--demo`), which onboards four tenants over the REST API, and shows which addresses survive the loss of a
//! region.

mod outage;
mod summary;

use std::sync::Arc;

use freehold_api::schema::{Signup, Tenant};
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::{Clock, Config};
use futures::future::try_join_all;

use super::SimulatedAws;
use crate::client::ApiClient;
use crate::output::{self, Format};
use crate::progress::{ProgressOutput, watch_tenants};
use crate::tenants;

/// Returns four signups: one of the standard tier, one of the enterprise tier, one in a region that needs an opt-in,
/// and one with a replica and a front door.
fn signups() -> [Signup; 4] {
    let signup = |company_name: &str, home_region: &str, tier: &str| Signup {
        company_name: company_name.to_owned(),
        admin_email: "admin@example.com".to_owned(),
        home_region: home_region.to_owned(),
        replica_regions: None,
        front_door: None,
        residency: None,
        tier: Some(tier.to_owned()),
        external_id: None,
        environments: None,
        labels: None,
    };
    [
        signup("Example Analytics", "eu-central-1", "standard"),
        signup("Example Health", "us-east-1", "enterprise"),
        signup("Example Robotics", "eu-central-2", "standard"),
        Signup {
            replica_regions: Some(vec!["eu-west-1".to_owned()]),
            front_door: Some(true),
            ..signup("Example Commerce", "eu-central-1", "standard")
        },
    ]
}

/// Creates the tenants and prints each step. Returns whether all tenants are ready and have kept their front doors
/// while a region was lost.
pub(super) async fn run(
    api: &ApiClient,
    aws: &SimulatedAws,
    config: &Arc<Config>,
    installation: &Installation,
) -> anyhow::Result<bool> {
    // The idempotency keys contain the time, so that each run creates new tenants.
    let run = Clock::real().now().timestamp_millis();
    let signups = signups();
    let created = signups
        .iter()
        .enumerate()
        .map(async |(number, signup)| tenants::create_tenant(api, signup, &format!("demo-{run}-{number}")).await);
    let tenants: Vec<Tenant> = try_join_all(created).await?;
    output::print_line(
        "Created four tenants. Times are minutes:seconds since the signup, on the clock of the sandbox.\n",
    )?;
    watch_tenants(api, &tenants.iter().collect::<Vec<_>>(), ProgressOutput::Stdout(Format::Table)).await?;
    let are_ready = summary::print_summary(api, aws, &tenants).await?;
    let survived = outage::lose_a_region(api, aws, config, installation, &tenants).await?;
    Ok(are_ready && survived)
}
