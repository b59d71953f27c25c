//! A tier that wants each account approved: nothing is asked of AWS before another person than the one that signed up says yes.

use chrono::TimeDelta;
use freehold_tenancy::approval::{ApprovalAction, ApprovalState};
use freehold_tenancy::attention::{Attention, Remedy};
use freehold_tenancy::db::approvals;
use freehold_tenancy::db::lifecycle::{self, DecisionResult, StepDisposition};
use freehold_tenancy::db::tenants;
use freehold_tenancy::operation::{OperationState, Requester};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::api_fixture::{Served, signup};
use freehold_tests::fixture::{CONFIG, Freehold};
use serde_json::json;

const MINUTES: TimeDelta = TimeDelta::minutes(30);
const REQUIRED: &str = "\napproval = \"required\"";

fn person(name: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: name.to_owned() }
}

/// A tenant of a tier that wants each account approved, with nothing done that needs that.
async fn waiting(freehold: &Freehold) -> Tenant {
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.settle(&freehold.worker("worker-1"), MINUTES).await;
    let operation = freehold.operation_of(&tenant).await;
    let attention = operation.attention.expect("somebody is asked");
    assert_eq!((attention.code.as_str(), operation.wake_at), ("approval_required", None));
    assert_eq!(attention.remedies, [Remedy::Approve, Remedy::Cancel]);
    assert_eq!(accounts(freehold), 0, "an account was made that nobody has approved");
    tenant
}

fn accounts(freehold: &Freehold) -> usize {
    freehold.world.accounts().iter().filter(|account| account.email.starts_with("aws+")).count()
}

async fn decide(freehold: &Freehold, tenant: &Tenant, approve: bool, by: &str) -> DecisionResult {
    let (pool, id, now) = (freehold.pool(), tenant.environments[0].operation_id, freehold.clock.now());
    let asked = approvals::list_for_operation(pool, id).await.expect("an answer").pop().expect("what waits");
    assert_eq!(asked.action, ApprovalAction::Vend);
    assert_eq!(asked.request["company_name"], "Example");
    lifecycle::decide(pool, id, &asked.request_hash, approve, &person(by), now).await.expect("an answer")
}

#[tokio::test]
async fn an_account_is_vended_only_once_another_person_has_approved_it() {
    let freehold = Freehold::instant().await.declaring(&format!("{CONFIG}{REQUIRED}"));
    let tenant = waiting(&freehold).await;
    // Who signed up is `tests`. Asking again changes nothing.
    assert_eq!(decide(&freehold, &tenant, true, "tests").await, DecisionResult::SamePerson);
    let id = tenant.environments[0].operation_id;
    let now = freehold.clock.now();
    freehold_tenancy::db::lifecycle::retry(freehold.pool(), id, "tests", now).await.expect("an answer");
    freehold.settle(&freehold.worker("worker-2"), MINUTES).await;
    assert_eq!(accounts(&freehold), 0);
    assert_eq!(
        approvals::list_for_operation(freehold.pool(), id).await.expect("an answer").len(),
        1,
        "asked for twice"
    );

    assert!(matches!(decide(&freehold, &tenant, true, "bob").await, DecisionResult::Yes(_)));
    freehold.settle(&freehold.worker("worker-3"), MINUTES).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
    assert_eq!(accounts(&freehold), 1);

    // The other tier is asked about nothing.
    let other = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.settle(&freehold.worker("worker-4"), MINUTES).await;
    assert_eq!(freehold.tenant_now(&other).await.state(), TenantState::Ready);
}

#[tokio::test]
async fn no_change_of_the_tenant_does_without_the_other_person() {
    let freehold = Freehold::instant().await.declaring(&format!("{CONFIG}{REQUIRED}"));
    let tenant = waiting(&freehold).await;
    let (pool, id) = (freehold.pool(), tenant.environments[0].operation_id);
    let change = async |tier: &str| {
        let mut tenant = freehold.tenant_now(&tenant).await;
        tenant.tier = tier.parse().expect("a tier");
        tenants::update(pool, &tenant, &["tier"], freehold.clock.now()).await.expect("a change");
    };
    // The tier that the tenant is in now wants nothing approved.
    change("standard").await;
    freehold_tenancy::db::lifecycle::retry(pool, id, "tests", freehold.clock.now()).await.expect("an answer");
    freehold.settle(&freehold.worker("worker-2"), MINUTES).await;
    assert_eq!(accounts(&freehold), 0, "who may change the tier needs nobody else");

    // What was approved is an account for another tier.
    freehold.clock.advance(std::time::Duration::from_mins(1));
    assert!(matches!(decide(&freehold, &tenant, true, "bob").await, DecisionResult::Yes(_)));
    freehold.settle(&freehold.worker("worker-3"), MINUTES).await;
    assert_eq!(accounts(&freehold), 0, "an account was made for what nobody has approved");
    assert!(matches!(decide(&freehold, &tenant, true, "bob").await, DecisionResult::Yes(_)));
    freehold.settle(&freehold.worker("worker-4"), MINUTES).await;
    assert_eq!((accounts(&freehold), freehold.tenant_now(&tenant).await.state()), (1, TenantState::Ready));
}

#[tokio::test]
async fn what_is_rejected_ends_and_nothing_was_asked_of_aws() {
    let freehold = Freehold::instant().await.declaring(&format!("{CONFIG}{REQUIRED}"));
    let tenant = waiting(&freehold).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    // Nothing is there that a legal hold could keep.
    assert!(lifecycle::set_legal_hold(pool, tenant.id, Some("Records."), now).await.expect("an answer"));
    assert!(
        matches!(decide(&freehold, &tenant, false, "tests").await, DecisionResult::Yes(_)),
        "who asked may take it back"
    );
    freehold.settle(&freehold.worker("worker-2"), MINUTES).await;
    let operation = freehold.operation_of(&tenant).await;
    assert_eq!(operation.state, OperationState::Canceled);
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Offboarded);
    let asked = approvals::list_for_operation(pool, operation.id).await.expect("an answer");
    assert_eq!((asked.len(), asked[0].state), (1, ApprovalState::Rejected));
    assert_eq!(accounts(&freehold), 0);
}

#[tokio::test]
async fn a_decision_that_comes_before_the_step_has_parked_is_not_missed() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    let claim = api.claim().await;
    let attention = Attention { remedies: vec![Remedy::Approve], ..Attention::new("approval_required", "Approve it.") };
    api.record(&claim, StepDisposition::Parked(attention), None).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let operation = api.get(&path).await.json();
    assert_eq!((&operation["state"], &operation["attention"]), (&json!("running"), &json!(null)), "waits for nobody");
    assert_eq!(operation["steps"][0]["state"], "waiting");
}

#[tokio::test]
async fn a_preview_tells_that_it_would_have_to_be_approved() {
    let api = Served::with_config("[[tiers]]\nname = \"careful\"\napproval = \"required\"").await;
    let asked = |tier: &str| json!({ "company_name": "Example", "admin_email": "a@example.com", "home_region": "eu-west-1", "tier": tier });
    for (tier, required) in [("careful", true), ("standard", false)] {
        let answer = api.request(reqwest::Method::POST, "/v1/tenants?dry_run=true").json(&asked(tier));
        let answer: serde_json::Value = answer.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["approval_required"], required, "{answer}");
    }
}
