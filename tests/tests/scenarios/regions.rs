//! Opt-in regions: scenarios 30 and 31.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::settings::{Durations, Spread};
use freehold_tenancy::Region;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::Cloud;

use super::{LONG, calls, is_ready, meanwhile, onboard_in, region, somebody_elses_account, target, target_of};

const ZURICH: &str = "eu-central-2";

fn slow_regions(seconds: f64) -> Settings {
    let durations = Durations { region_opt_in: Spread::exactly(seconds), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

#[tokio::test]
async fn a_region_that_somebody_else_has_just_asked_for_is_waited_for() {
    let freehold = Freehold::with(slow_regions(900.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", ZURICH, "standard").await;
    meanwhile(&freehold, &freehold.worker("worker-1"), ("account", "EnableRegion", ""), async {
        freehold.aws(None).enable_region(&target(&freehold, &tenant), region(ZURICH)).await.expect("accepted");
    })
    .await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(calls(&freehold, "account:EnableRegion"), (2, 1));
}

#[tokio::test]
async fn the_organisations_fifty_opt_ins_are_waited_for() {
    let freehold = Freehold::with(slow_regions(1800.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", ZURICH, "standard").await;
    let opt_in: Vec<Region> = Region::all().filter(|region| region.is_opt_in()).take(5).collect();
    for number in 0..10 {
        let account = somebody_elses_account(&freehold, &format!("another-{number}")).await;
        let target = target_of(&freehold, &tenant, account.as_str());
        for region in &opt_in {
            freehold.aws(None).enable_region(&target, *region).await.expect("accepted");
        }
    }
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    let (asked, refused) = calls(&freehold, "account:EnableRegion");
    assert_eq!(asked - refused, 51);
    assert!(refused > 0, "there was room at once");
}

#[tokio::test]
async fn a_region_may_take_hours() {
    let freehold = Freehold::with(slow_regions(5.0 * 3600.0), CONFIG).await;
    let (tenant, operation) = onboard_in(&freehold, ZURICH).await;
    let took = tenant.environments[0].ready_at.map(|at| at - tenant.created_at);
    is_ready(&(tenant, operation));
    assert!(took.is_some_and(|took| took > TimeDelta::hours(5)), "{took:?}");
    assert!(calls(&freehold, "account:GetRegionOptStatus").0 < 40, "looked at too often");
}

#[tokio::test]
async fn a_region_that_is_enabled_before_lambda_is_there_gets_its_stack_all_the_same() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let reason = "Resource handler returned message: \"The security token included in the request is invalid. (Service: \
                  Lambda, Status Code: 403)\"";
    // More often than a failure of another kind is borne.
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", Fault::failed(reason)).times(4));
    let ended = onboard_in(&freehold, ZURICH).await;
    is_ready(&ended);
    assert_eq!(freehold.world.fault_hits().len(), 4);
}
