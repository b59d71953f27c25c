//! Tests of the maintenance windows of a tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::ReleaseId;
use freehold_tenancy::db::lifecycle::{UpdateRequest, UpdateResult, open_update};
use freehold_tenancy::db::releases::{self, NewRelease, ReleaseCheck};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::release::{ReleaseContent, ReleaseSource};
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

async fn patch(api: &ApiFixture, tenant: &Value, windows: &Value) -> ApiResponse {
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let body = json!({ "maintenance_windows": windows });
    send(api.request(Method::PATCH, &path).header("If-Match", "*").json(&body)).await
}

fn weekend() -> Value {
    json!([{ "days": ["sat", "sun"], "start": "22:00", "minutes": 240, "time_zone": "Europe/Berlin" }])
}

/// Registers a release that is ready and approved.
async fn approved_release(api: &ApiFixture) -> ReleaseId {
    let (pool, now) = (&api.database.pool, api.clock.now());
    let person = |subject: &str| Requester { issuer: "https://issuer".to_owned(), subject: subject.to_owned() };
    let content = ReleaseContent { template: Some("{}".to_owned()), ..ReleaseContent::default() };
    let new =
        NewRelease { source: ReleaseSource::Api, content: &content, notes: None, registered_by: &person("registrant") };
    let id = releases::register(pool, &new, now).await.unwrap();
    let check = ReleaseCheck { problems: Vec::new(), declared_parameters: BTreeMap::new() };
    assert!(releases::record_check(pool, id, &check, now).await.unwrap());
    releases::approve(pool, id, &content.sha256(), &person("approver"), now).await.unwrap();
    id
}

#[tokio::test]
async fn maintenance_windows_are_replaced_as_a_whole() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    assert_eq!(tenant["maintenance_windows"], json!([]));
    let changed = patch(&api, &tenant, &weekend()).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json()["maintenance_windows"], weekend());
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json()["maintenance_windows"], weekend());
    let events = api.get("/v1/events?types=tenant.updated").await.json();
    assert_eq!(events["events"][0]["data"]["changed"], json!(["maintenance_windows"]));
    let audited = api.get("/v1/audit-events?action=updateTenant").await.json();
    let changes = audited["audit_events"][0]["record"]["outcome"]["changes"].to_string();
    assert!(changes.contains("maintenance_windows") && changes.contains("Europe/Berlin"), "{audited}");
    assert_eq!(patch(&api, &tenant, &json!([])).await.json()["maintenance_windows"], json!([]));
}

#[tokio::test]
async fn each_invalid_part_of_a_window_is_reported() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let valid = &weekend()[0];
    let with = |name: &str, value: Value| {
        let mut window = valid.clone();
        window[name] = value;
        json!([valid, window])
    };
    for (windows, field, code) in [
        (Value::Null, "maintenance_windows", "missing"),
        (json!({}), "maintenance_windows", "wrong_type"),
        (Value::Array(vec![valid.clone(); 21]), "maintenance_windows", "too_many"),
        (json!(["sat"]), "maintenance_windows[0]", "wrong_type"),
        (json!([{}]), "maintenance_windows[0].days", "missing"),
        (with("days", json!([])), "maintenance_windows[1].days", "invalid"),
        (with("days", json!("sat")), "maintenance_windows[1].days", "wrong_type"),
        (with("days", json!(["sat", "funday"])), "maintenance_windows[1].days[1]", "invalid"),
        (with("days", json!(["sat", "sat"])), "maintenance_windows[1].days[1]", "repeated"),
        (with("start", json!("25:00")), "maintenance_windows[1].start", "invalid"),
        (with("start", json!(22)), "maintenance_windows[1].start", "wrong_type"),
        (with("minutes", json!(14)), "maintenance_windows[1].minutes", "invalid"),
        (with("minutes", json!(1441)), "maintenance_windows[1].minutes", "invalid"),
        (with("minutes", json!(-60)), "maintenance_windows[1].minutes", "invalid"),
        (with("time_zone", json!("Berlin")), "maintenance_windows[1].time_zone", "invalid"),
        (with("until", json!("2027")), "maintenance_windows[1].until", "unknown_field"),
    ] {
        let refused = patch(&api, &tenant, &windows).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{windows}");
        let errors = refused.json()["errors"].clone();
        let reported = (errors[0]["field"].as_str().unwrap(), errors[0]["code"].as_str().unwrap());
        assert_eq!(reported, (field, code), "{windows}: {errors}");
    }
}

#[tokio::test]
async fn an_update_starts_only_in_a_maintenance_window() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.succeed_operation("111122223333").await;
    let release = approved_release(&api).await;
    assert_eq!(patch(&api, &tenant, &weekend()).await.status, 200);
    let (id, name) = (tenant["id"].as_str().unwrap().parse().unwrap(), "production".parse().unwrap());
    let by = Requester { issuer: "https://issuer".to_owned(), subject: "ann".to_owned() };
    let update = async |ignores_window: bool, now: DateTime<Utc>| {
        let request = UpdateRequest {
            release,
            rollout: None,
            parameters: None,
            allows_unapproved: false,
            ignores_window,
            reason: None,
            by: &by,
        };
        open_update(&api.database.pool, id, &name, &request, now).await.unwrap()
    };
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    // Friday noon; the window opens on Saturday at 22:00 in Berlin.
    let next = Some(at("2030-01-05T21:00:00Z"));
    assert_eq!(update(false, at("2030-01-04T12:00:00Z")).await, UpdateResult::OutsideWindow { next });
    let started = update(false, at("2030-01-06T00:59:00Z")).await;
    assert!(matches!(started, UpdateResult::Started(_)), "{started:?}");

    let other = api.sign_up(&signup_body()).await;
    api.succeed_operation("222233334444").await;
    assert_eq!(patch(&api, &other, &weekend()).await.status, 200);
    let id = other["id"].as_str().unwrap().parse().unwrap();
    let request = UpdateRequest {
        release,
        rollout: None,
        parameters: None,
        allows_unapproved: false,
        ignores_window: true,
        reason: None,
        by: &by,
    };
    let ignored = open_update(&api.database.pool, id, &name, &request, at("2030-01-04T12:00:00Z")).await.unwrap();
    assert!(matches!(ignored, UpdateResult::Started(_)), "{ignored:?}");
}
