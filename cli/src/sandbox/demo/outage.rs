//! Last part of the demo: a region is lost, and each address of the tenants is called before and during the outage.

use std::sync::Arc;

use freehold_api::schema::{Environment, Tenant};
use freehold_sandbox::faults::OutageForm;
use freehold_tenancy::Config;
use freehold_tenancy::db::installation::Installation;
use freehold_worker::aws::Aws;
use freehold_worker::cloud::{CheckRequest, Target};

use super::super::SimulatedAws;
use crate::client::ApiClient;
use crate::output;
use crate::tenants;

/// Region that the demo loses: the home region of two tenants, one of which has a replica and a front door.
const LOST_REGION: &str = "eu-central-1";

/// Address of an environment.
struct Address {
    /// Company name of the tenant.
    tenant: String,
    /// Name of the part that answers at the address.
    name: String,
    url: String,
    /// Region of a Function URL, which needs a signed request; `None` for a front door, which anyone may call.
    signed_in: Option<(Target, String)>,
}

/// Calls all addresses, stops a region, calls them again, and prints a table of the results. Returns whether the front
/// doors have answered all the time.
pub(super) async fn lose_a_region(
    api: &ApiClient,
    simulated: &SimulatedAws,
    config: &Arc<Config>,
    installation: &Installation,
    tenants: &[Tenant],
) -> anyhow::Result<bool> {
    let aws = Aws::connect(Arc::clone(config), installation.clock(), None, simulated.worker_connection()?);
    let mut addresses = Vec::new();
    for tenant in tenants {
        let tenant = tenants::get_tenant(api, &tenant.id).await?;
        for environment in &tenant.environments {
            addresses.extend(addresses_of(&tenant, environment, config)?);
        }
    }
    let mut table = output::new_table(["tenant", "address", "before", &format!("without {LOST_REGION}")]);
    let mut before = Vec::new();
    for address in &addresses {
        before.push(call(&aws, address).await);
    }
    simulated.world().stop_region(LOST_REGION.parse()?, OutageForm::Refused);
    let mut front_doors_answer = true;
    for (address, before) in addresses.iter().zip(before) {
        let during = call(&aws, address).await;
        front_doors_answer &= address.signed_in.is_some() || (before.is_ok() && during.is_ok());
        let text = |answer: Result<String, String>| answer.unwrap_or_else(|error| error);
        table.add_row([address.tenant.clone(), address.name.clone(), text(before), text(during)]);
    }
    simulated.world().end_outages();
    output::print_line(format!(
        "\nThe region {LOST_REGION} is lost, as by `freehold sandbox fault region-down {LOST_REGION}`. A front door \
         goes on answering\nreads from a replica:\n"
    ))?;
    output::print_table(&table)?;
    output::print_line(format!("\nThe region {LOST_REGION} is available again."))?;
    Ok(front_doors_answer)
}

/// Returns the addresses of an environment: its front door, and the Function URL of each region.
fn addresses_of(tenant: &Tenant, environment: &Environment, config: &Config) -> anyhow::Result<Vec<Address>> {
    let Some(account) = &environment.aws_account_id else { return Ok(Vec::new()) };
    let target = Target::new(account.parse()?, environment.id.parse()?, &config.organization)?;
    let mut addresses = Vec::new();
    let is_front_door = environment.front_door.state == "deployed";
    if let Some(url) = environment.url.as_ref().filter(|_| is_front_door) {
        addresses.push(Address {
            tenant: tenant.company_name.clone(),
            name: "front door".to_owned(),
            url: url.clone(),
            signed_in: None,
        });
    }
    let of_regions = environment.regions.iter().filter_map(|region| Some((region, region.url.clone()?)));
    addresses.extend(of_regions.map(|(region, url)| Address {
        tenant: tenant.company_name.clone(),
        name: format!("function in {}", region.region),
        url,
        signed_in: Some((target.clone(), region.region.clone())),
    }));
    Ok(addresses)
}

/// Calls an address. Returns the region that has answered, or the error.
async fn call(aws: &Aws, address: &Address) -> Result<String, String> {
    let request = CheckRequest::get("/");
    let response = match &address.signed_in {
        None => aws.call_front_door(&address.url, &request).await,
        Some((target, region)) => {
            let region = region.parse().map_err(|_| "unknown region".to_owned())?;
            aws.call_function_url(target, region, &address.url, &request).await
        }
    };
    let response = response.map_err(|error| format!("no answer ({})", error.code))?;
    let body: serde_json::Value = serde_json::from_slice(&response.body).map_err(|_| "no JSON".to_owned())?;
    Ok(format!("answers from {}", body["region"].as_str().unwrap_or("an unknown region")))
}
