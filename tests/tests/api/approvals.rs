//! Tests of approvals: the requests that need one, the persons who can approve, and the responses about it.

use chrono::TimeDelta;
use freehold_tenancy::attention::Remedy;
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot;
use reqwest::Method;
use serde_json::{Value, json};

const TIERS: &str =
    "[[tiers]]\nname = \"careful\"\napproval = \"required\"\n[[tiers]]\nname = \"strict\"\napproval = \"required\"";
const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);

async fn api() -> ApiFixture {
    ApiFixture::with_config(TIERS).await
}

async fn patch(api: &ApiFixture, tenant: &Value, body: &Value) -> ApiResponse {
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    send(api.request(Method::PATCH, &path).header("If-Match", "*").json(body)).await
}

async fn decide(api: &ApiFixture, approval: &Value, action: &str, sub: &str, reason: Option<&str>) -> ApiResponse {
    let path = format!("/v1/approvals/{}/{action}", approval["id"].as_str().unwrap());
    let mut body = json!({ "request_hash": approval["request_hash"] });
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    api.send_as(sub, Method::POST, &path, &body).await
}

async fn tier(api: &ApiFixture, tenant: &Value) -> Value {
    api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json()["tier"].clone()
}

/// Returns the ids of the approvals in a state, newest first.
async fn ids_in_state(api: &ApiFixture, state: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/approvals?state={state}")).await.json();
    page["approvals"].as_array().unwrap().iter().map(|approval| approval["id"].clone()).collect()
}

#[tokio::test]
async fn a_change_to_a_tier_with_approval_waits_for_a_second_person() {
    let api = api().await;
    let tenant = api.sign_up(&signup_body()).await;
    let asked = patch(&api, &tenant, &json!({ "tier": "careful" })).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let approval = asked.json();
    assert_eq!(asked.header("location"), format!("/v1/approvals/{}", approval["id"].as_str().unwrap()));
    assert_eq!((&approval["action"], &approval["state"]), (&json!("change_tier"), &json!("pending")));
    let request = json!({ "tenant_id": tenant["id"], "from": "standard", "tier": "careful" });
    assert_eq!((&approval["request"], &approval["requested_by"]), (&request, &json!("ann")));
    assert_eq!((&approval["tenant_id"], &approval["operation_id"]), (&tenant["id"], &Value::Null));
    assert_eq!(tier(&api, &tenant).await, "standard", "the tier was changed by one person");
    assert_eq!(api.get(asked.header("location")).await.json(), approval);
    assert_eq!(ids_in_state(&api, "pending").await, [approval["id"].clone()]);

    let again = patch(&api, &tenant, &json!({ "tier": "careful" })).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (202, &approval["id"]), "a repetition asks twice");
    let other = patch(&api, &tenant, &json!({ "tier": "strict" })).await;
    assert_eq!(other.status_and_code(), (409, "approval_pending".into()));
    let mixed = patch(&api, &tenant, &json!({ "tier": "careful", "company_name": "Other GmbH" })).await;
    assert_eq!((mixed.status.as_u16(), &mixed.json()["errors"][0]["field"]), (422, &json!("tier")));

    let own = decide(&api, &approval, "approve", "ann", None).await;
    assert_eq!(own.status_and_code(), (403, "approver_is_requester".into()));
    let wrong = json!({ "id": approval["id"], "request_hash": "0".repeat(64) });
    let wrong = decide(&api, &wrong, "approve", "bob", None).await;
    assert_eq!(wrong.status_and_code(), (409, "approval_not_pending".into()));
    assert_eq!(tier(&api, &tenant).await, "standard");

    let approved = decide(&api, &approval, "approve", "bob", Some("The contract is signed.")).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let approved = approved.json();
    assert_eq!((&approved["state"], &approved["decided_by"]), (&json!("approved"), &json!("bob")));
    assert_eq!(approved["reason"], "The contract is signed.");
    assert_eq!((tier(&api, &tenant).await, &approved["outcome"]), (json!("careful"), &json!("The tier was changed.")));
    let twice = decide(&api, &approval, "approve", "bob", None).await;
    assert_eq!(twice.status_and_code(), (409, "approval_not_pending".into()));
    let events = api.get("/v1/events?after=0").await.json();
    let types: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    for expected in ["tenant.approval.requested", "tenant.approval.granted", "tenant.updated"] {
        assert_eq!(types.iter().filter(|one| *one == expected).count(), 1, "{expected}: {types:?}");
    }
}

