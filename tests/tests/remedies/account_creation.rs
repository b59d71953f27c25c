//! Cases of accounts that cannot be requested, created or adopted.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_sandbox::organizations::Lifecycle;
use freehold_tenancy::attention::Remedy;
use freehold_tests::fixture::CONFIG;
use serde_json::json;

use super::scene::{Probe, Proof, Scene};
use crate::scenarios::{create_external_account, run_during_call};

/// Signs up a tenant whose account AWS fails to create for `reason`, as long as it has the configured e-mail address.
async fn fail_creation(probe: Probe, reason: &str) -> Scene {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    let email = scene.account_email().await;
    scene.inject(Rule::on("organizations", "CreateAccount", Fault::failed(reason)).containing(&email));
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains(reason), "{message}");
    scene
}

/// Provokes a failure that only AWS or the owner of the management account can fix, or that an adoption avoids.
async fn failed_creation(probe: Probe, reason: &str) -> Proof {
    let scene = fail_creation(probe, reason).await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

pub(super) async fn unknown_reason(probe: Probe) -> Proof {
    failed_creation(probe, "A_REASON_OF_NEXT_YEAR").await
}

pub(super) async fn pending_business_validation(probe: Probe) -> Proof {
    failed_creation(probe, "PENDING_BUSINESS_VALIDATION").await
}

pub(super) async fn invalid_address(probe: Probe) -> Proof {
    failed_creation(probe, "INVALID_ADDRESS").await
}

pub(super) async fn missing_payment_method(probe: Probe) -> Proof {
    failed_creation(probe, "MISSING_PAYMENT_INSTRUMENT").await
}

pub(super) async fn rejected_email(probe: Probe) -> Proof {
    let mut scene = fail_creation(probe, "INVALID_EMAIL").await;
    if scene.is_retry() {
        scene.restart_worker(&CONFIG.replace("aws+{environment_id}", "cloud+{environment_id}"));
    }
    scene.apply().await
}

pub(super) async fn taken_email(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    let email = scene.account_email().await;
    scene.freehold.world.reserve_email(&email);
    scene.run().await;
    scene.attention().await;
    if scene.is_retry() {
        // The owner of the other account changes its address.
        scene.freehold.world.state().organization.foreign_emails.remove(&email);
    }
    scene.apply().await
}

pub(super) async fn adoption_of_a_closed_account(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    scene.freehold.world.reserve_email(&scene.account_email().await);
    scene.run().await;
    let closed = create_external_account(&scene.freehold, "closed").await;
    scene.admin().close(closed.as_str()).await;
    scene.adopt(closed.as_str()).await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains(closed.as_str()), "{message}");
    if scene.is_retry() {
        // AWS reopens the account.
        let mut state = scene.freehold.world.state();
        state.organization.members.get_mut(closed.as_str()).expect("the account").lifecycle = Lifecycle::Active;
    }
    scene.apply().await
}

/// Two environments are given the same account; the other one is faster.
pub(super) async fn adoption_by_two_environments(probe: Probe) -> Proof {
    const MAP_TO_OTHER: &str = "
        insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
        select gen_random_uuid(), e.tenant_id, e.id, $1, now() from environments e where e.id <> $2";
    let mut scene = Scene::new(probe).await;
    scene.sign_up_with(json!({ "company_name": "Other GmbH" })).await;
    scene.freehold.world.reserve_email(&scene.account_email().await);
    scene.sign_up().await;
    scene.freehold.world.reserve_email(&scene.account_email().await);
    scene.run().await;
    let (account, environment) =
        (create_external_account(&scene.freehold, "wanted").await, scene.tenant().await.environments[0].id);
    scene.adopt(account.as_str()).await;
    let call = ("organizations", "TagResource", "freehold:environment");
    run_during_call(&scene.freehold, &scene.worker, call, async {
        let mapping = sqlx::query(MAP_TO_OTHER).bind(account.as_str()).bind(environment.as_uuid());
        mapping.execute(scene.freehold.pool()).await.expect("a mapping");
    })
    .await;
    let message = scene.attention().await;
    assert!(message.contains(account.as_str()), "{message}");
    scene.apply().await
}

pub(super) async fn tier_with_approval(probe: Probe) -> Proof {
    let config = format!("{CONFIG}\napproval = \"required\"");
    let mut scene = Scene::with(probe, Settings::instant(), &config).await;
    scene.sign_up_with(json!({ "tier": "enterprise" })).await;
    scene.run().await;
    scene.attention().await;
    assert_ne!(scene.remedy(), Remedy::Retry, "a retry does not replace the approval");
    scene.apply().await
}
