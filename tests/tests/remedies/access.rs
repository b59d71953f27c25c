//! Cases of access through Identity Center.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tests::api_fixture::send;
use freehold_tests::fixture::CONFIG;
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::{Probe, Proof, Scene, slow_stacks};

pub(super) async fn failing_assignment(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.inject(Rule::on("ssoadmin", "CreateAccountAssignment", Fault::failed("Internal error")));
    scene.sign_up().await;
    scene.run().await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

pub(super) async fn failing_revocation(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.onboard(json!({})).await;
    scene.inject(Rule::on("ssoadmin", "DeleteAccountAssignment", Fault::failed("Internal error")));
    scene.offboard().await;
    scene.attention().await;
    scene.clear_faults_before_retry();
    scene.apply().await
}

/// Identity Center rejects the user of the administrator. The message names the tenant's field, and another address
/// resolves the problem.
pub(super) async fn rejected_admin_email(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    let refusal =
        Fault::error("ValidationException", "1 validation error detected: the value at 'userName' is reserved");
    scene.inject(Rule::on("identitystore", "CreateUser", refusal).containing("root@example.com"));
    scene.sign_up_with(json!({ "tier": "enterprise", "admin_email": "root@example.com" })).await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains("admin_email") && message.contains("root@example.com"), "{message}");
    assert!(message.contains(&format!("PATCH {}", scene.path())), "{message}");
    if scene.is_retry() {
        let change = json!({ "admin_email": "ada@example.com" });
        let request = scene.api.request(Method::PATCH, &scene.path()).header("If-Match", "*").json(&change);
        let changed = send(request).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }
    scene.apply().await
}

/// Identity Center finds several users with the administrator's address, so Freehold takes none of them.
pub(super) async fn ambiguous_admin(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    let refusal = Fault::error("ConflictException", "More than one user has the attribute");
    scene.inject(Rule::on("identitystore", "GetUserId", refusal).containing("emails.value"));
    scene.sign_up_with(json!({ "tier": "enterprise" })).await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains("several users of Identity Center have the e-mail address of admin_email"), "{message}");
    scene.clear_faults_before_retry();
    scene.apply().await
}

/// Only a defect or a manual change causes this.
pub(super) async fn journal_without_the_grants(probe: Probe) -> Proof {
    const FACTS: &str = "select facts -> 'grants' from operation_steps where name = 'grant-access'";
    const FORGET: &str = "update operation_steps set facts = facts - 'grants' where name = 'grant-access'";
    const REPAIR: &str =
        "update operation_steps set facts = facts || jsonb_build_object('grants', $1) where name = 'grant-access'";
    let mut scene = Scene::with(probe, slow_stacks(), CONFIG).await;
    scene.sign_up().await;
    scene.run_until("grant-access").await;
    let grants: Value = sqlx::query_scalar(FACTS).fetch_one(scene.freehold.pool()).await.expect("the grants");
    sqlx::query(FORGET).execute(scene.freehold.pool()).await.expect("a damaged journal");
    scene.run().await;
    scene.attention().await;
    if scene.is_retry() {
        sqlx::query(REPAIR).bind(grants).execute(scene.freehold.pool()).await.expect("a repaired journal");
    }
    scene.apply().await
}

pub(super) async fn missing_group(probe: Probe) -> Proof {
    let config = format!("{CONFIG}\n[[access]]\npermission_set = \"support\"\ngroup = \"auditors\"\n");
    let mut scene = Scene::with(probe, Settings::instant(), &config).await;
    scene.sign_up().await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains("`auditors`"), "{message}");
    if scene.is_retry() {
        scene.admin().create_group("auditors").await;
    }
    scene.apply().await
}

pub(super) async fn external_group_of_the_same_name(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up_with(json!({ "tier": "enterprise" })).await;
    let group = format!("freehold-{}", scene.tenant().await.id);
    scene.admin().create_group(&group).await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains(&group), "{message}");
    assert_eq!(scene.freehold.world.state().identity_store.memberships.len(), 0, "the group got a member");
    if scene.is_retry() {
        scene.freehold.world.state().identity_store.groups.retain(|_, one| one.display_name != group);
        scene.freehold.clock.advance(std::time::Duration::from_mins(10));
    }
    scene.apply().await
}

pub(super) async fn missing_permission_set(probe: Probe) -> Proof {
    let set = "[[permission_sets]]\nname = \"audit\"\ndescription = \"Reads\"\n\
               managed_policies = [\"arn:aws:iam::aws:policy/ReadOnlyAccess\"]\n";
    let config = format!("{CONFIG}\n{set}[[access]]\npermission_set = \"audit\"\ngroup = \"support\"\n");
    let mut scene = Scene::with(probe, Settings::instant(), &config).await;
    scene.sign_up().await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains("`audit`"), "{message}");
    if scene.is_retry() {
        scene.freehold.bootstrap().await;
    }
    scene.apply().await
}