#[tokio::test]
async fn a_change_of_the_tier_is_rejected_or_expires() {
    let api = api().await;
    let tenant = api.sign_up(&signup_body()).await;
    let ask = async |tier: &str| patch(&api, &tenant, &json!({ "tier": tier })).await.json();
    let first = ask("careful").await;
    // The requester may withdraw the request.
    let rejected = decide(&api, &first, "reject", "ann", Some("A mistake.")).await.json();
    assert_eq!((&rejected["state"], &rejected["reason"]), (&json!("rejected"), &json!("A mistake.")));
    let second = ask("careful").await;
    assert_ne!(second["request_hash"], first["request_hash"], "an old hash decides on a new request");
    // The tenant gets another tier than the requested one.
    assert_eq!(patch(&api, &tenant, &json!({ "tier": "enterprise" })).await.status, 200);
    let late = decide(&api, &second, "approve", "bob", None).await;
    assert_eq!(late.status_and_code(), (409, "approval_not_pending".into()));
    assert_eq!(tier(&api, &tenant).await, "enterprise");
    let third = ask("strict").await;
    let removed = api.delete(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await;
    assert_eq!(removed.status, 202, "the tenant, which has no account yet, is offboarded at once");
    assert_eq!(ids_in_state(&api, "expired").await, [third["id"].clone(), second["id"].clone()]);
    assert_eq!(ids_in_state(&api, "rejected").await, [first["id"].clone()]);
    assert_eq!(ids_in_state(&api, "pending").await, [Value::Null; 0]);
    let unknown = api.get("/v1/approvals?state=open").await;
    assert_eq!(unknown.status_and_code(), (400, "invalid_query".into()));
    for path in ["/v1/approvals/apr_01k2m8v3x9e7rt4s5q6w7y8z9b", "/v1/approvals/4711"] {
        assert_eq!(api.get(path).await.status_and_code(), (404, "approval_not_found".into()));
    }
}

#[tokio::test]
async fn a_tier_that_is_not_possible_any_more_is_not_approved() {
    let mut api = api().await;
    let tenant = api.sign_up(&signup_body()).await;
    let approval = patch(&api, &tenant, &json!({ "tier": "strict" })).await.json();
    api.restart_with(|config| config.tiers.retain(|tier| tier.name.as_str() != "strict")).await;
    let outdated = decide(&api, &approval, "approve", "bob", None).await;
    assert_eq!(outdated.status_and_code(), (409, "approval_outdated".into()));
    assert_eq!(decide(&api, &approval, "reject", "bob", Some("It is gone.")).await.status, 200);
}

#[tokio::test]
async fn an_approval_of_an_operation_shows_who_decided_and_why() {
    let api = api().await;
    for (action, state, reason) in [
        ("approve", "approved", Some("It is the account of the pilot.")),
        ("reject", "rejected", Some("It is another company's.")),
        // A client of the previous version sends no reason.
        ("reject", "rejected", None),
    ] {
        let tenant = api.sign_up(&signup_body()).await;
        api.park_with_remedies("account_email_taken", &[Remedy::Adopt]).await;
        let operation = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
        let request = json!({ "aws_account_id": "777788889999" });
        let asked = api.send_as("ann", Method::POST, &format!("{operation}/adopt"), &request).await.json();
        let asked = &asked["approvals"][0];
        let path = format!("/v1/approvals/{}", asked["id"].as_str().unwrap());
        let shown = api.get(&path).await.json();
        assert_eq!((&shown["company_name"], &shown["environment"]), (&json!("Example GmbH"), &json!("production")));
        assert_eq!(
            (&shown["operation_kind"], &shown["request"]),
            (&json!("onboard"), &json!({ "adopt_account_id": "777788889999" }))
        );

        let mut body = json!({ "request_hash": asked["request_hash"] });
        if let Some(reason) = reason {
            body["reason"] = reason.into();
        }
        let decided = api.send_as("bob", Method::POST, &format!("{operation}/{action}"), &body).await;
        assert_eq!(decided.status, 202, "{}", decided.text);
        let decided = api.get(&path).await.json();
        assert_eq!((&decided["state"], &decided["decided_by"]), (&json!(state), &json!("bob")));
        assert_eq!(decided["reason"], json!(reason));
        assert_eq!(api.get(&operation).await.json()["approvals"][0]["reason"], json!(reason));
        assert!(decided["outcome"].as_str().unwrap().contains("has the state"), "{decided}");
        let too_long = json!({ "request_hash": asked["request_hash"], "reason": "x".repeat(501) });
        let too_long = api.send_as("bob", Method::POST, &format!("{path}/{action}"), &too_long).await;
        assert_eq!((too_long.status.as_u16(), &too_long.json()["errors"][0]["field"]), (422, &json!("reason")));
        sqlx::query(
            "update operations set wake_at = null, state = 'canceled', finished_at = updated_at,
                attention_code = null, attention_message = null, attention_remedies = null",
        )
        .execute(&api.database.pool)
        .await
        .unwrap();
    }
    let own = api.get(&format!("/v1/approvals?tenant={}", "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")).await.json();
    assert_eq!(own["approvals"], json!([]));
    let all = api.get("/v1/approvals?page_size=2").await.json();
    assert_eq!((all["approvals"].as_array().unwrap().len(), all["next_page_token"].is_string()), (2, true));
}

/// Request of one person who tries to get an account without approval: method, path and body. The placeholders stand
/// for the tenant, its first operation, and its latest approval with the hash.
type Try = (Method, &'static str, Value);

/// Sends the requests of one person with all scopes, and lets a worker run after each of them. Returns the number of
/// account requests and the tier of the tenant.
async fn attempt(signup_tier: &str, tries: &[Try]) -> (usize, String) {
    let config = format!("{CONFIG}{TIERS}");
    let freehold = Freehold::instant().await.with_config(&config);
    let api = ApiFixture::of(&freehold, &config).await;
    let worker = freehold.worker("worker-1");
    let tenant = api.sign_up(&signup_body_with(json!({ "tier": signup_tier }))).await;
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    for (index, (method, path, body)) in tries.iter().enumerate() {
        let approvals = api.get("/v1/approvals").await.json();
        let latest = &approvals["approvals"][0];
        let text = |text: &str| {
            text.replace("{tenant}", tenant["id"].as_str().unwrap())
                .replace("{operation}", operation)
                .replace("{approval}", latest["id"].as_str().unwrap_or("none"))
                .replace("{hash}", latest["request_hash"].as_str().unwrap_or("none"))
        };
        let body: Value = serde_json::from_str(&text(&body.to_string())).unwrap();
        let request = api.request(method.clone(), &text(path)).header("If-Match", "*");
        let request = request.header("Idempotency-Key", format!("key-{index}"));
        let response = send(if body.is_null() { request } else { request.json(&body) }).await;
        assert!(response.status.as_u16() < 500, "{method} {path}: {}", response.text);
        // The first request comes before a worker has seen the operation.
        if index > 0 {
            freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
        }
    }
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let tier = tier(&api, &tenant).await.as_str().unwrap().to_owned();
    (world_snapshot::account_requests(&freehold.world), tier)
}

#[tokio::test]
async fn one_person_does_not_get_around_the_approval() {
    let to = |tier: &str| (Method::PATCH, "/v1/tenants/{tenant}", json!({ "tier": tier }));
    let post = |path: &'static str, body: Value| (Method::POST, path, body);
    let staging = || post("/v1/tenants/{tenant}/environments", json!({ "name": "staging" }));
    let approve = || post("/v1/approvals/{approval}/approve", json!({ "request_hash": "{hash}" }));
    let approve_operation = || post("/v1/operations/{operation}/approve", json!({ "request_hash": "{hash}" }));
    let retry = || post("/v1/operations/{operation}/retry", Value::Null);
    let rename = || (Method::PATCH, "/v1/tenants/{tenant}", json!({ "company_name": "Renamed GmbH" }));
    let suspend = || post("/v1/tenants/{tenant}/suspend", json!({ "reason": "abuse" }));
    let resume = || post("/v1/tenants/{tenant}/resume", json!({ "reason": "A mistake." }));
    let correct = || post("/v1/operations/{operation}/retry", json!({ "account_email": "aws+other@example.com" }));
    let adopt = || post("/v1/operations/{operation}/adopt", json!({ "aws_account_id": "777788889999" }));
    let offboard = || (Method::DELETE, "/v1/tenants/{tenant}", Value::Null);
    let restore = || post("/v1/tenants/{tenant}/restore", Value::Null);
    let upgrade = || post("/v1/tenants/{tenant}/environments/production/baseline-upgrades", Value::Null);
    let cases: Vec<(&str, Vec<Try>, (usize, &str))> = vec![
        // An account of the tier `standard` needs no approval, but the tier does not change.
        ("standard", vec![to("careful")], (1, "standard")),
        ("standard", vec![to("careful"), approve()], (1, "standard")),
        ("standard", vec![to("careful"), staging()], (2, "standard")),
        ("standard", vec![to("enterprise"), to("careful"), to("strict")], (1, "enterprise")),
        // The account was requested in a tier that requires approval.
        ("careful", vec![to("standard")], (0, "standard")),
        ("careful", vec![rename(), to("standard"), retry()], (0, "standard")),
        ("careful", vec![to("standard"), to("careful"), approve()], (0, "standard")),
        ("careful", vec![rename(), approve(), approve_operation(), retry()], (0, "careful")),
        ("careful", vec![to("standard"), approve(), retry()], (0, "standard")),
        ("careful", vec![rename(), staging()], (0, "careful")),
        ("careful", vec![to("strict"), approve(), to("standard")], (0, "standard")),
        ("careful", vec![rename(), suspend(), to("standard"), resume()], (0, "standard")),
        ("careful", vec![suspend(), to("standard"), resume(), retry()], (0, "standard")),
        ("careful", vec![rename(), correct(), adopt(), approve()], (0, "careful")),
        ("careful", vec![to("standard"), offboard(), restore()], (0, "standard")),
        ("careful", vec![rename(), upgrade(), retry()], (0, "careful")),
        // Only the second environment belongs to the tier `standard`.
        ("careful", vec![to("standard"), staging()], (1, "standard")),
    ];
    assert_eq!(cases.len(), 17);
    for (signup_tier, tries, expected) in cases {
        let (accounts, tier) = attempt(signup_tier, &tries).await;
        assert_eq!((accounts, tier.as_str()), expected, "signup in {signup_tier}, then {tries:?}");
    }
}

#[tokio::test]
async fn a_changed_configuration_does_not_change_what_was_accepted() {
    let with_approval = format!("{CONFIG}\napproval = \"required\"");
    for (accepted_with, run_with, accounts) in [(&*with_approval, CONFIG, 0), (CONFIG, &*with_approval, 1)] {
        let freehold = Freehold::instant().await.with_config(accepted_with);
        let api = ApiFixture::of(&freehold, accepted_with).await;
        let tenant = api.sign_up(&signup_body_with(json!({ "tier": "enterprise" }))).await;
        let freehold = freehold.with_config(run_with);
        freehold.run_until_idle(&freehold.worker("worker-1"), HALF_AN_HOUR).await;
        assert_eq!(world_snapshot::account_requests(&freehold.world), accounts);
        let pending = ids_in_state(&api, "pending").await.len();
        assert_eq!(pending, 1 - accounts, "{tenant}");
    }
}
