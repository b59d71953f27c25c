//! Tests of environments that are added after the signup.

use freehold_tenancy::baseline::BaselineVersion;
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

async fn add(api: &ApiFixture, tenant: &str, key: &str, body: &Value) -> ApiResponse {
    let request = api.request(Method::POST, &format!("{tenant}/environments"));
    send(request.header("Idempotency-Key", key).json(body)).await
}

async fn tenant(api: &ApiFixture) -> String {
    format!("/v1/tenants/{}", api.sign_up(&signup_body()).await["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_repeated_request_adds_one_environment() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let body = json!({ "name": "staging" });
    let added = add(&api, &tenant, "one", &body).await;
    assert_eq!(added.status, 202, "{}", added.text);
    assert_eq!(added.header("location"), format!("{tenant}/environments/staging"));
    let environment = added.json();
    assert_eq!((&environment["state"], &environment["home_region"]), (&json!("onboarding"), &json!("eu-central-1")));
    let again = add(&api, &tenant, "one", &body).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&added.text, "true"));
    let reused = add(&api, &tenant, "one", &json!({ "name": "test" })).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused".into()));
    let same_name = add(&api, &tenant, "two", &body).await;
    assert_eq!(same_name.status_and_code(), (409, "environment_exists".into()));

    let shown = api.get(&format!("{tenant}/environments/staging")).await.json();
    assert_eq!(shown, environment);
    let operation = api.get(&format!("/v1/operations/{}", environment["operation_id"].as_str().unwrap())).await.json();
    assert_eq!((&operation["kind"], &operation["environment"]), (&json!("onboard"), &json!("staging")));
    assert_eq!(operation["queue"]["position"], 2);
    assert_eq!(api.get(&tenant).await.json()["environments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sixty_four_identical_requests_add_one_environment() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let body = json!({ "name": "staging", "home_region": "us-east-1" });
    let requests = (0..64).map(|_| add(&api, &tenant, "one", &body));
    for response in futures::future::join_all(requests).await {
        let outcome = response.status_and_code();
        let in_flight = outcome == (409, "idempotency_key_in_flight".to_owned());
        assert!(in_flight || response.status == 202, "{outcome:?}: {}", response.text);
    }
    let environments = api.get(&tenant).await.json()["environments"].clone();
    assert_eq!(environments.as_array().unwrap().len(), 2);
    assert_eq!(environments[1]["home_region"], "us-east-1");
}

#[tokio::test]
async fn invalid_fields_are_reported_and_nothing_is_written() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let before = api.row_counts().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "Staging" }), "name"),
        (json!({ "name": "x".repeat(33) }), "name"),
        (json!({ "name": 7 }), "name"),
        (json!({ "name": "staging", "home_region": "mars-north-1" }), "home_region"),
        (json!({ "name": "staging", "home_region": "ap-northeast-1" }), "home_region"),
        (json!({ "name": "staging", "home_region": "us-east-1", "residency": "eu" }), "home_region"),
        (json!({ "name": "staging", "residency": "us" }), "home_region"),
        (json!({ "name": "staging", "residency": "mars" }), "residency"),
        (json!({ "name": "staging", "size": "large" }), "size"),
    ] {
        let refused = add(&api, &tenant, "one", &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let without = api.send_as("ann", Method::POST, &format!("{tenant}/environments"), &json!({ "name": "test" })).await;
    assert_eq!(without.status_and_code(), (400, "idempotency_key_required".into()));
    let unknown = add(&api, "/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b", "one", &json!({ "name": "staging" })).await;
    assert_eq!(unknown.status_and_code(), (404, "tenant_not_found".into()));
    assert_eq!(api.row_counts().await, before);
}

#[tokio::test]
async fn the_residency_of_a_request_must_contain_its_home_region() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    let outside = json!({ "name": "staging", "home_region": "us-east-1", "residency": "eu" });
    let refused = add(&api, &tenant, "one", &outside).await;
    let error = refused.json()["errors"][0].clone();
    assert_eq!(error["code"], "region_outside_residency", "{}", refused.text);
    assert_eq!(error["message"], "us-east-1 belongs to the residency us, not to eu");
    let within = json!({ "name": "staging", "home_region": "eu-west-1", "residency": "eu" });
    let added = add(&api, &tenant, "one", &within).await.json();
    assert_eq!((&added["residency"], &added["home_region"]), (&json!("eu"), &json!("eu-west-1")));
}

