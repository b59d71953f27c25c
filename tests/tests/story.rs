//! The story: a signup becomes a ready tenant.

use chrono::TimeDelta;
use freehold_tenancy::db::events;
use freehold_tenancy::tenant::TenantState;
use freehold_tests::fixture::Freehold;

#[tokio::test]
async fn a_signup_becomes_a_ready_tenant() {
    let freehold = Freehold::with(freehold_sandbox::Settings::default(), freehold_tests::fixture::CONFIG).await;
    let worker = freehold.worker("worker-1");
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.settle(&worker, TimeDelta::hours(2)).await;

    let told = events::after(freehold.pool(), tenant.environments[0].operation_id, 0, 1000).await.unwrap();
    for event in &told {
        println!("{} {} {} {}", event.occurred_at, event.seq, event.event_type, event.data);
    }
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready, "{operation:#?}");
}
