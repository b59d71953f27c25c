//! Letting tenants go, bringing them back, and holding on to them.

use freehold_tests::api_fixture::{Served, send, signup, signup_with};
use reqwest::Method;
use serde_json::{Value, json};

/// A tenant that is ready, and where it is.
async fn ready(api: &Served, account: &str) -> String {
    let tenant = api.signed_up(&signup()).await;
    api.succeed(account).await;
    format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_tenant_is_let_go_and_brought_back() {
    let api = Served::new().await;
    let tenant = ready(&api, "111122223333").await;
    let restore = format!("{tenant}/restore");
    assert_eq!(api.post(&restore).await.outcome(), (409, "not_restorable".into()));

    let gone = api.delete(&tenant).await;
    assert_eq!((gone.status.as_u16(), gone.header("location")), (202, tenant.as_str()));
    assert_eq!(gone.json()["state"], "offboarding");
    let operation = gone.json()["environments"][0]["operation_id"].clone();
    let again = api.delete(&tenant).await;
    assert_eq!((again.status.as_u16(), &again.json()["environments"][0]["operation_id"]), (202, &operation));
    let shown = api.get(&format!("/v1/operations/{}", operation.as_str().unwrap())).await.json();
    assert_eq!((&shown["kind"], &shown["approvals"]), (&json!("offboard"), &json!([])));

    let back = api.post(&restore).await;
    assert_eq!((back.status.as_u16(), &back.json()["state"]), (202, &json!("restoring")));
    let ended = api.get(&format!("/v1/operations/{}", operation.as_str().unwrap())).await.json();
    assert_eq!(ended["state"], "canceled");
    assert_eq!(api.post(&restore).await.status, 202, "asking twice is asking once");
    // The mapping held all the while.
    let mappings = api.get("/v1/account-mappings").await.json();
    assert_eq!(mappings["account_mappings"][0]["aws_account_id"], "111122223333", "{mappings}");
}

#[tokio::test]
async fn closing_an_account_waits_for_another_persons_approval() {
    let api = Served::new().await;
    let tenant = ready(&api, "111122223333").await;
    let unclear = api.delete(&format!("{tenant}?close_account=perhaps")).await;
    assert_eq!(unclear.outcome(), (400, "invalid_query".into()));
    assert_eq!(unclear.json()["errors"][0]["field"], "close_account");
    assert_eq!(api.get(&tenant).await.json()["state"], "ready");

    let gone = api.delete(&format!("{tenant}?close_account=true")).await;
    assert_eq!(gone.status, 202, "{}", gone.text);
    let path = format!("/v1/operations/{}", gone.json()["environments"][0]["operation_id"].as_str().unwrap());
    let approval = api.get(&path).await.json()["approvals"][0].clone();
    assert_eq!((&approval["action"], &approval["state"]), (&json!("close"), &json!("pending")));
    let hash = json!({ "request_hash": approval["request_hash"] });
    let own = api.as_person("ann", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(own.outcome(), (403, "approver_is_requester".into()));
    let approved = api.as_person("bob", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(approved.json()["approvals"][0]["state"], "approved", "{}", approved.text);
}

#[tokio::test]
async fn one_environment_goes_and_its_name_can_be_given_again_only_when_it_is_gone() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup_with(json!({ "environments": ["production", "staging"] }))).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let gone = api.delete(&format!("{path}/environments/staging")).await;
    assert_eq!(gone.status, 202, "{}", gone.text);
    let states: Vec<Value> =
        gone.json()["environments"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["onboarding", "offboarded"], "no account had been asked for");
    for unknown in ["test", "Not a name"] {
        let missing = api.delete(&format!("{path}/environments/{unknown}")).await;
        assert_eq!(missing.outcome(), (404, "environment_not_found".into()));
    }
    assert_eq!(
        api.delete("/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b").await.outcome(),
        (404, "tenant_not_found".into())
    );
}

#[tokio::test]
async fn a_legal_hold_is_shown_and_keeps_a_tenant() {
    let api = Served::new().await;
    let tenant = ready(&api, "111122223333").await;
    let hold = format!("{tenant}/legal-hold");
    for unfit in ["", "   ", &"x".repeat(501), "a\u{0}b"] {
        let refused = api.as_person("ann", Method::PUT, &hold, &json!({ "reason": unfit })).await;
        assert_eq!(refused.outcome(), (422, "validation_failed".into()), "{unfit}");
        assert_eq!(refused.json()["errors"][0]["field"], "reason");
    }
    let held = api.as_person("ann", Method::PUT, &hold, &json!({ "reason": "Case 4711." })).await;
    assert_eq!(held.status, 200, "{}", held.text);
    assert!(held.text.contains("Case 4711."), "{}", held.text);
    for path in [tenant.clone(), format!("{tenant}/environments/production")] {
        let refused = api.delete(&path).await;
        assert_eq!(refused.outcome(), (409, "legal_hold".into()));
        assert!(refused.json()["detail"].as_str().unwrap().contains("Case 4711."));
    }
    assert_eq!(api.get(&tenant).await.json()["state"], "ready");
    let lifted = api.delete(&hold).await;
    assert_eq!(lifted.status, 200);
    assert!(!lifted.text.contains("Case 4711."), "{}", lifted.text);
    assert_eq!(api.delete(&hold).await.status, 200, "that there is none is a success");
    assert_eq!(api.delete(&tenant).await.status, 202);
}

#[tokio::test]
async fn whoever_is_gone_is_forgotten() {
    let api = Served::new().await;
    let body = signup_with(json!({ "admin_email": "ada.lovelace@example.com" }));
    let tenant = send(api.signup("7f3a", &body)).await.json();
    let traces = async || {
        let mut traces = Vec::new();
        let tables = "select tablename::text from pg_tables where schemaname = 'public' order by tablename";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&api.database.pool).await.unwrap();
        for table in tables {
            let named = format!("select exists (select from {table} t where t::text like '%lovelace%')");
            if sqlx::query_scalar(sqlx::AssertSqlSafe(named)).fetch_one(&api.database.pool).await.unwrap() {
                traces.push(table);
            }
        }
        traces
    };
    assert_eq!(traces().await, ["idempotency_keys", "tenants"]);
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let hold =
        send(api.request(Method::PUT, &format!("{path}/legal-hold")).json(&json!({ "reason": "a lawsuit" }))).await;
    assert_eq!(hold.status, 200, "{}", hold.text);
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    let cancel = format!("/v1/operations/{operation}/cancel");
    assert_eq!(api.post(&cancel).await.outcome(), (409, "legal_hold".into()));
    assert_eq!(traces().await, ["idempotency_keys", "tenants"], "a legal hold keeps everything");
    assert_eq!(api.delete(&format!("{path}/legal-hold")).await.status, 200);
    assert_eq!(api.post(&cancel).await.status, 202);
    assert_eq!(traces().await, Vec::<String>::new());
    let gone = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    assert_eq!(
        (&gone["state"], &gone["admin_email"], &gone["company_name"]),
        (&json!("offboarded"), &Value::Null, &json!("Example GmbH"))
    );
    let again = send(api.signup("7f3a", &body)).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["id"]),
        (202, &tenant["id"]),
        "its signup is still the same signup"
    );
}
