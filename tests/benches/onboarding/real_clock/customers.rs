//! Customers that sign up at the same time, each with the estimate that the API gave.

use std::ops::Range;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::sandbox::Sandbox;

/// Maximum real time until all environments must be ready.
const TIMEOUT: Duration = Duration::from_mins(30);

/// Customer whose environment is ready.
pub(super) struct Customer {
    pub(super) signed_up: DateTime<Utc>,
    /// Estimate that the operation had right after the signup; `None` if it was not queued, because it had a slot.
    pub(super) estimate: Option<DateTime<Utc>>,
    pub(super) ready: DateTime<Utc>,
}

/// Signs up the customers with these numbers at the same time and waits until all of them are ready.
pub(super) async fn onboard(sandbox: &Sandbox, numbers: Range<usize>) -> Vec<Customer> {
    let signups = join_all(numbers.map(|number| sign_up(sandbox, number))).await;
    let started = Instant::now();
    let mut customers = Vec::new();
    for (tenant, estimate) in signups {
        let environment = loop {
            let tenant = sandbox.get(&format!("/v1/tenants/{tenant}")).await;
            let environment = &tenant["environments"][0];
            match environment["state"].as_str() {
                Some("ready") => break environment.clone(),
                Some("onboarding") => {}
                state => panic!("tenant {tenant} has the state {state:?}"),
            }
            assert!(started.elapsed() < TIMEOUT, "not all environments are ready in time");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let (signed_up, ready) = (time(&environment["created_at"]), time(&environment["ready_at"]));
        customers.push(Customer { signed_up, estimate, ready });
    }
    customers.sort_by_key(|customer| customer.signed_up);
    customers
}

/// Signs up a customer. Returns the tenant id and the estimate, if the operation is queued.
async fn sign_up(sandbox: &Sandbox, number: usize) -> (String, Option<DateTime<Utc>>) {
    let body = json!({
        "company_name": format!("Example {number}"), "admin_email": "admin@example.com", "home_region": "eu-central-1",
    });
    let request = sandbox.request(Method::POST, "/v1/tenants").header("Idempotency-Key", format!("customer-{number}"));
    let tenant = Sandbox::json(request.json(&body)).await;
    let operation = tenant["environments"][0]["operation_id"].as_str().expect("an operation id").to_owned();
    let operation = sandbox.get(&format!("/v1/operations/{operation}")).await;
    let estimate = &operation["queue"]["estimated_ready_at"];
    (tenant["id"].as_str().expect("a tenant id").to_owned(), estimate.is_string().then(|| time(estimate)))
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).expect("a time")
}
