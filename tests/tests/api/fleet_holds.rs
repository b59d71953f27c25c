//! Tests of fleet holds in the API.

use chrono::TimeDelta;
use freehold_tenancy::WorkerId;
use freehold_tenancy::db::fleet_holds::{self, ProbeBackoff};
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::db::workers;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
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

#[tokio::test]
async fn operations_show_a_hold_on_all_work_in_place_of_an_estimate() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let preview = async || {
        let request = api.request(reqwest::Method::POST, "/v1/tenants?dry_run=true").json(&signup_body());
        send(request).await.json()["environments"][0]["queue"].clone()
    };
    let (pool, now, worker) = (&api.database.pool, api.clock.now(), WorkerId::new(api.clock.now()));
    assert_eq!(api.get(&path).await.json()["fleet_hold"], json!(null));
    assert!(preview().await.is_object());

    let error = "the worker has no AWS credentials";
    workers::record_check(pool, worker, "worker-1", Some(error), now).await.expect("a record");
    let operation = api.get(&path).await.json();
    let hold = &operation["fleet_hold"];
    assert_eq!((&hold["code"], &operation["queue"]), (&json!("workers_without_aws_access"), &json!(null)));
    assert!(hold["message"].as_str().expect("a message").contains(error), "{hold}");
    assert_eq!(preview().await, json!(null));
    let listed = api.get("/v1/fleet-holds").await.json();
    assert_eq!((&listed["holds"][0]["quota"], &listed["holds"][0]["waiting"]), (&json!("all"), &json!(1)));
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("freehold_fleet_holds{code=\"workers_without_aws_access\"} 1"), "{metrics}");
    assert_eq!(api.get("/v1/operations").await.json()["operations"][0]["fleet_hold"], *hold);

    workers::record_check(pool, worker, "worker-1", None, now).await.expect("a record");
    let operation = api.get(&path).await.json();
    assert_eq!(operation["fleet_hold"], json!(null));
    assert!(operation["queue"].is_object() && preview().await.is_object());
}
