//! Tests of access tokens and signing keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send};
use freehold_tests::tokens::{Issuer, now};
use jsonwebtoken::Header;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

async fn list_tenants(api: &ApiFixture, token: &str) -> ApiResponse {
    send(api.request_without_token(Method::GET, "/v1/tenants").bearer_auth(token)).await
}

#[tokio::test]
async fn valid_tokens_of_the_issuer_are_accepted() {
    let api = ApiFixture::new().await;
    let issuer = &api.issuer;
    for (what, changes) in [
        ("without changes", json!({})),
        ("for several audiences", json!({ "aud": ["elsewhere", "freehold"] })),
        ("expired within the clock skew", json!({ "exp": now() - 10 })),
        ("not valid yet, within the clock skew", json!({ "nbf": now() + 10 })),
        ("with scopes in a list", json!({ "scope": ["fleet", "tenants:read"] })),
        ("with scopes in scp", json!({ "scope": null, "scp": ["fleet", "tenants:read"] })),
        ("with scopes in scp as a string", json!({ "scope": null, "scp": "a fleet tenants:read" })),
        ("issued within the clock skew", json!({ "iat": now() + 10 })),
        ("issued at a fraction of a second", json!({ "iat": 1_700_000_000.5 })),
        ("with unknown claims", json!({ "tenant": 7, "acr": { "a": [null] }, "jti": "x" })),
    ] {
        assert_eq!(
            list_tenants(&api, &issuer.token_with("fleet tenants:read", &changes)).await.status,
            200,
            "a token {what}"
        );
    }
    let typed = Header { typ: Some("application/AT+JWT".into()), ..issuer.header() };
    assert_eq!(
        list_tenants(&api, &issuer.sign(&typed, &issuer.claims("fleet tenants:read", &json!({})))).await.status,
        200
    );
    let unnamed = Header { kid: None, ..issuer.header() };
    let unnamed = issuer.sign(&unnamed, &issuer.claims("fleet tenants:read", &json!({})));
    assert_eq!(list_tenants(&api, &unnamed).await.status, 200, "the issuer has only one key");
}

#[tokio::test]
async fn a_token_must_be_a_single_bearer_token() {
    let api = ApiFixture::new().await;
    let token = api.issuer.token("fleet tenants:read");
    let get = || api.request_without_token(Method::GET, "/v1/tenants");
    assert_eq!(send(get().header("Authorization", format!("bearer {token}"))).await.status, 200);
    for request in [
        get().header("Authorization", format!("Basic {token}")),
        get().header("Authorization", token.clone()),
        get().header("Authorization", "Bearer "),
        get().bearer_auth(&token).bearer_auth(&token),
        api.request_without_token(Method::GET, &format!("/v1/tenants?access_token={token}")),
    ] {
        assert_eq!(send(request).await.status_and_code(), (401, "token_missing".into()));
    }
}

/// HTTP server for the public keys of a token issuer.
struct JwksServer {
    url: String,
    fetches: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl JwksServer {
    async fn of(keys: String) -> Self {
        let fetches = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let counted = Arc::clone(&fetches);
        let server = tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let mut request = [0; 4096];
                _ = connection.read(&mut request).await;
                let response =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
                _ = connection.write_all(response.as_bytes()).await;
            }
        });
        Self { url, fetches, server }
    }

    /// Returns the number of requests for the public keys.
    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    /// Stops the server, so that the keys are unreachable.
    async fn stop(self) {
        self.server.abort();
        _ = self.server.await;
    }
}

#[tokio::test]
async fn unknown_key_ids_cause_few_requests_to_the_issuer() {
    let issuer = Issuer::new();
    let jwks_server = JwksServer::of(issuer.jwks_json()).await;
    let api = ApiFixture::with(issuer, &jwks_server.url).await;
    assert_eq!(list_tenants(&api, &api.issuer.token("fleet tenants:read")).await.status, 200);
    let before = jwks_server.fetches();
    let unknown_key = Header { kid: Some("key-9".to_owned()), ..api.issuer.header() };
    let unknown_key = api.issuer.sign(&unknown_key, &api.issuer.claims("fleet tenants:read", &json!({})));
    let attempts = futures::future::join_all((0..20).map(|_| list_tenants(&api, &unknown_key))).await;
    assert!(attempts.iter().all(|response| response.status == 401));
    assert!(jwks_server.fetches() <= before + 1, "20 unknown keys caused repeated fetches");
}

