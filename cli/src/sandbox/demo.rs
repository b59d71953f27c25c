//! Demo (`--demo`), which onboards three tenants in three home regions over the REST API.

mod summary;

use freehold_api::schema::{Signup, Tenant};
use freehold_tenancy::Clock;
use futures::future::try_join_all;

use super::SimulatedAws;
use crate::client::ApiClient;
use crate::output::{self, Format};
use crate::progress::{ProgressOutput, watch_tenants};
use crate::tenants;

/// Returns three signups: one of the standard tier, one of the enterprise tier, and one in a region that needs an
/// opt-in.
fn signups() -> [Signup; 3] {
    let signup = |company_name: &str, home_region: &str, tier: &str| Signup {
        company_name: company_name.to_owned(),
        admin_email: "admin@example.com".to_owned(),
        home_region: home_region.to_owned(),
        replica_regions: None,
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
    ]
}

/// Creates the tenants and prints each step. Returns whether all tenants are ready.
pub(super) async fn run(api: &ApiClient, aws: &SimulatedAws) -> anyhow::Result<bool> {
    // The idempotency keys contain the time, so that each run creates three new tenants.
    let run = Clock::real().now().timestamp_millis();
    let signups = signups();
    let created = signups
        .iter()
        .enumerate()
        .map(async |(number, signup)| tenants::create_tenant(api, signup, &format!("demo-{run}-{number}")).await);
    let tenants: Vec<Tenant> = try_join_all(created).await?;
    output::print_line(
        "Created three tenants. Times are minutes:seconds since the signup, on the clock of the sandbox.\n",
    )?;
    watch_tenants(api, &tenants.iter().collect::<Vec<_>>(), ProgressOutput::Stdout(Format::Table)).await?;
    summary::print_summary(api, aws, &tenants).await
}
