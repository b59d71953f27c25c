//! The failure scenarios of docs/scenarios.md, provoked one by one in the simulated organisation and on the way to it.

mod account_closure;
mod accounts;
mod fleet_holds;
mod fresh_account;
mod identity_center;
mod organization;
mod regions;
mod stacks;
mod table;

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
use freehold_worker::cloud::{Cloud, CreationState, NewAccount, Tags, Target};

/// Longer than anything takes that ends by itself.
const LONG: TimeDelta = TimeDelta::days(2);

/// An error of AWS.
fn error(code: &str, message: &str) -> Fault {
    Fault::error(code, message)
}

/// A new tenant at home in `region`, taken as far as it goes by itself.
async fn onboard_in(freehold: &Freehold, region: &str) -> (Tenant, Operation) {
    let tenant = freehold.sign_up("Example", region, "standard").await;
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    (freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await)
}

/// A new tenant, taken as far as it goes by itself.
async fn onboard(freehold: &Freehold) -> (Tenant, Operation) {
    onboard_in(freehold, "eu-central-1").await
}

/// It is ready, and nobody had to do anything for that.
#[track_caller]
fn is_ready((tenant, operation): &(Tenant, Operation)) {
    assert_eq!(tenant.state(), TenantState::Ready, "{operation:#?}");
}

/// Why a person is asked: code and sentence.
#[track_caller]
fn attention(operation: &Operation) -> (&str, &str) {
    let attention = operation.attention.as_ref().unwrap_or_else(|| panic!("{operation:#?} needs no attention"));
    assert!(attention.message.len() > 40 && attention.message.contains(' '), "{} says too little", attention.message);
    (&attention.code, &attention.message)
}

/// Has an operation tried again and takes it as far as it goes.
async fn retry(freehold: &Freehold, tenant: &Tenant) -> (Tenant, Operation) {
    let id = freehold.operation_of(tenant).await.id;
    let retried = lifecycle::retry(freehold.pool(), id, "support", freehold.clock.now()).await;
    assert_eq!(retried.expect("an answer"), RetryResult::Yes);
    freehold.settle(&freehold.worker("another"), LONG).await;
    (freehold.tenant_now(tenant).await, freehold.operation_of(tenant).await)
}

/// The tags by which Freehold knows what it has made for the tenant's environment.
fn our_tags(freehold: &Freehold, tenant: &Tenant) -> Tags {
    Tags::from([
        ("freehold:installation".to_owned(), freehold.installation.id.to_string()),
        ("freehold:tenant".to_owned(), tenant.id.to_string()),
        ("freehold:environment".to_owned(), tenant.environments[0].id.to_string()),
    ])
}

/// The account that Freehold asks for on behalf of the tenant.
fn our_account(freehold: &Freehold, tenant: &Tenant) -> NewAccount {
    let environment = tenant.environments[0].id;
    let email = freehold.config.organization.account_email.address(environment);
    NewAccount { name: format!("Example {environment}"), email, tags: our_tags(freehold, tenant) }
}

/// The tenant's account, once it exists.
fn target(freehold: &Freehold, tenant: &Tenant) -> Target {
    let email = our_account(freehold, tenant).email;
    let account = freehold.world.account_by_email(&email).expect("the account");
    target_of(freehold, tenant, &account.id)
}

fn target_of(freehold: &Freehold, tenant: &Tenant, account: &str) -> Target {
    let account = account.parse().expect("an account id");
    Target::new(account, tenant.environments[0].id, &freehold.config.organization).expect("a target")
}

/// Another actor in the same organisation makes an account, at once.
async fn somebody_elses_account(freehold: &Freehold, name: &str) -> AwsAccountId {
    let account = NewAccount { name: name.to_owned(), email: format!("{name}@example.com"), tags: Tags::new() };
    let aws = freehold.aws(None);
    let request = aws.create_account(&account).await.expect("accepted").request_id;
    match aws.creation_status(&request).await.expect("a status").state {
        CreationState::Succeeded(id) => id,
        state => panic!("{name} is {state:?}"),
    }
}

/// Lets `worker` go on, and `act` happen while its next call of `operation` that contains `text` is on its way to AWS.
async fn meanwhile(freehold: &Freehold, worker: &Arc<Worker>, call: (&str, &str, &str), act: impl Future<Output = ()>) {
    let (service, operation, text) = call;
    let delay = WireEffect::Delay(Duration::from_secs(1));
    freehold.wire.inject(WireRule::on(service, operation, delay.clone()).containing(text).nth(1));
    let on_its_way = async {
        while !freehold.wire.hits().iter().any(|hit| hit.effect == delay) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        act.await;
        freehold.clock.advance(Duration::from_secs(2));
    };
    tokio::join!(freehold.settle(worker, LONG), on_its_way);
}

/// How often a call was made, refusals included, and how often it was refused.
fn calls(freehold: &Freehold, operation: &str) -> (u64, u64) {
    let count = freehold.world.calls().of(operation);
    (count.calls, count.errors)
}

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}