#[tokio::test]
async fn cached_keys_are_used_while_the_issuer_is_unreachable() {
    let issuer = Issuer::new();
    let jwks_server = JwksServer::of(issuer.jwks_json()).await;
    let mut api = ApiFixture::with(issuer, &jwks_server.url).await;
    let accepted = api.issuer.token("fleet tenants:read");
    assert_eq!(list_tenants(&api, &accepted).await.status, 200);
    jwks_server.stop().await;
    api.issuer.add_key();
    assert_eq!(list_tenants(&api, &api.issuer.token("fleet tenants:read")).await.status, 401, "an unknown key");
    assert_eq!(list_tenants(&api, &accepted).await.status, 200, "a cached key");
}

#[tokio::test]
async fn the_first_token_with_a_new_key_fetches_the_keys() {
    let mut api = ApiFixture::new().await;
    assert_eq!(list_tenants(&api, &api.issuer.token("fleet tenants:read")).await.status, 200);
    api.issuer.add_key();
    assert_eq!(list_tenants(&api, &api.issuer.token("fleet tenants:read")).await.status, 200);
    let old = Header { kid: Some("key-1".to_owned()), ..api.issuer.header() };
    let old = api.issuer.sign_with(1, &old, &api.issuer.claims("fleet tenants:read", &json!({})));
    assert_eq!(list_tenants(&api, &old).await.status, 200, "tokens of the old key stay valid");
}

#[tokio::test]
async fn keys_for_other_purposes_verify_no_token() {
    for (restriction, accepted) in [
        (json!({ "use": "sig", "key_ops": ["verify"] }), true),
        (json!({ "use": "enc" }), false),
        (json!({ "use": "tls" }), false),
        (json!({ "use": "" }), false),
        (json!({ "key_ops": ["encrypt", "wrapKey"] }), false),
        (json!({ "key_ops": ["sign"] }), false),
        (json!({ "key_ops": [] }), false),
        (json!({ "use": "enc", "key_ops": ["verify"] }), false),
        (json!({ "use": "sig", "key_ops": ["deriveKey"] }), false),
        (json!({ "alg": "ES256" }), true),
        (json!({ "alg": "ES384" }), false),
        (json!({ "alg": "RS256" }), false),
        (json!({ "alg": "ECDH-ES" }), false),
        (json!({ "alg": "HS256" }), false),
        (json!({ "alg": "none" }), false),
        (json!({ "crv": "P-384" }), false),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }), false),
    ] {
        let issuer = Issuer::new();
        let mut keys: Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
        keys["keys"][0].as_object_mut().unwrap().extend(restriction.as_object().unwrap().clone());
        std::fs::write(issuer.jwks(), keys.to_string()).unwrap();
        let jwks = issuer.jwks().display().to_string();
        let api = ApiFixture::with(issuer, &jwks).await;
        let response = list_tenants(&api, &api.issuer.token("fleet tenants:read")).await;
        assert_eq!(response.status == 200, accepted, "a key with {restriction}: {}", response.text);
    }
}

#[tokio::test]
async fn a_cached_token_still_expires() {
    let api = ApiFixture::new().await;
    // A clock difference of up to 30 s is tolerated.
    let token = api.issuer.token_with("fleet tenants:read", &json!({ "exp": now() - 28 }));
    assert_eq!(list_tenants(&api, &token).await.status, 200);
    let mut refused = list_tenants(&api, &token).await;
    for _ in 0..50 {
        if refused.status != 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        refused = list_tenants(&api, &token).await;
    }
    assert_eq!(refused.status_and_code(), (401, "token_expired".into()));
}

#[tokio::test]
async fn tokens_are_not_rejected_as_invalid_if_signing_keys_are_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unreachable = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    drop(listener);
    let api = ApiFixture::with(Issuer::new(), &unreachable).await;
    for _ in 0..2 {
        let response = list_tenants(&api, &api.issuer.token("fleet tenants:read")).await;
        assert_eq!(response.status_and_code(), (503, "signing_keys_unavailable".into()));
        assert_ne!(response.header("retry-after"), "");
    }
}
