//! Tests of idempotency keys.

use std::collections::BTreeSet;
use std::time::Duration;

use freehold_tenancy::attention::Remedy;
use freehold_tenancy::db::idempotency::{self, IdempotencyKey, ReserveResult, StoredResponse};
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use freehold_tests::webhook_fixture::SECRETS_KEY;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// Repeats a signup request while the API responds that the first request with the key is still in progress.
async fn send_until_finished(api: &ApiFixture, key: &str, body: &Value) -> ApiResponse {
    loop {
        let response = send(api.signup_request(key, body)).await;
        if response.status_and_code() != (409, "idempotency_key_in_flight".to_owned()) {
            return response;
        }
        assert_eq!(response.header("retry-after"), "1");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_repeated_signup_gets_the_identical_response() {
    let api = ApiFixture::new().await;
    let first = send(api.signup_request("7f3a", &signup_body_with(json!({ "labels": { "a": "1", "b": "2" } })))).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let reordered = json!({
        "labels": { "b": "2", "a": "1" }, "home_region": "eu-central-1", "admin_email": "admin@example.com",
        "company_name": "Example GmbH", "tier": null,
    });
    // The stored response is unchanged, although the state of the tenant has changed.
    api.succeed_operation("111122223333").await;
    for key in ["7f3a", "\"7f3a\""] {
        let again = send(api.signup_request(key, &reordered)).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("retry-after"), first.header("retry-after"));
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(api.row_counts().await[0], 1);
}

#[tokio::test]
async fn an_idempotency_key_is_valid_for_one_request_only() {
    let api = ApiFixture::new().await;
    assert_eq!(send(api.signup_request("7f3a", &signup_body())).await.status, 202);
    let rows = api.row_counts().await;
    let other = signup_body_with(json!({ "company_name": "Another GmbH" }));
    assert_eq!(
        send(api.signup_request("7f3a", &other)).await.status_and_code(),
        (422, "idempotency_key_reused".into())
    );
    assert_eq!(api.row_counts().await, rows);
}

#[tokio::test]
async fn an_idempotency_key_applies_only_to_the_client_that_sent_it() {
    let api = ApiFixture::new().await;
    // Two users of one client, then two clients whose names are in different claims.
    let mut tenants = BTreeSet::new();
    for claims in [
        json!({ "client_id": "one", "sub": "ann" }),
        json!({ "client_id": "one", "sub": "ben" }),
        json!({ "client_id": null, "azp": "two" }),
        json!({ "client_id": null, "sub": "three" }),
    ] {
        let request = api
            .request_without_token(Method::POST, "/v1/tenants")
            .header("Idempotency-Key", "7f3a")
            .json(&signup_body());
        let response = send(request.bearer_auth(api.issuer.token_with(ALL_SCOPES, &claims))).await;
        tenants.insert(response.json()["id"].to_string());
    }
    assert_eq!(tenants.len(), 3);
}

#[tokio::test]
async fn sixty_four_identical_concurrent_signups_create_one_tenant() {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({ "external_id": "customer-4711", "environments": ["production", "staging"] }));
    let responses = join_all((0..64).map(|_| send_until_finished(&api, "7f3a", &body))).await;
    for response in &responses {
        assert_eq!((response.status.as_u16(), &response.text), (202, &responses[0].text));
    }
    let first = responses.iter().filter(|response| response.header("idempotency-replayed").is_empty()).count();
    assert_eq!(first, 1, "responses that are not replays");
    assert_eq!(api.row_counts().await, [1, 2, 2, 2, 1]);
}

#[tokio::test]
async fn sixty_four_concurrent_signups_of_one_external_id_create_one_tenant() {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({ "external_id": "customer-4711" }));
    let signups = (0..64).map(|n| send(api.signup_request(&format!("key-{n}"), &body)));
    let outcomes: Vec<_> = join_all(signups).await.iter().map(ApiResponse::status_and_code).collect();
    assert_eq!(outcomes.iter().filter(|(status, _)| *status == 202).count(), 1);
    assert_eq!(outcomes.iter().filter(|(_, code)| code == "external_id_taken").count(), 63, "{outcomes:?}");
    assert_eq!(api.row_counts().await, [1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_repeated_signup_does_not_wait_for_the_first() {
    let api = ApiFixture::new().await;
    let mut tx = api.database.pool.begin().await.unwrap();
    // A signup with the same external id waits for the open transaction of this one.
    let other = "insert into tenants (id, created_at, company_name, admin_email, tier, external_id, updated_at)
        values (gen_random_uuid(), now(), 'Another GmbH', 'admin@example.com', 'standard', 'customer-4711', now())";
    sqlx::query(other).execute(&mut *tx).await.unwrap();
    let body = signup_body_with(json!({ "external_id": "customer-4711" }));
    let first = tokio::spawn(send(api.signup_request("7f3a", &body)));
    loop {
        let granted_locks = "select count(*) from pg_locks where locktype = 'advisory' and granted
            and database = (select oid from pg_database where datname = current_database())";
        let granted_locks: i64 = sqlx::query_scalar(granted_locks).fetch_one(&api.database.pool).await.unwrap();
        if granted_locks > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = send(api.signup_request("7f3a", &body)).await;
    assert_eq!(second.status_and_code(), (409, "idempotency_key_in_flight".into()));
    tx.rollback().await.unwrap();
    assert_eq!(first.await.unwrap().status, 202);
    assert_eq!(send_until_finished(&api, "7f3a", &body).await.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_post_request_runs_once_per_key_and_errors_are_not_stored() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let retry = async |path: &str, key: &str| {
        send(api.request(Method::POST, &format!("{path}/retry")).header("Idempotency-Key", key)).await
    };
    assert_eq!(retry(&path, "key-1").await.status_and_code(), (409, "operation_not_parked".into()));
    api.park("account_not_ours").await;
    let first = retry(&path, "key-1").await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (202, ""), "{}", first.text);
    let again = retry(&path, "key-1").await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
    assert_eq!(retry(&path, "key-2").await.status, 409, "the operation no longer needs attention");

    let other = "/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9c";
    assert_eq!(retry(other, "key-1").await.status_and_code(), (422, "idempotency_key_reused".into()));
    let corrected = api.request(Method::POST, &format!("{path}/retry")).header("Idempotency-Key", "key-1");
    let corrected = send(corrected.json(&json!({ "account_email": "aws@example.com" }))).await;
    assert_eq!(corrected.status_and_code(), (422, "idempotency_key_reused".into()));
    assert_eq!(retry(&path, "a b").await.status_and_code(), (400, "idempotency_key_invalid".into()));

    // Another request with the same key is in progress, or its process has crashed.
    api.park("account_not_ours").await;
    let reserve_again = "update idempotency_keys set status = null, location = null, response = null, created_at = $1
        where route like '%retry'";
    let reserve_since = async |ago| {
        sqlx::query(reserve_again)
            .bind(api.clock.now() - ago)
            .execute(&api.database.pool)
            .await
            .expect("a reserved key");
    };
    reserve_since(chrono::TimeDelta::seconds(10)).await;
    assert_eq!(retry(&path, "key-1").await.status_and_code(), (409, "idempotency_key_in_flight".into()));
    reserve_since(chrono::TimeDelta::seconds(70)).await;
    assert_eq!(retry(&path, "key-1").await.status, 202);
}

#[tokio::test]
async fn users_of_different_tenants_share_no_keys_and_no_rate_limit() {
    let api = ApiFixture::with_config("requests_per_minute = 60").await;
    let mut retries = Vec::new();
    for _ in 0..2 {
        let tenant = api.sign_up(&signup_body()).await;
        api.park("account_not_ours").await;
        let token = api.issuer.token_with(ALL_SCOPES, &json!({ "tenant_id": tenant["id"], "client_id": "app" }));
        let operation = tenant["environments"][0]["operation_id"].as_str().expect("an id").to_owned();
        retries.push((format!("/v1/operations/{operation}/retry"), token));
    }
    for (path, token) in &retries {
        let retry =
            api.request_without_token(Method::POST, path).header("Idempotency-Key", "retry-1").bearer_auth(token);
        let response = send(retry).await;
        assert_eq!((response.status.as_u16(), response.header("idempotency-replayed")), (202, ""), "{}", response.text);
    }
    // Requests of one user do not reduce the rate limit of the other user.
    let remaining_requests = async |token: &str| {
        let response = send(api.request_without_token(Method::GET, "/v1/operations").bearer_auth(token)).await;
        (response.status.as_u16(), response.header("ratelimit").to_owned())
    };
    let before = remaining_requests(&retries[1].1).await;
    for _ in 0..10 {
        remaining_requests(&retries[0].1).await;
    }
    let after = remaining_requests(&retries[1].1).await;
    let remaining =
        |limit: &str| limit.split_once("r=").and_then(|(_, rest)| rest.split(';').next()?.parse::<i64>().ok());
    let (before, after) = (remaining(&before.1).expect("a number"), remaining(&after.1).expect("a number"));
    assert!(before - after <= 1, "{before} → {after}");
}

#[tokio::test]
async fn a_request_that_lost_its_key_cannot_complete_or_release_it() {
    let api = ApiFixture::new().await;
    let (pool, now) = (&api.database.pool, api.clock.now());
    let key = IdempotencyKey {
        issuer: "https://issuer.example.com".into(),
        client: "one".into(),
        route: "POST /v1/webhook-endpoints".into(),
        key: "7f3a".into(),
    };
    let reserve = async |at| match idempotency::reserve(pool, &key, [7; 32], at).await.expect("an answer") {
        ReserveResult::Reserved(reservation) => Some(reservation),
        ReserveResult::Exists(_) => None,
    };
    let slow = reserve(now).await.expect("the key");
    assert_eq!(reserve(now + chrono::TimeDelta::seconds(30)).await, None, "the key was reserved twice");
    let other = reserve(now + chrono::TimeDelta::seconds(61)).await.expect("the key of a dead process");
    let response = |body: &str| StoredResponse { status: 201, location: String::new(), body: body.to_owned() };
    idempotency::release(pool, &slow).await.expect("an answer");
    assert!(!idempotency::complete(pool, &slow, &response("1")).await.expect("an answer"));
    assert!(idempotency::complete(pool, &other, &response("2")).await.expect("an answer"));
}

#[tokio::test]
async fn stored_responses_are_kept_for_seven_days() {
    let api = ApiFixture::new().await;
    api.sign_up(&signup_body()).await;
    let delete_after = async |days| {
        let now = api.clock.now() + chrono::TimeDelta::days(days);
        freehold_tenancy::db::idempotency::delete_expired(&api.database.pool, now).await.expect("an answer")
    };
    assert_eq!(delete_after(6).await, 0);
    assert_eq!(delete_after(8).await, 1);
}

#[tokio::test]
async fn a_repeated_request_is_replayed_although_the_configuration_changed() {
    let mut api = ApiFixture::with_config(&format!("[secrets]\nkey = \"{SECRETS_KEY}\"\n")).await;
    let tenant = api.sign_up(&signup_body_with(json!({ "home_region": "us-east-1" }))).await;
    api.park_with_remedies("account_email_taken", &[Remedy::Adopt]).await;
    let operation = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let tenant = format!("/v1/tenants/{}", tenant["id"].as_str().expect("an id"));
    // One request of each kind whose validation depends on the configuration.
    let requests = [
        ("/v1/tenants".to_owned(), signup_body_with(json!({ "tier": "enterprise" })), "unknown_tier"),
        ("/v1/tenants".to_owned(), signup_body(), "region_not_offered"),
        (
            format!("{tenant}/environments"),
            json!({ "name": "eu", "home_region": "eu-central-1" }),
            "region_not_offered",
        ),
        (format!("{operation}/adopt"), json!({ "aws_account_id": "999988887777" }), "account_protected"),
        ("/v1/webhook-endpoints".to_owned(), json!({ "url": "https://93.184.215.14/" }), "secrets_key_missing"),
    ];
    let post = async |api: &ApiFixture, number: usize, key: &str| {
        let (path, body, _) = &requests[number];
        send(api.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    };
    let mut first = Vec::new();
    for number in 0..requests.len() {
        let response = post(&api, number, &format!("key-{number}")).await;
        assert!(response.status.is_success(), "{}", response.text);
        first.push(response);
    }
    api.restart_with(|config| {
        config.residencies.retain(|residency| residency.name.as_str() != "eu");
        config.tiers.retain(|tier| tier.name.as_str() != "enterprise");
        config.organization.freehold_account_id = "999988887777".parse().expect("an account id");
        config.secrets.key = None;
    })
    .await;
    for (number, first) in first.iter().enumerate() {
        let (path, _, refusal) = &requests[number];
        let again = post(&api, number, &format!("key-{number}")).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (first.status, "true"), "{}", again.text);
        assert_eq!(again.header("location"), first.header("location"));
        if path != "/v1/webhook-endpoints" {
            assert_eq!(again.text, first.text, "the response of {path}");
        }
        // The same request with a new key is a new request, and a used key allows no other request.
        let new = post(&api, number, "another-key").await;
        assert!(new.text.contains(refusal), "{path}: {}", new.text);
    }
    let other = signup_body_with(json!({ "company_name": "Another GmbH" }));
    let other = send(api.signup_request("key-1", &other)).await;
    assert_eq!(other.status_and_code(), (422, "idempotency_key_reused".into()));
}
