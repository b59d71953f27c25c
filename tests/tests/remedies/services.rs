//! Cases of AWS calls that are refused, fail or hang.

use chrono::TimeDelta;
use freehold_sandbox::faults::{Fault, Rule};
use serde_json::json;

use super::scene::{Probe, Proof, Scene};

/// Onboards a tenant while `rule` is in effect. It ends before a retry.
async fn fault(probe: Probe, rule: Rule) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.inject(rule);
    scene.sign_up().await;
    // A step that keeps failing is retried every five minutes.
    scene.run_for(TimeDelta::hours(2)).await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

pub(super) async fn denied_call(probe: Probe) -> Proof {
    let denial = Fault::error("AccessDeniedException", "You don't have permissions to access this resource.");
    fault(probe, Rule::on("organizations", "CreateAccount", denial)).await
}

pub(super) async fn exhausted_quota(probe: Probe) -> Proof {
    let refusal = Fault::error("ServiceQuotaExceededException", "The account has 500 permission sets");
    fault(probe, Rule::on("ssoadmin", "CreateAccountAssignment", refusal)).await
}

pub(super) async fn violated_tag_policy(probe: Probe) -> Proof {
    let refusal = Fault::error("ConstraintViolationException", "TAG_POLICY_VIOLATION: the tags do not comply");
    fault(probe, Rule::on("organizations", "CreateAccount", refusal)).await
}

pub(super) async fn failing_service(probe: Probe) -> Proof {
    let failure = Fault::Error { status: 500, code: "InternalServerException".to_owned(), message: String::new() };
    fault(probe, Rule::on("identitystore", "GetGroupId", failure).containing("support")).await
}

pub(super) async fn hanging_region_opt_in(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.inject(Rule::on("account", "EnableRegion", Fault::Stuck).nth(1));
    scene.sign_up_with(json!({ "home_region": "eu-central-2" })).await;
    scene.run_for(TimeDelta::days(2)).await;
    scene.attention().await;
    if scene.is_retry() {
        scene.freehold.world.complete_stuck_work();
    }
    scene.apply().await
}
