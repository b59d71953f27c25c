//! Tests of fleet holds in the API.

use chrono::TimeDelta;
use freehold_tenancy::db::fleet_holds::{self, ProbeBackoff};
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use serde_json::json;

#[tokio::test]
async fn a_fleet_hold_is_shown_with_its_reason_and_in_the_metrics() {
    let api = ApiFixture::new().await;
    assert_eq!(api.get("/v1/fleet-holds").await.json(), json!({ "holds": [] }));
    assert!(api.get("/metrics").await.text.contains("freehold_fleet_holds{code=\"account_quota_reached\"} 0"));

    api.sign_up(&signup_body()).await;
    let claim = api.claim_operation().await;
    let slot = QuotaSlot { quota: Quota::AccountCreations, step: StepName::RequestAccount, item: String::new() };
    let pause = ProbeBackoff { first: TimeDelta::minutes(15), max: TimeDelta::hours(1) };
    let (pool, now) = (&api.database.pool, api.clock.now());
    let started =
        fleet_holds::start(pool, &claim, &slot, HoldKind::AccountQuotaReached, pause, now).await.expect("a hold");
    assert!(started.is_new);

    let shown = api.get("/v1/fleet-holds").await.json();
    let hold = &shown["holds"][0];
    assert_eq!((&hold["quota"], &hold["code"]), (&json!("account-creations"), &json!("account_quota_reached")));
    assert_eq!((&hold["waiting"], &hold["probing_operation_id"]), (&json!(1), &json!(null)));
    assert!(hold["message"].as_str().expect("a message").contains("Request an increase from AWS"), "{hold}");
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("freehold_fleet_holds{code=\"account_quota_reached\"} 1"), "{metrics}");
    assert!(metrics.contains("freehold_fleet_holds{code=\"organization_finalizing\"} 0"), "{metrics}");
}