#[tokio::test]
async fn a_dry_run_previews_an_environment_and_writes_nothing() {
    let api = ApiFixture::with_config("accounts_per_day = 3").await;
    let tenant = tenant(&api).await;
    let rows = api.row_counts().await;
    let claims = json!({ "tenant_id": tenant.rsplit('/').next().unwrap() });
    let dry_run = async |body: Value, claims: &Value| {
        let request = api.request_without_token(Method::POST, &format!("{tenant}/environments?dry_run=true"));
        send(request.bearer_auth(api.issuer.token_with(ALL_SCOPES, claims)).json(&body)).await
    };
    let body = json!({ "name": "staging", "home_region": "us-east-1" });
    let response = dry_run(body.clone(), &json!({})).await;
    assert_eq!(response.status, 200, "{}", response.text);
    let preview = response.json();
    let named = |name: &str| preview[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        ["name", "tier", "residency", "home_region", "organizational_unit", "guardrail", "stack"].map(named),
        ["staging", "standard", "us", "us-east-1", "freehold-us", "freehold-region-us", "freehold-tenant"]
    );
    assert_eq!((&preview["accepted"], &preview["collisions"]), (&json!(true), &json!([])));
    assert_eq!(preview["queue"]["position"], 2, "the onboarding of the first environment is queued already");

    let of_tenant = dry_run(body.clone(), &claims).await;
    assert_eq!(of_tenant.json()["accepted"], true);
    assert!(!of_tenant.text.contains("freehold-"), "a tenant sees the organisation: {}", of_tenant.text);

    let taken = dry_run(json!({ "name": "production" }), &json!({})).await.json();
    assert_eq!((&taken["accepted"], &taken["collisions"][0]["field"]), (&json!(false), &json!("name")));
    let refused = dry_run(json!({ "name": "staging", "residency": "us" }), &json!({})).await;
    assert_eq!(refused.status_and_code(), (422, "validation_failed".into()));
    assert_eq!(api.row_counts().await, rows, "the dry run wrote rows");

    // Only refusals are recorded in the audit trail.
    let records = api.get("/v1/audit-events?page_size=1000").await.json();
    let records = records["audit_events"].as_array().unwrap();
    assert!(records.iter().all(|event| event["record"]["outcome"]["status"] != 200), "{records:#?}");

    // The request itself gives the same result.
    let added = add(&api, &tenant, "one", &body).await.json();
    assert_eq!((&added["residency"], &added["home_region"]), (&preview["residency"], &preview["home_region"]));
    assert_eq!(add(&api, &tenant, "two", &json!({ "name": "test" })).await.status, 202);
    let exhausted = dry_run(json!({ "name": "more" }), &json!({})).await.json();
    assert_eq!(exhausted["accepted"], false);
    assert!(exhausted["accounts_exhausted_until"].is_string(), "{exhausted}");
    api.delete(&tenant).await;
    let gone = dry_run(json!({ "name": "more" }), &json!({})).await;
    assert_eq!(gone.status_and_code(), (409, "tenant_offboarded".into()));
}

/// Returns the state of the only tenant, which the list filters by the same state.
async fn tenant_state(api: &ApiFixture, tenant: &str) -> String {
    let state = api.get(tenant).await.json()["state"].as_str().unwrap().to_owned();
    for filter in ["onboarding", "ready", "needs_attention"] {
        let page = api.get(&format!("/v1/tenants?state={filter}")).await.json();
        assert_eq!(page["tenants"].as_array().unwrap().len(), usize::from(state == filter), "{filter}, {state}");
    }
    state
}

#[tokio::test]
async fn a_ready_tenant_stays_ready_while_an_environment_is_added() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    api.succeed_operation("111122223333").await;
    assert_eq!(tenant_state(&api, &tenant).await, "ready");
    let added = add(&api, &tenant, "one", &json!({ "name": "staging" })).await;
    assert_eq!(added.json()["state"], "onboarding");
    assert_eq!(tenant_state(&api, &tenant).await, "ready");
    api.park("account_email_taken").await;
    assert_eq!(tenant_state(&api, &tenant).await, "needs_attention", "a person must act");
}

