//! Tests of steps that had nothing to do: they are skipped with a reason, and never done.

use chrono::TimeDelta;
use freehold_tenancy::operation::Operation;
use freehold_tenancy::step::StepState;
use freehold_tenancy::tenant::TenantState;
use freehold_tests::fixture::{CONFIG, Freehold};

use super::offboarding::{
    MAX_SIMULATED_TIME, account, create_ready_tenant, decide, latest_operation, offboard, offboard_until_approval,
};

/// Returns the name of each skipped step with the reason.
fn skipped_steps(operation: &Operation) -> Vec<(&str, String)> {
    let steps = operation.steps.iter().filter(|step| step.state == StepState::Skipped);
    steps.map(|step| (step.name.as_str(), step.skip_reason.clone().expect("a reason"))).collect()
}

#[tokio::test]
async fn onboarding_skips_the_opt_in_only_where_a_region_needs_none() {
    let freehold = Freehold::instant().await;
    for (region, expected) in [
        ("eu-central-1", vec![("enable-regions", "region eu-central-1 needs no opt-in".to_owned())]),
        ("eu-central-2", vec![]),
    ] {
        let tenant = freehold.sign_up("Example", region, "standard").await;
        freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
        assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
        let operation = freehold.operation_of(&tenant).await;
        let skipped: Vec<_> =
            skipped_steps(&operation).into_iter().filter(|(step, _)| *step != "await-account").collect();
        assert_eq!(skipped, expected, "{region}");
    }
}

#[tokio::test]
async fn access_is_skipped_if_neither_configuration_nor_tier_grants_any() {
    let freehold = Freehold::instant().await;
    let start = CONFIG.find("[[access]]").expect("declared access");
    let end = CONFIG[start..].find("\n\n").map_or(CONFIG.len(), |length| start + length);
    let freehold = freehold.with_config(&format!("{}{}", &CONFIG[..start], &CONFIG[end..]));
    assert_eq!(freehold.config.access.len(), 0, "the configuration declares access");
    let tenant = freehold.sign_up("Example", "eu-central-2", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    let operation = freehold.operation_of(&tenant).await;
    let reason = "neither the configuration nor tier `standard` grants access".to_owned();
    assert!(skipped_steps(&operation).contains(&("grant-access", reason)), "{operation:#?}");
}

#[tokio::test]
async fn no_closure_is_reported_for_an_account_that_stays_open() {
    let freehold = Freehold::instant().await;
    let (tenant, worker) = create_ready_tenant(&freehold).await;
    offboard(&freehold, &tenant, false).await;
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    let open = account(&freehold, &tenant);
    assert_eq!(open.state, "ACTIVE");
    assert_eq!(
        skipped_steps(&latest_operation(&freehold, &tenant).await),
        [
            ("settle-account", format!("account {} is the environment's already", open.id)),
            ("close-account", "closing the account was not requested".to_owned()),
            ("await-closure", "no account is being closed".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_closure_is_skipped_only_if_it_is_rejected() {
    for (approve, state, expected) in [
        (true, "CLOSED", vec![]),
        (
            false,
            "ACTIVE",
            vec![
                ("close-account", "the closure was not approved".to_owned()),
                ("await-closure", "no account is being closed".to_owned()),
            ],
        ),
    ] {
        let freehold = Freehold::instant().await;
        let (tenant, worker, hash) = offboard_until_approval(&freehold).await;
        decide(&freehold, &tenant, &hash, approve, "bob").await;
        freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
        assert_eq!(account(&freehold, &tenant).state, state);
        let operation = latest_operation(&freehold, &tenant).await;
        let skipped: Vec<_> =
            skipped_steps(&operation).into_iter().filter(|(step, _)| *step != "settle-account").collect();
        assert_eq!(skipped, expected);
    }
}
