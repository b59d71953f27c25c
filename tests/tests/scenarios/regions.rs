//! Tests of opt-in regions: scenarios 30 and 31.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::Region;
use freehold_tests::fixture::{CONFIG, Freehold};

use super::{
    MAX_SIMULATED_TIME, assert_ready, calls, create_external_account, onboard_in, region, run_during_call, target,
    target_of,
};

const ZURICH: &str = "eu-central-2";

fn slow_regions(seconds: f64) -> Settings {
    let durations = Durations { region_opt_in: DurationDistribution::constant(seconds), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

#[tokio::test]
async fn onboarding_waits_for_a_region_opt_in_of_another_actor() {
    let freehold = Freehold::with(slow_regions(900.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", ZURICH, "standard").await;
    run_during_call(&freehold, &freehold.worker("worker-1"), ("account", "EnableRegion", ""), async {
        freehold.aws(None).enable_region(&target(&freehold, &tenant), region(ZURICH)).await.expect("a request");
    })
    .await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(calls(&freehold, "account:EnableRegion"), (2, 1));
}

#[tokio::test]
async fn onboarding_waits_for_the_region_opt_in_quota() {
    let freehold = Freehold::with(slow_regions(1800.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", ZURICH, "standard").await;
    let opt_in: Vec<Region> = Region::all().filter(|region| region.is_opt_in()).take(5).collect();
    let administrator = freehold.administrator().await;
    for number in 0..10 {
        let account = create_external_account(&freehold, &format!("another-{number}")).await;
        let target = target_of(&freehold, &tenant, account.as_str());
        for region in &opt_in {
            administrator.enable_region(&target, *region).await.expect("a request");
        }
    }
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let (attempts, refused) = calls(&freehold, "account:EnableRegion");
    assert_eq!(attempts - refused, 51);
    assert!(refused > 0, "no request was refused");
}

#[tokio::test]
async fn a_region_opt_in_can_take_hours() {
    let freehold = Freehold::with(slow_regions(5.0 * 3600.0), CONFIG).await;
    let (tenant, operation) = onboard_in(&freehold, ZURICH).await;
    let took = tenant.environments[0].ready_at.map(|at| at - tenant.created_at);
    assert_ready(&(tenant, operation));
    assert!(took.is_some_and(|took| took > TimeDelta::hours(5)), "{took:?}");
    assert!(calls(&freehold, "account:GetRegionOptStatus").0 < 40, "polled too often");
}

#[tokio::test]
async fn the_sample_becomes_ready_in_every_region_of_freehold() {
    let declared = ["us-east-1", "us-west-2", ZURICH];
    let regions: Vec<_> = Region::all().map(Region::as_str).collect();
    let eu: Vec<_> = regions.iter().filter(|region| !declared.contains(region)).collect();
    let config = CONFIG.replace("[\"eu-central-1\", \"eu-west-1\"]", &format!("{eu:?}"));
    let freehold = Freehold::with(Settings::instant(), &config).await;
    let mut tenants = Vec::new();
    for region in &regions {
        tenants.push(freehold.sign_up("Example", region, "standard").await);
    }
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    for tenant in &tenants {
        assert_ready(&(freehold.reload_tenant(tenant).await, freehold.operation_of(tenant).await));
    }
    let (invoked, called) = (calls(&freehold, "lambda:Invoke").0, calls(&freehold, "lambda:InvokeFunctionUrl").0);
    assert!(invoked > 5 && called > 15, "{invoked} regions without and {called} with Function URLs");
}

#[tokio::test]
async fn a_stack_is_created_later_if_lambda_is_not_yet_available() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let reason = "Resource handler returned message: \"The security token included in the request is invalid. \
                  (Service: Lambda, Status Code: 403)\"";
    // The number of failures exceeds the limit for other failures.
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed(reason)).times(4));
    let outcome = onboard_in(&freehold, ZURICH).await;
    assert_ready(&outcome);
    assert_eq!(freehold.world.fault_hits().len(), 4);
}
