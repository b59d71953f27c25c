//! Cases of an organisation that is not prepared for the configuration.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tests::fixture::CONFIG;
use freehold_worker::bootstrap::{apply, plan};
use serde_json::json;

use super::scene::{Probe, Proof, Scene};

/// Returns a configuration with the residency `jp`, whose OU does not exist yet.
fn config_with_japan() -> String {
    format!("{CONFIG}\n[[residencies]]\nname = \"jp\"\nregions = [\"ap-northeast-1\"]\n")
}

pub(super) async fn detached_guardrail(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.admin().detach("freehold-region-eu", "freehold-eu").await;
    scene.sign_up().await;
    scene.run().await;
    scene.attention().await;
    if scene.is_retry() {
        scene.freehold.bootstrap().await;
    }
    scene.apply().await
}

pub(super) async fn residency_without_ou(probe: Probe) -> Proof {
    let mut scene = Scene::with(probe, Settings::instant(), &config_with_japan()).await;
    scene.sign_up_with(json!({ "home_region": "ap-northeast-1" })).await;
    scene.run().await;
    scene.attention().await;
    if scene.is_retry() {
        scene.freehold.bootstrap().await;
    }
    scene.apply().await
}

pub(super) async fn residency_without_configuration(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    scene.restart_worker(&CONFIG.replace("name = \"eu\"", "name = \"europe\""));
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains("`eu`"), "{message}");
    if scene.is_retry() {
        scene.restart_worker(CONFIG);
    }
    scene.apply().await
}

pub(super) async fn missing_quarantine_ou(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.onboard(json!({})).await;
    let section = "[organization]\n    quarantine_ou = \"freehold-parked\"\n";
    scene.restart_worker(&CONFIG.replace("[organization]\n", section));
    scene.offboard().await;
    scene.attention().await;
    scene.freehold.bootstrap().await;
    scene.apply().await
}

/// Provokes a code that only `freehold bootstrap` meets, because operations change no policies.
async fn refused_policy(probe: Probe, call: &str, reason: &str, fix: &str) -> Proof {
    let scene = Scene::with(probe, Settings::instant(), &config_with_japan()).await;
    let refusal = Fault::error("ConstraintViolationException", &format!("{reason}: You have reached a limit."));
    scene.inject(Rule::on("organizations", call, refusal));
    let aws = scene.freehold.aws(None);
    let planned = plan(&aws, &scene.freehold.config).await.expect("a plan");
    let error = tokio::select! {
        applied = apply(&aws, planned, |_| {}) => applied.expect_err("a limit").to_string(),
        () = scene.freehold.run_clock() => unreachable!("time does not end"),
    };
    assert!(error.contains(reason) && error.contains(fix) && error.contains("`freehold bootstrap` again"), "{error}");
    scene.freehold.world.clear_faults();
    scene.freehold.bootstrap().await;
    let mut scene = scene;
    scene.onboard(json!({ "home_region": "ap-northeast-1" })).await;
    scene.proof_of_bootstrap()
}

pub(super) async fn guardrail_that_is_too_long(probe: Probe) -> Proof {
    refused_policy(probe, "CreatePolicy", "POLICY_CONTENT_LIMIT_EXCEEDED", "Split the residency").await
}

pub(super) async fn too_many_policies(probe: Probe) -> Proof {
    refused_policy(probe, "AttachPolicy", "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", "Detach or merge").await
}
