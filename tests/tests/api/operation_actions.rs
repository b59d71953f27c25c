//! Tests of the actions on an operation: cancel, correct, adopt, approve, reject.

use freehold_tenancy::attention::Remedy;
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

const ALL_REMEDIES: [Remedy; 4] = [Remedy::Retry, Remedy::Correct, Remedy::Adopt, Remedy::Cancel];

/// Creates a tenant whose onboarding is parked and offers every remedy. Returns the tenant and the path of the
/// operation.
async fn park_operation(api: &ApiFixture) -> (Value, String) {
    let tenant = api.sign_up(&signup_body()).await;
    api.park_with_remedies("account_email_taken", &ALL_REMEDIES).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    (tenant, path)
}

/// Returns the hash of the pending approval.
async fn pending_hash(api: &ApiFixture, path: &str) -> String {
    let operation = api.get(path).await.json();
    let pending = operation["approvals"].as_array().unwrap().iter().find(|approval| approval["state"] == "pending");
    pending.expect("a pending approval")["request_hash"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn adopting_an_account_requires_approval_by_a_second_person() {
    let api = ApiFixture::new().await;
    let (_, path) = park_operation(&api).await;
    let (adopt, approve, reject) = (format!("{path}/adopt"), format!("{path}/approve"), format!("{path}/reject"));
    let requested = api.send_as("ann", Method::POST, &adopt, &json!({ "aws_account_id": "777788889999" })).await;
    assert_eq!(requested.status, 202, "{}", requested.text);
    assert_eq!(requested.json()["state"], "needs_attention", "the operation continued before the approval");
    let approval = &requested.json()["approvals"][0];
    assert_eq!((&approval["action"], &approval["state"]), (&json!("adopt"), &json!("pending")));
    assert_eq!((&approval["requested_by"], &approval["decided_by"]), (&json!("ann"), &Value::Null));
    assert_eq!(approval["request"], json!({ "adopt_account_id": "777788889999" }));
    let hash = json!({ "request_hash": approval["request_hash"] });

    // The same request is idempotent; another one must wait.
    let again = api.send_as("ann", Method::POST, &adopt, &json!({ "aws_account_id": "777788889999" })).await;
    assert_eq!(again.json()["approvals"].as_array().unwrap().len(), 1);
    let other = api.send_as("ann", Method::POST, &adopt, &json!({ "aws_account_id": "888899990000" })).await;
    assert_eq!(other.status_and_code(), (409, "approval_pending".into()));

    let own = api.send_as("ann", Method::POST, &approve, &hash).await;
    assert_eq!(own.status_and_code(), (403, "approver_is_requester".into()));
    let stale = api.send_as("bob", Method::POST, &approve, &json!({ "request_hash": "0".repeat(64) })).await;
    assert_eq!(stale.status_and_code(), (409, "approval_not_pending".into()));
    let unreadable = api.send_as("bob", Method::POST, &approve, &json!({ "request_hash": "yes" })).await;
    assert_eq!(unreadable.status_and_code(), (422, "validation_failed".into()));
    assert_eq!(unreadable.json()["errors"][0]["field"], "request_hash");
    assert_eq!(api.get(&path).await.json()["approvals"][0]["state"], "pending");

    // The requester may reject the request.
    let rejected = api.send_as("ann", Method::POST, &reject, &hash).await;
    assert_eq!(rejected.status, 202);
    assert_eq!(rejected.json()["approvals"][0]["state"], "rejected");
    assert_eq!(rejected.json()["state"], "needs_attention");
    let late = api.send_as("bob", Method::POST, &approve, &hash).await;
    assert_eq!(late.status_and_code(), (409, "approval_not_pending".into()), "a rejected request was approved");

    api.send_as("ann", Method::POST, &adopt, &json!({ "aws_account_id": "777788889999" })).await;
    let replayed = api.send_as("bob", Method::POST, &approve, &hash).await;
    let reason = "the approval of an earlier request with the same values was accepted";
    assert_eq!(replayed.status_and_code(), (409, "approval_not_pending".into()), "{reason}");
    let hash = json!({ "request_hash": pending_hash(&api, &path).await });
    let approved = api.send_as("bob", Method::POST, &approve, &hash).await;
    assert_eq!(approved.status, 202);
    assert_eq!((&approved.json()["state"], &approved.json()["attention"]), (&json!("running"), &Value::Null));
    let approval = &approved.json()["approvals"][1];
    assert_eq!((&approval["state"], &approval["decided_by"]), (&json!("approved"), &json!("bob")));
    let events: Vec<String> =
        sqlx::query_scalar("select type from events order by seq").fetch_all(&api.database.pool).await.unwrap();
    let decisions: Vec<_> = events.iter().filter(|event| event.contains("approval")).collect();
    assert_eq!(
        decisions,
        [
            "operation.approval.requested",
            "operation.approval.rejected",
            "operation.approval.requested",
            "operation.approval.granted",
        ]
    );
    // The worker reads the approval when it runs the step.
    api.claim_operation().await;
}

#[tokio::test]
async fn management_freehold_and_mapped_accounts_are_never_adopted() {
    let api = ApiFixture::new().await;
    api.sign_up(&signup_body()).await;
    api.succeed_operation("777788889999").await;
    let (_, path) = park_operation(&api).await;
    for account in ["111122223333", "444455556666", "777788889999"] {
        let body = json!({ "aws_account_id": account });
        let refused = api.send_as("ann", Method::POST, &format!("{path}/adopt"), &body).await;
        assert_eq!(refused.status_and_code(), (409, "account_protected".into()), "{account}");
    }
    for unfit in [json!("12345"), json!("12345678901a"), json!(111_122_223_333_u64), Value::Null] {
        let body = json!({ "aws_account_id": unfit });
        let refused = api.send_as("ann", Method::POST, &format!("{path}/adopt"), &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{unfit}");
        assert_eq!(refused.json()["errors"][0]["field"], "aws_account_id");
    }
    assert_eq!(api.get(&path).await.json()["approvals"], json!([]));
}

#[tokio::test]
async fn correcting_the_address_requires_approval_by_a_second_person() {
    let api = ApiFixture::new().await;
    let (_, path) = park_operation(&api).await;
    let retry = format!("{path}/retry");
    for unfit in ["a@b.c", "missing", &format!("{}@example.com", "x".repeat(60)), "ä@example.com"] {
        let refused = api.send_as("ann", Method::POST, &retry, &json!({ "account_email": unfit })).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{unfit}");
        assert_eq!(refused.json()["errors"][0]["field"], "account_email");
    }
    let requested =
        api.send_as("ann", Method::POST, &retry, &json!({ "account_email": "aws+other@example.com" })).await;
    assert_eq!((requested.status.as_u16(), &requested.json()["state"]), (202, &json!("needs_attention")));
    let hash = json!({ "request_hash": pending_hash(&api, &path).await });
    let approved = api.send_as("bob", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(approved.json()["state"], "running", "{}", approved.text);
}

async fn assert_no_remedies(api: &ApiFixture, path: &str) {
    for (action, body, code) in [
        ("adopt", json!({ "aws_account_id": "777788889999" }), "remedy_not_offered"),
        ("retry", json!({ "account_email": "aws+other@example.com" }), "remedy_not_offered"),
        ("approve", json!({ "request_hash": "0".repeat(64) }), "approval_not_pending"),
    ] {
        let refused = api.send_as("bob", Method::POST, &format!("{path}/{action}"), &body).await;
        assert_eq!(refused.status_and_code(), (409, code.into()), "{action}");
    }
}

#[tokio::test]
async fn a_remedy_that_is_not_offered_is_rejected() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.park("account_not_ours").await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    assert_no_remedies(&api, &path).await;
}

#[tokio::test]
async fn a_retry_is_rejected_if_it_is_not_offered() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.park_with_remedies("account_email_taken", &[Remedy::Adopt, Remedy::Cancel]).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let refused = api.post(&format!("{path}/retry")).await;
    assert_eq!(refused.status_and_code(), (409, "remedy_not_offered".into()));
    assert_eq!(api.get(&path).await.json()["state"], "needs_attention");
}

#[tokio::test]
async fn a_finished_operation_accepts_no_requests() {
    let api = ApiFixture::new().await;
    let (_, path) = park_operation(&api).await;
    let account = json!({ "aws_account_id": "777788889999" });
    let requested = api.send_as("ann", Method::POST, &format!("{path}/adopt"), &account).await;
    assert_eq!(requested.status, 202);
    assert_eq!(api.post(&format!("{path}/cancel")).await.status, 202);
    // The feed shows that the approval is no longer pending.
    let events = api.get("/v1/events?types=operation.approval.requested,operation.approval.rejected").await.json();
    let hashes: Vec<_> =
        events["events"].as_array().unwrap().iter().map(|event| event["data"]["request_hash"].clone()).collect();
    assert!(hashes.len() == 2 && hashes[0] == hashes[1], "{hashes:?}");
    assert_no_remedies(&api, &path).await;
    assert_eq!(api.get(&path).await.json()["approvals"][0]["state"], "expired");
}

#[tokio::test]
async fn an_onboarding_is_canceled_once() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let canceled = api.post(&format!("{path}/cancel")).await;
    assert_eq!((canceled.status.as_u16(), &canceled.json()["state"]), (202, &json!("canceled")));
    assert_eq!(canceled.header("location"), path, "nothing exists that must be offboarded");
    assert_ne!(canceled.json()["finished_at"], Value::Null);
    let again = api.post(&format!("{path}/cancel")).await;
    assert_eq!(again.status_and_code(), (409, "operation_not_cancelable".into()));
    assert!(again.json()["detail"].as_str().unwrap().contains("it has ended"), "{}", again.text);
    let tenant = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(tenant["state"], "offboarded");
    assert_eq!(api.post("/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9c/cancel").await.status, 404);
}

#[tokio::test]
async fn a_late_cancellation_starts_an_offboarding() {
    let api = ApiFixture::new().await;
    let (tenant, path) = park_operation(&api).await;
    sqlx::query("update operation_steps set intent = '{}', intent_at = now()")
        .execute(&api.database.pool)
        .await
        .expect("a pending request");
    let canceled = api.post(&format!("{path}/cancel")).await;
    assert_eq!(canceled.status, 202, "{}", canceled.text);
    let following = canceled.json();
    assert_eq!(following["kind"], "offboard");
    assert_eq!(canceled.header("location"), format!("/v1/operations/{}", following["id"].as_str().unwrap()));
    assert_eq!(api.get(&path).await.json()["state"], "canceled");
    let tenant = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(tenant["state"], "offboarding");
    let refused = api.post(&format!("{}/cancel", canceled.header("location"))).await;
    assert_eq!(refused.status_and_code(), (409, "operation_not_cancelable".into()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("restore the environment"), "{}", refused.text);
}
