//! Tests that reproduce the failure scenarios of docs/scenarios.md in the simulated organisation.

mod account_closure;
mod accounts;
mod fleet_holds;
mod fresh_account;
mod front_door;
mod identity_center;
mod organization;
mod regions;
pub(crate) mod stacks;
mod table;
mod template_copies;
mod templates;
mod update_alarms;
mod update_templates;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, WireEffect, WireRule};
use freehold_tenancy::db::lifecycle::{self, RetryResult};
use freehold_tenancy::operation::Operation;
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tenancy::{AwsAccountId, Region};
use freehold_tests::fixture::Freehold;
use freehold_worker::Worker;
use freehold_worker::cloud::{CreationState, NewAccount, Tags, Target};

/// Maximum simulated time of a run; longer than any wait that ends without a manual action.
const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(2);

fn error(code: &str, message: &str) -> Fault {
    Fault::error(code, message)
}

/// Signs up a tenant with this home region and runs its operation until no work is scheduled.
async fn onboard_in(freehold: &Freehold, region: &str) -> (Tenant, Operation) {
    let tenant = freehold.sign_up("Example", region, "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    (freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await)
}

/// Signs up a tenant and runs its operation until no work is scheduled.
async fn onboard(freehold: &Freehold) -> (Tenant, Operation) {
    onboard_in(freehold, "eu-central-1").await
}

/// Asserts that the tenant is ready.
#[track_caller]
fn assert_ready((tenant, operation): &(Tenant, Operation)) {
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
}

/// Returns the attention code and the message of an operation that needs attention.
#[track_caller]
fn attention(operation: &Operation) -> (&str, &str) {
    let attention = operation.attention.as_ref().unwrap_or_else(|| panic!("{operation:#?} needs no attention"));
    assert!(attention.message.len() > 40 && attention.message.contains(' '), "{} is too short", attention.message);
    (&attention.code, &attention.message)
}

/// Retries the tenant's operation manually and runs it until no work is scheduled.
async fn retry(freehold: &Freehold, tenant: &Tenant) -> (Tenant, Operation) {
    let id = freehold.operation_of(tenant).await.id;
    let retried = lifecycle::retry(freehold.pool(), id, "support", freehold.clock.now()).await;
    assert_eq!(retried.expect("an answer"), RetryResult::Scheduled);
    freehold.run_until_idle(&freehold.worker("another"), MAX_SIMULATED_TIME).await;
    (freehold.reload_tenant(tenant).await, freehold.operation_of(tenant).await)
}

/// Returns the tags that Freehold sets on the resources of the tenant's environment.
pub(crate) fn freehold_tags(freehold: &Freehold, tenant: &Tenant) -> Tags {
    Tags::from([
        ("freehold:installation".to_owned(), freehold.installation.id.to_string()),
        ("freehold:tenant".to_owned(), tenant.id.to_string()),
        ("freehold:environment".to_owned(), tenant.environments[0].id.to_string()),
    ])
}

/// Returns the account request that Freehold sends for the tenant.
fn account_request(freehold: &Freehold, tenant: &Tenant) -> NewAccount {
    let environment = tenant.environments[0].id;
    let email = freehold.config.organization.account_email.address(environment);
    NewAccount { name: format!("Example {environment}"), email, tags: freehold_tags(freehold, tenant) }
}

/// Returns the existing AWS account of the tenant as the target of AWS calls.
pub(crate) fn target(freehold: &Freehold, tenant: &Tenant) -> Target {
    let email = account_request(freehold, tenant).email;
    let account = freehold.world.account_by_email(&email).expect("the account");
    target_of(freehold, tenant, &account.id)
}

fn target_of(freehold: &Freehold, tenant: &Tenant, account: &str) -> Target {
    let account = account.parse().expect("an account id");
    Target::new(account, tenant.environments[0].id, &freehold.config.organization).expect("a target")
}

/// Creates an account directly in AWS, as other users of the organisation do.
pub(crate) async fn create_external_account(freehold: &Freehold, name: &str) -> AwsAccountId {
    let account = NewAccount { name: name.to_owned(), email: format!("{name}@example.com"), tags: Tags::new() };
    let aws = freehold.administrator().await;
    let request = aws.create_account(&account).await.expect("a request").request_id;
    match aws.creation_status(&request).await.expect("a status").state {
        CreationState::Succeeded(id) => id,
        state => panic!("{name} is {state:?}"),
    }
}

/// Runs `worker`. During the worker's next AWS call that matches `call` (service, AWS operation, part of the request),
/// runs `act`.
pub(crate) async fn run_during_call(
    freehold: &Freehold,
    worker: &Arc<Worker>,
    call: (&str, &str, &str),
    act: impl Future<Output = ()>,
) {
    let (service, operation, text) = call;
    let delay = WireEffect::Delay(Duration::from_secs(1));
    freehold.faulty_client.inject(WireRule::on(service, operation, delay.clone()).containing(text).nth(1));
    let during_call = async {
        while !freehold.faulty_client.hits().iter().any(|hit| hit.effect == delay) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        act.await;
        freehold.clock.advance(Duration::from_secs(2));
    };
    tokio::join!(freehold.run_until_idle(worker, MAX_SIMULATED_TIME), during_call);
}

/// Returns the number of calls of an AWS operation, and the number of failed calls.
fn calls(freehold: &Freehold, operation: &str) -> (u64, u64) {
    let count = freehold.world.calls().of(operation);
    (count.calls, count.errors)
}

pub(crate) fn region(name: &str) -> Region {
    name.parse().expect("a region")
}