#[tokio::test]
async fn a_tenant_is_onboarding_until_its_whole_signup_is_ready() {
    let api = ApiFixture::new().await;
    let signup = api.sign_up(&signup_body_with(json!({ "environments": ["production", "staging"] }))).await;
    let tenant = format!("/v1/tenants/{}", signup["id"].as_str().unwrap());
    let finish = async |name: &str| {
        let update = sqlx::query("update environments set state = 'ready', ready_at = created_at where name = $1");
        update.bind(name).execute(&api.database.pool).await.unwrap();
    };
    finish("production").await;
    assert_eq!(tenant_state(&api, &tenant).await, "onboarding");
    assert_eq!(add(&api, &tenant, "one", &json!({ "name": "test" })).await.status, 202);
    finish("staging").await;
    assert_eq!(tenant_state(&api, &tenant).await, "ready");
}

#[tokio::test]
async fn environments_are_limited_to_twenty_and_to_active_tenants() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    for number in 2..=20 {
        let added = add(&api, &tenant, &format!("key-{number}"), &json!({ "name": format!("e{number}") })).await;
        assert_eq!(added.status, 202, "{}", added.text);
    }
    let body = json!({ "name": "e21" });
    assert_eq!(add(&api, &tenant, "more", &body).await.status_and_code(), (409, "too_many_environments".into()));
    // No AWS call was made yet, so offboarding finishes immediately.
    assert_eq!(api.delete(&tenant).await.json()["state"], "offboarded");
    assert_eq!(add(&api, &tenant, "more", &body).await.status_and_code(), (409, "tenant_offboarded".into()));
}

#[tokio::test]
async fn the_baseline_of_a_ready_environment_is_upgraded_by_one_operation() {
    let statement = "[[access_role.statements]]\nEffect = \"Allow\"\nAction = \"sqs:*\"\nResource = \"*\"";
    let api = ApiFixture::with_config(statement).await;
    let tenant = tenant(&api).await;
    let path = format!("{tenant}/environments/production");
    assert_eq!(api.get(&path).await.json()["baseline_version"], json!(null));
    let upgrade = format!("{path}/baseline-upgrades");
    let busy = api.post(&upgrade).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    let onboarding = api.get(&path).await.json()["operation_id"].as_str().unwrap().to_owned();
    assert!(busy.text.contains(&format!("The operation {onboarding} (onboard)")), "{}", busy.text);

    // The first release recorded no version.
    api.succeed_operation("111122223333").await;
    assert_eq!(api.get(&path).await.json()["baseline_version"], "1");
    let started = api.post(&upgrade).await;
    let body = started.json();
    let operation = body["operation_id"].as_str().unwrap();
    assert_eq!((started.status.as_u16(), started.header("location")), (202, &*format!("/v1/operations/{operation}")));
    let target = BaselineVersion::current(&api.config.access_role).to_string();
    assert_eq!((&body["version"], &body["target_version"]), (&json!("1"), &json!(target)));
    assert_eq!(api.post(&upgrade).await.json(), body, "a repeated request has the same operation");
    let shown = api.get(&format!("/v1/operations/{operation}")).await.json();
    assert_eq!((&shown["kind"], &shown["failure"]), (&json!("upgrade_baseline"), &json!(null)));
    assert_eq!(api.get(&path).await.json()["state"], "ready");
}

#[tokio::test]
async fn a_current_baseline_needs_no_operation() {
    let api = ApiFixture::new().await;
    let tenant = tenant(&api).await;
    api.succeed_operation("111122223333").await;
    let version = BaselineVersion::current(&api.config.access_role).to_string();
    let install = sqlx::query("update environments set baseline_version = $1").bind(&version);
    install.execute(&api.database.pool).await.unwrap();
    let before = api.row_counts().await;
    let current = api.post(&format!("{tenant}/environments/production/baseline-upgrades")).await;
    let body = json!({ "version": version, "target_version": version, "operation_id": null });
    assert_eq!((current.status.as_u16(), current.json()), (200, body));
    assert_eq!(api.row_counts().await, before);

    let unknown = api.post(&format!("{tenant}/environments/staging/baseline-upgrades")).await;
    assert_eq!(unknown.status_and_code(), (404, "environment_not_found".into()));
    api.delete(&tenant).await;
    let busy = api.post(&format!("{tenant}/environments/production/baseline-upgrades")).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
}
