//! What people do about an operation that needs them: give it up, correct it, name an account, and approve what another
//! person has asked for.

use freehold_tenancy::attention::Remedy;
use freehold_tests::api_fixture::{Served, signup};
use reqwest::Method;
use serde_json::{Value, json};

const EVERYTHING: [Remedy; 4] = [Remedy::Retry, Remedy::Correct, Remedy::Adopt, Remedy::Cancel];

/// A tenant whose onboarding is parked with every remedy, and where its operation is.
async fn parked(api: &Served) -> (Value, String) {
    let tenant = api.signed_up(&signup()).await;
    api.park_with("account_email_taken", &EVERYTHING).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    (tenant, path)
}

/// The hash of what waits for approval.
async fn pending(api: &Served, path: &str) -> String {
    let operation = api.get(path).await.json();
    let waiting = operation["approvals"].as_array().unwrap().iter().find(|approval| approval["state"] == "pending");
    waiting.expect("something that waits for approval")["request_hash"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_account_is_adopted_only_where_another_person_approves_exactly_that() {
    let api = Served::new().await;
    let (_, path) = parked(&api).await;
    let (adopt, approve, reject) = (format!("{path}/adopt"), format!("{path}/approve"), format!("{path}/reject"));
    let asked = api.as_person("ann", Method::POST, &adopt, &json!({ "aws_account_id": "777788889999" })).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(asked.json()["state"], "needs_attention", "it goes on before it is approved");
    let approval = &asked.json()["approvals"][0];
    assert_eq!((&approval["action"], &approval["state"]), (&json!("adopt"), &json!("pending")));
    assert_eq!((&approval["requested_by"], &approval["decided_by"]), (&json!("ann"), &Value::Null));
    assert_eq!(approval["request"], json!({ "adopt_account_id": "777788889999" }));
    let hash = json!({ "request_hash": approval["request_hash"] });

    // The same again is the same wish; another has to wait.
    let again = api.as_person("ann", Method::POST, &adopt, &json!({ "aws_account_id": "777788889999" })).await;
    assert_eq!(again.json()["approvals"].as_array().unwrap().len(), 1);
    let other = api.as_person("ann", Method::POST, &adopt, &json!({ "aws_account_id": "888899990000" })).await;
    assert_eq!(other.outcome(), (409, "approval_pending".into()));

    let own = api.as_person("ann", Method::POST, &approve, &hash).await;
    assert_eq!(own.outcome(), (403, "approver_is_requester".into()));
    let stale = api.as_person("bob", Method::POST, &approve, &json!({ "request_hash": "0".repeat(64) })).await;
    assert_eq!(stale.outcome(), (409, "approval_not_pending".into()));
    let unreadable = api.as_person("bob", Method::POST, &approve, &json!({ "request_hash": "yes" })).await;
    assert_eq!(unreadable.outcome(), (422, "validation_failed".into()));
    assert_eq!(unreadable.json()["errors"][0]["field"], "request_hash");
    assert_eq!(api.get(&path).await.json()["approvals"][0]["state"], "pending");

    // Who asked may take it back.
    let rejected = api.as_person("ann", Method::POST, &reject, &hash).await;
    assert_eq!(rejected.status, 202);
    assert_eq!(rejected.json()["approvals"][0]["state"], "rejected");
    assert_eq!(rejected.json()["state"], "needs_attention");
    let late = api.as_person("bob", Method::POST, &approve, &hash).await;
    assert_eq!(late.outcome(), (409, "approval_not_pending".into()), "approved although it was rejected");

    api.as_person("ann", Method::POST, &adopt, &json!({ "aws_account_id": "777788889999" })).await;
    let hash = json!({ "request_hash": pending(&api, &path).await });
    let approved = api.as_person("bob", Method::POST, &approve, &hash).await;
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
    // The worker learns of it from its step.
    api.claim().await;
}

#[tokio::test]
async fn the_management_account_freeholds_own_and_a_mapped_one_are_never_adopted() {
    let api = Served::new().await;
    api.signed_up(&signup()).await;
    api.succeed("777788889999").await;
    let (_, path) = parked(&api).await;
    for account in ["111122223333", "444455556666", "777788889999"] {
        let body = json!({ "aws_account_id": account });
        let refused = api.as_person("ann", Method::POST, &format!("{path}/adopt"), &body).await;
        assert_eq!(refused.outcome(), (409, "account_protected".into()), "{account}");
    }
    for unfit in [json!("12345"), json!("12345678901a"), json!(111_122_223_333_u64), Value::Null] {
        let body = json!({ "aws_account_id": unfit });
        let refused = api.as_person("ann", Method::POST, &format!("{path}/adopt"), &body).await;
        assert_eq!(refused.outcome(), (422, "validation_failed".into()), "{unfit}");
        assert_eq!(refused.json()["errors"][0]["field"], "aws_account_id");
    }
    assert_eq!(api.get(&path).await.json()["approvals"], json!([]));
}

#[tokio::test]
async fn another_address_is_tried_only_where_another_person_approves() {
    let api = Served::new().await;
    let (_, path) = parked(&api).await;
    let retry = format!("{path}/retry");
    for unfit in ["a@b.c", "nobody", &format!("{}@example.com", "x".repeat(60)), "ä@example.com"] {
        let refused = api.as_person("ann", Method::POST, &retry, &json!({ "account_email": unfit })).await;
        assert_eq!(refused.outcome(), (422, "validation_failed".into()), "{unfit}");
        assert_eq!(refused.json()["errors"][0]["field"], "account_email");
    }
    let asked = api.as_person("ann", Method::POST, &retry, &json!({ "account_email": "aws+other@example.com" })).await;
    assert_eq!((asked.status.as_u16(), &asked.json()["state"]), (202, &json!("needs_attention")));
    let hash = json!({ "request_hash": pending(&api, &path).await });
    let approved = api.as_person("bob", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(approved.json()["state"], "running", "{}", approved.text);
}

async fn nothing_is_offered(api: &Served, path: &str) {
    for (what, body, code) in [
        ("adopt", json!({ "aws_account_id": "777788889999" }), "remedy_not_offered"),
        ("retry", json!({ "account_email": "aws+other@example.com" }), "remedy_not_offered"),
        ("approve", json!({ "request_hash": "0".repeat(64) }), "approval_not_pending"),
    ] {
        let refused = api.as_person("bob", Method::POST, &format!("{path}/{what}"), &body).await;
        assert_eq!(refused.outcome(), (409, code.into()), "{what}");
    }
}

#[tokio::test]
async fn a_remedy_that_is_not_offered_is_refused() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    api.park("account_not_ours").await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    nothing_is_offered(&api, &path).await;
}

#[tokio::test]
async fn trying_again_is_refused_where_that_is_no_remedy() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    api.park_with("account_email_taken", &[Remedy::Adopt, Remedy::Cancel]).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let refused = api.post(&format!("{path}/retry")).await;
    assert_eq!(refused.outcome(), (409, "remedy_not_offered".into()));
    assert_eq!(api.get(&path).await.json()["state"], "needs_attention");
}

#[tokio::test]
async fn nothing_is_wished_for_of_what_has_ended() {
    let api = Served::new().await;
    let (_, path) = parked(&api).await;
    let account = json!({ "aws_account_id": "777788889999" });
    let asked = api.as_person("ann", Method::POST, &format!("{path}/adopt"), &account).await;
    assert_eq!(asked.status, 202);
    assert_eq!(api.post(&format!("{path}/cancel")).await.status, 202);
    // Whoever keeps a list of what waits for approval learns that this does not any more.
    let told = api.get("/v1/events?types=operation.approval.requested,operation.approval.rejected").await.json();
    let told: Vec<_> =
        told["events"].as_array().unwrap().iter().map(|event| event["data"]["request_hash"].clone()).collect();
    assert!(told.len() == 2 && told[0] == told[1], "{told:?}");
    nothing_is_offered(&api, &path).await;
    assert_eq!(api.get(&path).await.json()["approvals"][0]["state"], "rejected");
}

#[tokio::test]
async fn an_onboarding_is_given_up_once() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let canceled = api.post(&format!("{path}/cancel")).await;
    assert_eq!((canceled.status.as_u16(), &canceled.json()["state"]), (202, &json!("canceled")));
    assert_eq!(canceled.header("location"), path, "nothing was made that something else would have to take away");
    assert_ne!(canceled.json()["finished_at"], Value::Null);
    let again = api.post(&format!("{path}/cancel")).await;
    assert_eq!(again.outcome(), (409, "operation_not_cancelable".into()));
    assert!(again.json()["detail"].as_str().unwrap().contains("it has ended"), "{}", again.text);
    let tenant = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(tenant["state"], "offboarded");
    assert_eq!(api.post("/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9c/cancel").await.status, 404);
}

#[tokio::test]
async fn an_onboarding_that_is_given_up_late_is_followed_by_an_offboarding() {
    let api = Served::new().await;
    let (tenant, path) = parked(&api).await;
    sqlx::query("update operation_steps set intent = '{}', intent_at = now()")
        .execute(&api.database.pool)
        .await
        .expect("asked for");
    let canceled = api.post(&format!("{path}/cancel")).await;
    assert_eq!(canceled.status, 202, "{}", canceled.text);
    let following = canceled.json();
    assert_eq!(following["kind"], "offboard");
    assert_eq!(canceled.header("location"), format!("/v1/operations/{}", following["id"].as_str().unwrap()));
    assert_eq!(api.get(&path).await.json()["state"], "canceled");
    let tenant = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(tenant["state"], "offboarding");
    let refused = api.post(&format!("{}/cancel", canceled.header("location"))).await;
    assert_eq!(refused.outcome(), (409, "operation_not_cancelable".into()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("restoring"), "{}", refused.text);
}
