//! `--demo`: three customers in three home regions, from signup to ready, by way of the REST API alone.

mod summary;

use freehold_api::schema::{Signup, Tenant};
use freehold_tenancy::Clock;
use futures::future::try_join_all;

use super::SimulatedAws;
use crate::client::Api;
use crate::output::{self, Format};
use crate::progress::{Lines, watch};
use crate::tenants;

/// Three customers: the usual one, one of the enterprise tier, one whose home region an account has to opt in to.
fn customers() -> [Signup; 3] {
    let signup = |company_name: &str, home_region: &str, tier: &str| Signup {
        company_name: company_name.to_owned(),
        admin_email: "admin@example.com".to_owned(),
        home_region: home_region.to_owned(),
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

/// Signs the customers up, shows every step, and answers whether all of them are ready.
pub(super) async fn run(api: &Api, aws: &SimulatedAws) -> anyhow::Result<bool> {
    // A demo that is run again in a kept sandbox signs up three more.
    let run = Clock::real().now().timestamp_millis();
    let customers = customers();
    let signed_up = customers
        .iter()
        .enumerate()
        .map(async |(number, customer)| tenants::sign_up(api, customer, &format!("demo-{run}-{number}")).await);
    let tenants: Vec<Tenant> = try_join_all(signed_up).await?;
    output::line("Three customers have signed up. Minutes and seconds since then, on the sandbox's clock:\n")?;
    let followed = tenants.iter().collect::<Vec<_>>();
    watch(api, &followed, Lines::Data(Format::Table)).await?;
    summary::show(api, aws, &tenants).await
}
