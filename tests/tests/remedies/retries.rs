//! Tests of what an operation shows after a remedy, and of remedies that depend on an earlier step.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::attention::AttentionCode;
use freehold_tests::fixture::CONFIG;
use serde_json::{Value, json};

use super::scene::{Probe, Scene};
use crate::scenarios::run_during_call;

#[tokio::test]
async fn a_canceled_offboarding_has_no_step_that_polls_again() {
    let mut scene = Scene::new(Probe { code: AttentionCode::DeadlinePassed, remedy: None }).await;
    scene.onboard(json!({})).await;
    assert_eq!(scene.api.delete(&scene.path()).await.status, 202);
    scene.freehold.run_until_idle(&scene.worker, TimeDelta::hours(1)).await;
    let offboarding = scene.operation().await;
    let waits = |operation: &Value| {
        let steps = operation["steps"].as_array().expect("steps").iter();
        steps.filter(|step| step["check_at"] != Value::Null || step["waits_for"] != Value::Null).count()
    };
    assert_eq!(waits(&offboarding), 1, "{offboarding:#}");
    assert_eq!(scene.api.post(&format!("{}/restore", scene.path())).await.status, 202);
    scene.run().await;
    assert_eq!(scene.shown().await["state"], "ready");
    let path = format!("/v1/operations/{}", offboarding["id"].as_str().expect("an id"));
    let canceled = scene.api.get(&path).await.json();
    assert_eq!((&canceled["state"], waits(&canceled)), (&json!("canceled"), 0), "{canceled:#}");
    assert!(canceled["steps"].as_array().expect("steps").iter().all(|step| step["state"] != "waiting"));
}

/// The OU of the residency is deleted after the step that checks it, and `freehold bootstrap` creates it again.
#[tokio::test]
async fn an_account_is_placed_after_its_ou_was_replaced() {
    let japan = "\n[[residencies]]\nname = \"jp\"\nregions = [\"ap-northeast-1\"]\n";
    let probe = Probe { code: AttentionCode::ResidencyNotPrepared, remedy: None };
    let mut scene = Scene::with(probe, Settings::instant(), &format!("{CONFIG}{japan}")).await;
    scene.freehold.bootstrap().await;
    scene.sign_up_with(json!({ "home_region": "ap-northeast-1" })).await;
    let world = scene.freehold.world.clone();
    run_during_call(&scene.freehold, &scene.worker, ("organizations", "MoveAccount", ""), async {
        let organization = &mut world.state().organization;
        let id = organization.units.iter().find(|(_, unit)| unit.name == "freehold-jp").expect("the OU").0.clone();
        organization.units.remove(&id);
        organization.attached.remove(&id);
    })
    .await;
    scene.attention().await;
    scene.freehold.bootstrap().await;
    scene.apply().await;
}
