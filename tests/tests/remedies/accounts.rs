//! Cases of existing accounts that Freehold cannot or must not use.

use freehold_sandbox::organizations::Lifecycle;
use freehold_tests::fixture::CONFIG;
use serde_json::json;

use super::scene::{Probe, Proof, Scene, slow_new_accounts};
use crate::scenarios::run_during_call;

pub(super) async fn removed_account(probe: Probe) -> Proof {
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    let (world, mut removed) = (scene.freehold.world.clone(), None);
    let email = scene.account_email().await;
    run_during_call(&scene.freehold, &scene.worker, ("organizations", "ListParents", ""), async {
        let id = world.account_by_email(&email).expect("the account").id;
        let organization = &mut world.state().organization;
        organization.joined.retain(|joined| *joined != id);
        removed = organization.members.remove(&id).map(|member| (id, member));
    })
    .await;
    scene.attention().await;
    if scene.is_retry() {
        // The account accepts an invitation.
        let (id, member) = removed.expect("the account");
        let organization = &mut world.state().organization;
        organization.joined.push(id.clone());
        organization.members.insert(id, member);
    }
    scene.apply().await
}

pub(super) async fn closed_account(probe: Probe) -> Proof {
    let mut scene = Scene::with(probe, slow_new_accounts(), CONFIG).await;
    scene.sign_up().await;
    scene.run_until("place-account").await;
    let account = scene.account().await;
    scene.admin().close(&account).await;
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains(&account), "{message}");
    if scene.is_retry() {
        // AWS reopens the account.
        let mut state = scene.freehold.world.state();
        state.organization.members.get_mut(&account).expect("the account").lifecycle = Lifecycle::Active;
    }
    scene.apply().await
}

pub(super) async fn retagged_account(probe: Probe) -> Proof {
    const TAG: &str = "freehold:environment";
    let mut scene = Scene::new(probe).await;
    scene.onboard(json!({})).await;
    let (account, environment) = (scene.account().await, scene.tenant().await.environments[0].id.to_string());
    scene.admin().tag_account(&account, TAG, "env_of_others").await;
    scene.offboard().await;
    scene.attention().await;
    scene.admin().tag_account(&account, TAG, &environment).await;
    scene.apply().await
}

/// The configuration names the tenant's account as Freehold's own.
pub(super) async fn account_protected_by_the_configuration(probe: Probe) -> Proof {
    let mut scene = Scene::with(probe, slow_new_accounts(), CONFIG).await;
    scene.sign_up().await;
    scene.run_until("place-account").await;
    let account = scene.account().await;
    scene.restart_worker(&CONFIG.replace("444455556666", &account));
    scene.run().await;
    let message = scene.attention().await;
    assert!(message.contains(&account), "{message}");
    scene.restart_worker(CONFIG);
    scene.apply().await
}

/// Only a defect or a manual change causes this.
pub(super) async fn journal_without_the_account(probe: Probe) -> Proof {
    const FORGET: &str = "
        begin;
        set local session_replication_role = replica;
        delete from account_mappings;
        update operation_steps set facts = facts - 'account_id';
        commit";
    const REPAIR: &str =
        "update operation_steps set facts = facts || jsonb_build_object('account_id', $1) where name = 'await-account'";
    let mut scene = Scene::with(probe, slow_new_accounts(), CONFIG).await;
    scene.sign_up().await;
    scene.run_until("place-account").await;
    sqlx::raw_sql(FORGET).execute(scene.freehold.pool()).await.expect("a damaged journal");
    scene.run().await;
    scene.attention().await;
    if scene.is_retry() {
        let account = scene.account().await;
        sqlx::query(REPAIR).bind(account).execute(scene.freehold.pool()).await.expect("a repaired journal");
    }
    scene.apply().await
}
