//! Tests of approvals: if a tier requires approval, no AWS account is created before a second person approves.

use chrono::TimeDelta;
use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::attention::{Attention, AttentionCode, Remedy};
use freehold_tenancy::db::approvals;
use freehold_tenancy::db::lifecycle::{self, DecisionResult, StepDisposition};
use freehold_tenancy::db::tenants;
use freehold_tenancy::operation::{OperationState, Requester};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use freehold_tests::fixture::{CONFIG, Freehold};
use serde_json::json;

const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);
const REQUIRED: &str = "\napproval = \"required\"";

fn requester(name: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: name.to_owned() }
}

/// Creates a tenant with a tier that requires approval, and runs its onboarding until the approval is pending.
async fn sign_up_until_approval(freehold: &Freehold) -> Tenant {
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), HALF_AN_HOUR).await;
    let operation = freehold.operation_of(&tenant).await;
    let attention = operation.attention.expect("attention");
    assert_eq!((attention.code.as_str(), operation.wake_at), ("approval_required", None));
    assert_eq!(attention.remedies, [Remedy::Approve, Remedy::Cancel]);
    assert_eq!(count_accounts(freehold), 0, "an account was created without approval");
    tenant
}

fn count_accounts(freehold: &Freehold) -> usize {
    freehold.world.accounts().iter().filter(|account| account.email.starts_with("aws+")).count()
}

async fn decide(freehold: &Freehold, tenant: &Tenant, approve: bool, by: &str) -> DecisionResult {
    let (pool, id, now) = (freehold.pool(), tenant.environments[0].operation_id, freehold.clock.now());
    let approval = approvals::list_for_operation(pool, id).await.expect("an answer").pop().expect("a pending approval");
    assert_eq!(approval.action, ApprovalAction::Vend);
    assert_eq!(approval.request["company_name"], "Example");
    lifecycle::decide(pool, id, &approval.request_hash, approve, None, &requester(by), now).await.expect("an answer")
}

#[tokio::test]
async fn an_account_is_created_only_after_a_second_person_approves() {
    let freehold = Freehold::instant().await.with_config(&format!("{CONFIG}{REQUIRED}"));
    let tenant = sign_up_until_approval(&freehold).await;
    // The requester is `tests`. A repeated run changes nothing.
    assert_eq!(decide(&freehold, &tenant, true, "tests").await, DecisionResult::SamePerson);
    let id = tenant.environments[0].operation_id;
    let now = freehold.clock.now();
    freehold_tenancy::db::lifecycle::retry(freehold.pool(), id, "tests", now).await.expect("an answer");
    freehold.run_until_idle(&freehold.worker("worker-2"), HALF_AN_HOUR).await;
    assert_eq!(count_accounts(&freehold), 0);
    assert_eq!(
        approvals::list_for_operation(freehold.pool(), id).await.expect("an answer").len(),
        1,
        "the approval was requested twice"
    );

    assert!(matches!(decide(&freehold, &tenant, true, "bob").await, DecisionResult::Recorded(_)));
    freehold.run_until_idle(&freehold.worker("worker-3"), HALF_AN_HOUR).await;
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Ready);
    assert_eq!(count_accounts(&freehold), 1);

    // The other tier requires no approval.
    let other = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-4"), HALF_AN_HOUR).await;
    assert_eq!(freehold.reload_tenant(&other).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn changing_the_tier_does_not_bypass_the_approval() {
    let freehold = Freehold::instant().await.with_config(&format!("{CONFIG}{REQUIRED}"));
    let tenant = sign_up_until_approval(&freehold).await;
    let (pool, id) = (freehold.pool(), tenant.environments[0].operation_id);
    let change = async |tier: &str| {
        let mut tenant = freehold.reload_tenant(&tenant).await;
        tenant.tier = tier.parse().expect("a tier");
        tenants::update(pool, &tenant, &["tier"], freehold.clock.now()).await.expect("a change");
    };
    // The tenant's current tier requires no approval.
    change("standard").await;
    freehold_tenancy::db::lifecycle::retry(pool, id, "tests", freehold.clock.now()).await.expect("an answer");
    freehold.run_until_idle(&freehold.worker("worker-2"), HALF_AN_HOUR).await;
    assert_eq!(count_accounts(&freehold), 0, "a change of the tier avoided the approval");

    // The approval was for an account of another tier.
    freehold.clock.advance(std::time::Duration::from_mins(1));
    assert!(matches!(decide(&freehold, &tenant, true, "bob").await, DecisionResult::Recorded(_)));
    freehold.run_until_idle(&freehold.worker("worker-3"), HALF_AN_HOUR).await;
    assert_eq!(count_accounts(&freehold), 0, "an account was created with an approval for another tier");
    assert!(matches!(decide(&freehold, &tenant, true, "bob").await, DecisionResult::Recorded(_)));
    freehold.run_until_idle(&freehold.worker("worker-4"), HALF_AN_HOUR).await;
    assert_eq!((count_accounts(&freehold), freehold.reload_tenant(&tenant).await.state()), (1, TenantState::Ready));
}

#[tokio::test]
async fn a_rejected_operation_is_canceled_without_aws_calls() {
    let freehold = Freehold::instant().await.with_config(&format!("{CONFIG}{REQUIRED}"));
    let tenant = sign_up_until_approval(&freehold).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    // A legal hold does not prevent the rejection, because no resources exist yet.
    lifecycle::set_legal_hold(pool, tenant.id, Some("Records."), None, now).await.expect("a legal hold");
    assert!(
        matches!(decide(&freehold, &tenant, false, "tests").await, DecisionResult::Recorded(_)),
        "the requester may reject the request"
    );
    freehold.run_until_idle(&freehold.worker("worker-2"), HALF_AN_HOUR).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Canceled);
    assert_eq!(freehold.reload_tenant(&tenant).await.state(), TenantState::Offboarded);
    let approvals = approvals::list_for_operation(pool, operation.id).await.expect("an answer");
    assert_eq!((approvals.len(), approvals[0].state), (1, ApprovalState::Rejected));
    assert_eq!(count_accounts(&freehold), 0);
}

#[tokio::test]
async fn an_approval_decision_before_the_step_is_parked_is_not_lost() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let claim = api.claim_operation().await;
    let attention = Attention::new(AttentionCode::ApprovalRequired, "Approve it.");
    api.record_step(&claim, StepDisposition::Parked(attention), None).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let operation = api.get(&path).await.json();
    assert_eq!(
        (&operation["state"], &operation["attention"]),
        (&json!("running"), &json!(null)),
        "the operation waits for a decision"
    );
    assert_eq!(operation["steps"][0]["state"], "waiting");
}

#[tokio::test]
async fn a_dry_run_shows_that_an_approval_is_needed() {
    let api = ApiFixture::with_config("[[tiers]]\nname = \"careful\"\napproval = \"required\"").await;
    let signup = |tier: &str| {
        json!({
            "company_name": "Example", "admin_email": "a@example.com", "home_region": "eu-west-1", "tier": tier
        })
    };
    for (tier, required) in [("careful", true), ("standard", false)] {
        let request = api.request(reqwest::Method::POST, "/v1/tenants?dry_run=true").json(&signup(tier));
        let response: serde_json::Value = request.send().await.expect("a response").json().await.expect("JSON");
        assert_eq!(response["approval_required"], required, "{response}");
    }
}
