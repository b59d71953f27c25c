//! Tests that a changed `admin_email` reaches Identity Center.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::attention::AttentionCode;
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send};
use freehold_tests::fixture::CONFIG;
use freehold_tests::step_faults::StepFault;
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::{Probe, Scene, slow_stacks};

async fn scene_with(settings: Settings) -> Scene {
    Scene::with(Probe { code: AttentionCode::AwsRefused, remedy: None }, settings, CONFIG).await
}

async fn change_admin(api: &ApiFixture, path: &str, email: &str) -> ApiResponse {
    let request = api.request(Method::PATCH, path).header("If-Match", "*").json(&json!({ "admin_email": email }));
    let changed = send(request).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["admin_email"]), (200, &json!(email)), "{}", changed.text);
    changed
}

/// Returns the names of all users, and of those in the tenant's own group.
fn users(scene: &Scene, tenant: &Value) -> (Vec<String>, Vec<String>) {
    let store = &scene.freehold.world.state().identity_store;
    let name = format!("freehold-{}", tenant["id"].as_str().expect("an id"));
    let group = store.groups.values().find(|group| group.display_name == name);
    let in_group = |id: &String| group.is_some_and(|group| store.groups_of(id).contains(&group.id));
    let mut all: Vec<_> = store.users.values().map(|user| (user.user_name.clone(), in_group(&user.id))).collect();
    all.sort();
    let members = all.iter().filter(|(_, member)| *member).map(|(name, _)| name.clone()).collect();
    (all.into_iter().map(|(name, _)| name).collect(), members)
}

#[tokio::test]
async fn a_changed_admin_replaces_the_user_in_identity_center() {
    let mut scene = scene_with(Settings::instant()).await;
    scene.onboard(json!({ "tier": "enterprise", "admin_email": "old@example.com" })).await;
    let before = scene.shown().await;
    assert_eq!(users(&scene, &before), (vec!["old@example.com".into()], vec!["old@example.com".into()]));

    let changed = change_admin(&scene.api, &scene.path(), "new@example.com").await.json();
    assert_eq!(changed["environments"][0]["state"], "restoring");
    let operation = scene.operation().await;
    assert_eq!((&operation["kind"], &operation["requested_by"]), (&json!("repair"), &json!("ann")));
    scene.run().await;
    let after = scene.shown().await;
    assert_eq!(after["state"], "ready");
    assert_eq!(users(&scene, &after), (vec!["new@example.com".into()], vec!["new@example.com".into()]));

    freehold_tenancy::db::feed::advance(scene.freehold.pool(), scene.freehold.clock.now()).await.expect("a feed");
    let events = scene.api.get("/v1/events?types=tenant.updated").await.json();
    assert_eq!(events["events"][0]["data"]["changed"], json!(["admin_email"]));
    let entries = "select (select count(*) from audit_pending where entry ->> 'action' = 'updateTenant')
        + (select count(*) from audit_records where record::text like '%updateTenant%')";
    let entries: i64 = sqlx::query_scalar(entries).fetch_one(scene.freehold.pool()).await.expect("a number");
    assert_eq!(entries, 1);
    // The same address again starts nothing.
    change_admin(&scene.api, &scene.path(), "new@example.com").await;
    assert_eq!(scene.operation().await["id"], operation["id"]);
}

#[tokio::test]
async fn a_former_admin_with_another_use_keeps_the_user() {
    let mut scene = scene_with(Settings::instant()).await;
    scene.onboard(json!({ "tier": "enterprise", "admin_email": "old@example.com" })).await;
    let other = scene.shown().await;
    let more = json!({ "tier": "enterprise", "admin_email": "old@example.com", "company_name": "Other GmbH" });
    scene.onboard(more).await;
    change_admin(&scene.api, &scene.path(), "new@example.com").await;
    scene.run().await;
    let tenant = scene.shown().await;
    let both = vec!["new@example.com".to_owned(), "old@example.com".to_owned()];
    assert_eq!(users(&scene, &tenant), (both.clone(), vec!["new@example.com".into()]));
    assert_eq!(users(&scene, &other), (both, vec!["old@example.com".into()]));
}

#[tokio::test]
async fn an_admin_changed_twice_or_back_is_the_only_member() {
    let mut scene = scene_with(Settings::instant()).await;
    scene.onboard(json!({ "tier": "enterprise", "admin_email": "a@example.com" })).await;
    for emails in [&["b@example.com", "c@example.com"][..], &["d@example.com", "c@example.com"]] {
        for email in emails {
            change_admin(&scene.api, &scene.path(), email).await;
        }
        scene.run().await;
        let tenant = scene.shown().await;
        assert_eq!(users(&scene, &tenant), (vec!["c@example.com".into()], vec!["c@example.com".into()]));
    }
}

#[tokio::test]
async fn an_admin_changed_during_the_onboarding_is_the_only_member() {
    let mut scene = scene_with(slow_stacks()).await;
    scene.sign_up_with(json!({ "tier": "enterprise", "admin_email": "old@example.com" })).await;
    scene.run_until("grant-access").await;
    let operation = scene.operation().await["id"].clone();
    change_admin(&scene.api, &scene.path(), "new@example.com").await;
    assert_eq!(scene.operation().await["id"], operation, "another operation was opened");
    scene.run().await;
    let tenant = scene.shown().await;
    assert_eq!((&tenant["state"], scene.operation().await["id"].clone()), (&json!("ready"), operation));
    assert_eq!(users(&scene, &tenant), (vec!["new@example.com".into()], vec!["new@example.com".into()]));
}

#[tokio::test]
async fn a_changed_admin_survives_a_fault_at_each_call() {
    for fault in [StepFault::ResetBeforeCall, StepFault::ResetAfterCall] {
        let mut scene = scene_with(Settings::instant()).await;
        scene.onboard(json!({ "tier": "enterprise", "admin_email": "admin-0@example.com" })).await;
        let mut calls = 0;
        // The fault is no longer reached when the step makes fewer calls.
        for skip in 0.. {
            scene.freehold.clock.advance(std::time::Duration::from_mins(10));
            scene.freehold.step_faults.plan("grant-access", skip, fault);
            let email = format!("admin-{}@example.com", skip + 1);
            change_admin(&scene.api, &scene.path(), &email).await;
            scene.freehold.run_until_idle(&scene.worker, TimeDelta::hours(2)).await;
            let tenant = scene.shown().await;
            assert_eq!(tenant["state"], "ready", "{fault:?} {skip}: {:#}", scene.operation().await);
            assert_eq!(users(&scene, &tenant), (vec![email.clone()], vec![email]), "{fault:?} {skip}");
            if !scene.freehold.step_faults.was_injected() {
                break;
            }
            calls += 1;
        }
        assert!(calls > 6, "only {calls} calls");
    }
}

#[tokio::test]
async fn a_new_admin_of_a_tenant_without_a_group_starts_no_operation() {
    let mut scene = scene_with(Settings::instant()).await;
    scene.onboard(json!({})).await;
    let changed = change_admin(&scene.api, &scene.path(), "new@example.com").await.json();
    assert_eq!(changed["state"], "ready");
    assert_eq!(scene.operation().await["kind"], "onboard");
}
