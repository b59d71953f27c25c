//! Tests of offboarding, restore and legal holds.

use freehold_tests::api_fixture::{ApiFixture, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

/// Creates a ready tenant, and returns its path in the API.
async fn create_ready_tenant(api: &ApiFixture, account: &str) -> String {
    let tenant = api.sign_up(&signup_body()).await;
    api.succeed_operation(account).await;
    format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_tenant_is_offboarded_and_restored() {
    let api = ApiFixture::new().await;
    let tenant = create_ready_tenant(&api, "111122223333").await;
    let restore = format!("{tenant}/restore");
    assert_eq!(api.post(&restore).await.status_and_code(), (409, "not_restorable".into()));

    let offboarded = api.delete(&tenant).await;
    assert_eq!((offboarded.status.as_u16(), offboarded.header("location")), (202, tenant.as_str()));
    assert_eq!(offboarded.json()["state"], "offboarding");
    let operation = offboarded.json()["environments"][0]["operation_id"].clone();
    let again = api.delete(&tenant).await;
    assert_eq!((again.status.as_u16(), &again.json()["environments"][0]["operation_id"]), (202, &operation));
    let shown = api.get(&format!("/v1/operations/{}", operation.as_str().unwrap())).await.json();
    assert_eq!((&shown["kind"], &shown["approvals"]), (&json!("offboard"), &json!([])));

    let restored = api.post(&restore).await;
    assert_eq!((restored.status.as_u16(), &restored.json()["state"]), (202, &json!("restoring")));
    let finished = api.get(&format!("/v1/operations/{}", operation.as_str().unwrap())).await.json();
    assert_eq!(finished["state"], "canceled");
    assert_eq!(api.post(&restore).await.status, 202, "a repeated restore is idempotent");
    // The mapping stayed valid during the offboarding.
    let mappings = api.get("/v1/account-mappings").await.json();
    assert_eq!(mappings["account_mappings"][0]["aws_account_id"], "111122223333", "{mappings}");
}

#[tokio::test]
async fn closing_an_account_requires_approval_by_a_second_person() {
    let api = ApiFixture::new().await;
    let tenant = create_ready_tenant(&api, "111122223333").await;
    let unclear = api.delete(&format!("{tenant}?close_account=perhaps")).await;
    assert_eq!(unclear.status_and_code(), (400, "invalid_query".into()));
    assert_eq!(unclear.json()["errors"][0]["field"], "close_account");
    assert_eq!(api.get(&tenant).await.json()["state"], "ready");

    let offboarded = api.delete(&format!("{tenant}?close_account=true")).await;
    assert_eq!(offboarded.status, 202, "{}", offboarded.text);
    let path = format!("/v1/operations/{}", offboarded.json()["environments"][0]["operation_id"].as_str().unwrap());
    let approval = api.get(&path).await.json()["approvals"][0].clone();
    assert_eq!((&approval["action"], &approval["state"]), (&json!("close"), &json!("pending")));
    let hash = json!({ "request_hash": approval["request_hash"] });
    let own = api.send_as("ann", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(own.status_and_code(), (403, "approver_is_requester".into()));
    let approved = api.send_as("bob", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(approved.json()["approvals"][0]["state"], "approved", "{}", approved.text);
}

#[tokio::test]
async fn an_environment_name_is_reusable_only_after_offboarding() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({ "environments": ["production", "staging"] }))).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let offboarded = api.delete(&format!("{path}/environments/staging")).await;
    assert_eq!(offboarded.status, 202, "{}", offboarded.text);
    let states: Vec<Value> =
        offboarded.json()["environments"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["onboarding", "offboarded"], "no account was requested");
    for unknown in ["test", "Not a name"] {
        let missing = api.delete(&format!("{path}/environments/{unknown}")).await;
        assert_eq!(missing.status_and_code(), (404, "environment_not_found".into()));
    }
    assert_eq!(
        api.delete("/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b").await.status_and_code(),
        (404, "tenant_not_found".into())
    );
}

#[tokio::test]
async fn a_legal_hold_is_shown_and_prevents_offboarding() {
    let api = ApiFixture::new().await;
    let tenant = create_ready_tenant(&api, "111122223333").await;
    let hold = format!("{tenant}/legal-hold");
    for unfit in ["", "   ", &"x".repeat(501), "a\u{0}b"] {
        let refused = api.send_as("ann", Method::PUT, &hold, &json!({ "reason": unfit })).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{unfit}");
        assert_eq!(refused.json()["errors"][0]["field"], "reason");
    }
    let legal_hold = api.send_as("ann", Method::PUT, &hold, &json!({ "reason": "Case 4711." })).await;
    assert_eq!(legal_hold.status, 200, "{}", legal_hold.text);
    assert!(legal_hold.text.contains("Case 4711."), "{}", legal_hold.text);
    for path in [tenant.clone(), format!("{tenant}/environments/production")] {
        let refused = api.delete(&path).await;
        assert_eq!(refused.status_and_code(), (409, "legal_hold".into()));
        assert!(refused.json()["detail"].as_str().unwrap().contains("Case 4711."));
    }
    assert_eq!(api.get(&tenant).await.json()["state"], "ready");
    let lifted = api.delete(&hold).await;
    assert_eq!(lifted.status, 200);
    assert!(!lifted.text.contains("Case 4711."), "{}", lifted.text);
    assert_eq!(api.delete(&hold).await.status, 200, "deleting an absent legal hold succeeds");
    assert_eq!(api.delete(&tenant).await.status, 202);
}

#[tokio::test]
async fn personal_data_of_an_offboarded_tenant_is_erased() {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({ "admin_email": "ada.lovelace@example.com" }));
    let tenant = send(api.signup_request("7f3a", &body)).await.json();
    let tables_with_name = async || {
        let mut tables_with_name = Vec::new();
        let tables = "select tablename::text from pg_tables where schemaname = 'public' order by tablename";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&api.database.pool).await.unwrap();
        for table in tables {
            let query = format!("select exists (select from {table} t where t::text like '%lovelace%')");
            if sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&api.database.pool).await.unwrap() {
                tables_with_name.push(table);
            }
        }
        tables_with_name
    };
    assert_eq!(tables_with_name().await, ["idempotency_keys", "search_entries", "tenants"]);
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let hold =
        send(api.request(Method::PUT, &format!("{path}/legal-hold")).json(&json!({ "reason": "a lawsuit" }))).await;
    assert_eq!(hold.status, 200, "{}", hold.text);
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    let cancel = format!("/v1/operations/{operation}/cancel");
    assert_eq!(api.post(&cancel).await.status_and_code(), (409, "legal_hold".into()));
    assert_eq!(
        tables_with_name().await,
        ["idempotency_keys", "search_entries", "tenants"],
        "a legal hold prevents the erasure"
    );
    assert_eq!(api.delete(&format!("{path}/legal-hold")).await.status, 200);
    assert_eq!(api.post(&cancel).await.status, 202);
    assert_eq!(tables_with_name().await, Vec::<String>::new());
    let offboarded = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(
        (&offboarded["state"], &offboarded["admin_email"], &offboarded["company_name"]),
        (&json!("offboarded"), &Value::Null, &json!("Example GmbH"))
    );
    let again = send(api.signup_request("7f3a", &body)).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["id"]),
        (202, &tenant["id"]),
        "the signup is no longer recognised"
    );
}
