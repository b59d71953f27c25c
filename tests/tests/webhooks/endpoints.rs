//! Tests of webhook endpoints in the API.

use chrono::TimeDelta;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::idempotency::{self, IdempotencyKey, ReserveResult, StoredResponse};
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::db::webhooks::{endpoints, secrets};
use freehold_tenancy::{WebhookEndpointId, webhook};
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use freehold_tests::receiver::Receiver;
use freehold_tests::webhook_fixture::{WebhookFixture, id};
use reqwest::Method;
use serde_json::{Value, json};

async fn patch(hooks: &WebhookFixture, endpoint: &Value, if_match: Option<&str>, body: &Value) -> ApiResponse {
    let request = hooks.api.request(Method::PATCH, &format!("/v1/webhook-endpoints/{}", id(endpoint))).json(body);
    send(if_match.into_iter().fold(request, |request, tag| request.header("If-Match", tag))).await
}

#[tokio::test]
async fn an_endpoint_is_created_updated_and_deleted() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let created = hooks.create_endpoint(&receiver.url(), &["environment.ready"]).await;
    let secret = created["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "{secret}");
    let shown = hooks.api.get(&format!("/v1/webhook-endpoints/{}", id(&created))).await;
    let tag = shown.header("etag").to_owned();
    let mut expected = created.clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(shown.json(), expected);
    let listed = hooks.api.get("/v1/webhook-endpoints").await.json();
    assert_eq!(listed["webhook_endpoints"], json!([expected]));

    let outcome = patch(&hooks, &created, None, &json!({ "types": null })).await.status_and_code();
    assert_eq!(outcome, (428, "precondition_required".into()));
    let changed = patch(&hooks, &created, Some(&tag), &json!({ "types": null, "description": "billing" })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!((&changed.json()["types"], &changed.json()["description"]), (&json!(null), &json!("billing")));
    assert_eq!(changed.json()["url"], created["url"]);
    let stale = patch(&hooks, &created, Some(&tag), &json!({ "description": "else" })).await;
    assert_eq!(stale.status_and_code(), (412, "precondition_failed".into()));
    let refused =
        patch(&hooks, &created, Some("*"), &json!({ "url": "http://10.0.0.1/", "types": ["no.such"], "x": 1 })).await;
    assert_eq!(refused.status_and_code(), (422, "validation_failed".into()));
    let fields: Vec<_> =
        refused.json()["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["url", "types[0]", "x"]);
    assert_eq!(hooks.get(&created, "").await, changed.json(), "a rejected update changed the endpoint");

    let path = format!("/v1/webhook-endpoints/{}", id(&created));
    let stale = hooks.api.request(Method::DELETE, &path).header("If-Match", &tag);
    assert_eq!(send(stale).await.status_and_code(), (412, "precondition_failed".into()));
    assert_eq!(hooks.api.delete(&path).await.status, 204);
    assert_eq!(hooks.api.delete(&path).await.status_and_code(), (404, "webhook_not_found".into()));
    for path in [path.clone(), format!("{path}/deliveries"), "/v1/webhook-endpoints/nonsense".to_owned()] {
        assert_eq!(hooks.api.get(&path).await.status_and_code(), (404, "webhook_not_found".into()), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_lost_its_idempotency_key_creates_no_endpoint() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let created = hooks.create_endpoint(&receiver.url(), &[]).await;
    let (pool, now) = (&hooks.database().pool, hooks.clock().now());
    let key = IdempotencyKey {
        issuer: "https://issuer.example.com".into(),
        client: "one".into(),
        route: "POST /v1/webhook-endpoints".into(),
        key: "7f3a".into(),
    };
    let ReserveResult::Reserved(slow) = idempotency::reserve(pool, &key, [7; 32], now).await.unwrap() else {
        panic!("the key is reserved")
    };
    idempotency::reserve(pool, &key, [7; 32], now + TimeDelta::seconds(61)).await.unwrap();
    let stored = endpoints::get(pool, id(&created).parse().unwrap()).await.unwrap().unwrap();
    let another = webhook::Endpoint { id: WebhookEndpointId::new(now), ..stored.clone() };
    let response = StoredResponse { status: 201, location: String::new(), body: "{}".into() };
    let late = endpoints::create(pool, &another, &[7; 64], Some(&slow), &response).await;
    assert!(matches!(late, Err(DbError::ReservationLost)), "{late:?}");
    let until = now + TimeDelta::hours(24);
    let late = secrets::rotate(pool, stored.id, &[7; 64], until, now, Some(&slow), |_| response.clone()).await;
    assert!(matches!(late, Err(DbError::ReservationLost)), "{late:?}");
    let listed = hooks.api.get("/v1/webhook-endpoints").await.json();
    assert_eq!(listed["webhook_endpoints"].as_array().unwrap().len(), 1, "the endpoint was created twice");
    assert_eq!(listed["webhook_endpoints"][0]["previous_secret_until"], Value::Null, "the secret was rotated twice");
}

#[tokio::test]
async fn a_replayed_creation_does_not_contain_the_secret() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url() });
    let create = async || {
        let request = hooks.api.request(Method::POST, "/v1/webhook-endpoints").header("Idempotency-Key", "key-1");
        send(request.json(&body)).await
    };
    let (created, again) = (create().await, create().await);
    assert_eq!((created.status.as_u16(), again.status.as_u16()), (201, 201), "{}", again.text);
    assert_eq!((created.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let mut expected = created.json();
    let secret = expected.as_object_mut().unwrap().remove("secret").unwrap();
    assert_eq!(again.json(), expected);
    let stored_responses: String = sqlx::query_scalar("select string_agg(response::text, '') from idempotency_keys")
        .fetch_one(&hooks.api.database.pool)
        .await
        .unwrap();
    assert!(!stored_responses.contains(secret.as_str().unwrap()), "{stored_responses}");
    let listed = hooks.api.get("/v1/webhook-endpoints").await.json();
    assert_eq!(listed["webhook_endpoints"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn no_endpoint_is_created_without_an_encryption_key() {
    let hooks = WebhookFixture::with_config(InstallationKind::Sandbox, "").await;
    let receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url() });
    let refused = send(hooks.api.request(Method::POST, "/v1/webhook-endpoints").json(&body)).await;
    assert_eq!(refused.status_and_code(), (409, "secrets_key_missing".into()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("FREEHOLD_SECRETS__KEY"), "{}", refused.text);
}

#[tokio::test]
async fn the_number_of_endpoints_is_limited() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url() });
    for _ in 0..100 {
        hooks.create_endpoint(&receiver.url(), &[]).await;
    }
    let refused = send(hooks.api.request(Method::POST, "/v1/webhook-endpoints").json(&body)).await;
    assert_eq!(refused.status_and_code(), (409, "too_many_webhooks".into()));
    let page = hooks.api.get("/v1/webhook-endpoints?page_size=60").await.json();
    let next = page["next_page_token"].as_str().unwrap();
    let rest = hooks.api.get(&format!("/v1/webhook-endpoints?page_size=60&page_token={next}")).await.json();
    assert_eq!(rest["webhook_endpoints"].as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn a_token_of_one_tenant_cannot_access_webhooks() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let claims = json!({ "scope": "fleet webhooks:read webhooks:write", "tenant_id": tenant["id"] });
    let token = api.issuer.token_with("", &claims);
    let response = send(api.request_without_token(Method::GET, "/v1/webhook-endpoints").bearer_auth(token)).await;
    assert_eq!(response.status_and_code(), (403, "insufficient_scope".into()));
}
