//! Tests of the state of AWS accounts after the end of their mapping.

use chrono::TimeDelta;
use freehold_tenancy::account_mapping::AccountState;
use freehold_tenancy::db::account_mappings;
use freehold_tenancy::db::approvals;
use freehold_tenancy::db::lifecycle::{self, DecisionResult};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::Freehold;
use freehold_worker::reconcile::RepairMode;

use super::offboarding::{MAX_SIMULATED_TIME, latest_operation, offboard, requester};
use super::reconcile::administrator::Administrator;
use super::reconcile::{account, compare, create_ready_tenants};

/// Offboards a tenant until the end. With `close`, a second person approves the closure of the account.
async fn offboard_completely(freehold: &Freehold, tenant: &Tenant, close: bool) {
    offboard(freehold, tenant, close).await;
    if close {
        approve_closure(freehold, tenant).await;
    }
    run_until_offboarded(freehold, tenant).await;
}

async fn approve_closure(freehold: &Freehold, tenant: &Tenant) {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let operation = latest_operation(freehold, tenant).await.id;
    let hash = approvals::list_for_operation(pool, operation).await.expect("an answer")[0].request_hash.clone();
    let decided = lifecycle::decide(pool, operation, &hash, true, None, &requester("bob"), now).await;
    assert!(matches!(decided.expect("an answer"), DecisionResult::Recorded(_)));
}

async fn run_until_offboarded(freehold: &Freehold, tenant: &Tenant) {
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    let operation = latest_operation(freehold, tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}

/// Returns the state of an account, and whether its first and its last sighting differ.
async fn state(freehold: &Freehold, account: &str) -> (AccountState, bool) {
    let account = account.parse().expect("an account");
    let history = account_mappings::history(freehold.pool(), &account, None).await.expect("a history");
    let mapping = history.first().expect("a mapping");
    if mapping.account_state == AccountState::InUse {
        assert_eq!((mapping.account_state_since, mapping.account_seen_at), (None, None));
        return (AccountState::InUse, false);
    }
    let (since, seen_at) = (mapping.account_state_since.expect("a time"), mapping.account_seen_at.expect("a time"));
    assert!(mapping.valid_to.expect("the end of the mapping") <= seen_at);
    (mapping.account_state, since < seen_at)
}

#[tokio::test]
async fn a_released_account_is_active_until_aws_has_closed_it() {
    let (freehold, tenants) = create_ready_tenants(2).await;
    let admin = Administrator::of(&freehold);
    let [kept, closed] = [account(&tenants[0]), account(&tenants[1])];
    assert_eq!(state(&freehold, &kept).await, (AccountState::InUse, false));
    offboard_completely(&freehold, &tenants[0], false).await;
    offboard_completely(&freehold, &tenants[1], true).await;
    assert_eq!(state(&freehold, &kept).await, (AccountState::ReleasedActive, false));
    assert_eq!(state(&freehold, &closed).await, (AccountState::Closed, false));

    freehold.clock.advance(std::time::Duration::from_hours(1));
    compare(&freehold, RepairMode::Off).await;
    assert_eq!(state(&freehold, &kept).await, (AccountState::ReleasedActive, true));
    assert_eq!(state(&freehold, &closed).await, (AccountState::Closed, true));

    admin.close(&kept).await;
    freehold.clock.advance(std::time::Duration::from_hours(1));
    compare(&freehold, RepairMode::Off).await;
    assert_eq!(state(&freehold, &kept).await, (AccountState::Closed, false), "a person has closed it");

    // AWS removes closed accounts from the organisation.
    let later = freehold.clock.now() + TimeDelta::days(100);
    account_mappings::record_states(freehold.pool(), &[], later).await.expect("recorded states");
    assert_eq!(state(&freehold, &kept).await, (AccountState::Closed, true));
    // A comparison that started earlier but ended later changes nothing.
    let active = [(kept.parse().expect("an account"), "ACTIVE".to_owned())];
    let earlier = later - TimeDelta::days(1);
    account_mappings::record_states(freehold.pool(), &active, earlier).await.expect("recorded states");
    assert_eq!(state(&freehold, &kept).await, (AccountState::Closed, true));
}

#[tokio::test]
async fn each_state_of_a_released_account_in_aws_is_shown() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    let account = account(&tenants[0]);
    offboard_completely(&freehold, &tenants[0], false).await;
    for (number, (state_in_aws, expected)) in [
        (Some("PENDING_CLOSURE"), AccountState::Closing),
        (Some("SUSPENDED"), AccountState::Suspended),
        (Some("ACTIVE"), AccountState::ReleasedActive),
        (None, AccountState::LeftOrganization),
        (Some("CLOSED"), AccountState::Closed),
        // Before 2026-09, AWS reported closed accounts as suspended.
        (Some("SUSPENDED"), AccountState::Closed),
        (Some("ACTIVE"), AccountState::ReleasedActive),
    ]
    .into_iter()
    .enumerate()
    {
        let seen: Vec<_> =
            state_in_aws.iter().map(|state| (account.parse().expect("an account"), (*state).to_owned())).collect();
        let seen_at = freehold.clock.now() + TimeDelta::hours(i64::try_from(number).expect("a number") + 1);
        account_mappings::record_states(freehold.pool(), &seen, seen_at).await.expect("recorded states");
        assert_eq!(state(&freehold, &account).await.0, expected, "{state_in_aws:?}");
    }
}

#[tokio::test]
async fn an_account_that_left_before_its_closure_is_not_shown_as_closed() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    let account = account(&tenants[0]);
    offboard(&freehold, &tenants[0], true).await;
    // The offboarding waits for the approval of the closure.
    freehold.run_until_idle(&freehold.worker("worker-1"), MAX_SIMULATED_TIME).await;
    Administrator::of(&freehold).remove_from_organization(&account).await;
    approve_closure(&freehold, &tenants[0]).await;
    run_until_offboarded(&freehold, &tenants[0]).await;
    assert_eq!(state(&freehold, &account).await, (AccountState::LeftOrganization, false));
}
