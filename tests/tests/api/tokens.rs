//! Tests of access tokens and signing keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send};
use freehold_tests::tokens::{Issuer, now};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
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

/// Returns invalid claims, each with a description of the error.
fn invalid_claims() -> Vec<(&'static str, Value)> {
    vec![
        ("of another issuer", json!({ "iss": "https://elsewhere.example.com" })),
        ("of an issuer with the same prefix", json!({ "iss": "https://issuer.example.com.evil.example.com" })),
        ("of an issuer with an additional slash", json!({ "iss": "https://issuer.example.com/" })),
        ("of an issuer in capitals", json!({ "iss": "https://ISSUER.example.com" })),
        ("of several issuers", json!({ "iss": ["https://issuer.example.com"] })),
        ("of an issuer that is a number", json!({ "iss": 7 })),
        ("without an issuer", json!({ "iss": null })),
        ("for another audience", json!({ "aud": "elsewhere" })),
        ("for an audience with the same prefix", json!({ "aud": "freehold-console" })),
        ("for other audiences", json!({ "aud": ["elsewhere", "freehold "] })),
        ("for no audience", json!({ "aud": [] })),
        ("for an empty audience", json!({ "aud": "" })),
        ("without an audience", json!({ "aud": null })),
        ("not valid yet", json!({ "nbf": now() + 120 })),
        ("valid from an invalid time", json!({ "nbf": "tomorrow" })),
        ("valid from a number in a string", json!({ "nbf": "0" })),
        ("without an expiry", json!({ "exp": null })),
        ("with a string as expiry", json!({ "exp": (now() + 3600).to_string() })),
        ("with a list as expiry", json!({ "exp": [now() + 3600] })),
        ("without a subject", json!({ "sub": null })),
        ("with an empty subject", json!({ "sub": "" })),
        ("with a subject that is a number", json!({ "sub": 7 })),
        ("with a subject with a NUL character", json!({ "sub": "a\u{0}b" })),
        ("with a subject of two lines", json!({ "sub": "a\nb" })),
        ("with a client with a NUL character", json!({ "client_id": "a\u{0}b" })),
        ("with scopes that are a number", json!({ "scope": 7 })),
        ("with scopes in an object", json!({ "scope": { "fleet": true } })),
        ("with a list of scopes that are not strings", json!({ "scope": ["fleet", 7] })),
    ]
}

#[tokio::test]
async fn forged_tokens_are_rejected() {
    let api = ApiFixture::new().await;
    let issuer = &api.issuer;
    let claims = issuer.claims("fleet tenants:read", &json!({}));
    let good = issuer.sign(&issuer.header(), &claims);
    assert_eq!(list_tenants(&api, &good).await.status, 200);
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = rest.split_once('.').unwrap();
    let with_header = |header: &Value| format!("{}.{body}.{signature}", encoded(&header.to_string()));
    let of = |change: fn(&mut Header)| {
        let mut header = issuer.header();
        change(&mut header);
        issuer.sign(&header, &claims)
    };
    let secret = |algorithm| {
        let header = Header { alg: algorithm, ..issuer.header() };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(issuer.jwks_json().as_bytes())).unwrap()
    };
    let other_issuer = Issuer::new();
    let with_key_url =
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": "key-1", "jku": "https://evil.example.com/jwks.json" });
    let other_key: Value = serde_json::from_str(&other_issuer.jwks_json()).unwrap();
    let embedded = json!({ "alg": "ES256", "typ": "at+jwt", "jwk": other_key["keys"][0] });
    let (_, other_signature) = {
        let signed = other_issuer.sign(&other_issuer.header(), &claims);
        let (rest, signature) = signed.rsplit_once('.').unwrap();
        (rest.to_owned(), signature.to_owned())
    };
    let mut forged: Vec<(&str, String)> = invalid_claims()
        .into_iter()
        .map(|(what, changes)| (what, issuer.token_with("fleet tenants:read", &changes)))
        .collect();
    forged.extend([
        ("of another issuer's key with our key's name", other_issuer.sign(&other_issuer.header(), &claims)),
        ("of an unknown key", of(|header| header.kid = Some("key-9".into()))),
        ("of a key with an empty name", of(|header| header.kid = Some(String::new()))),
        ("of a key whose name is a path", of(|header| header.kid = Some("../../dev/null".into()))),
        ("of a key whose name is SQL", of(|header| header.kid = Some("' or 1=1 --".into()))),
        ("of another type", of(|header| header.typ = Some("JWT".into()))),
        ("of the type of an id token", of(|header| header.typ = Some("id+jwt".into()))),
        ("of no type", of(|header| header.typ = None)),
        ("with a critical header parameter", of(|header| header.crit = Some(vec!["b64".into()]))),
        ("with an empty list of critical header parameters", of(|header| header.crit = Some(vec![]))),
        ("signed with the public key as a secret", secret(Algorithm::HS256)),
        ("signed with the public key as a longer secret", secret(Algorithm::HS512)),
        (
            "with alg none and no signature",
            format!("{}.{body}.", encoded(r#"{"alg":"none","typ":"at+jwt","kid":"key-1"}"#)),
        ),
        (
            "with alg NONE and no signature",
            format!("{}.{body}.", encoded(r#"{"alg":"NONE","typ":"at+jwt","kid":"key-1"}"#)),
        ),
        (
            "with alg none and a signature",
            format!("{}.{body}.{signature}", encoded(r#"{"alg":"none","typ":"at+jwt"}"#)),
        ),
        (
            "with an algorithm that is not accepted",
            with_header(&json!({ "alg": "ES384", "typ": "at+jwt", "kid": "key-1" })),
        ),
        (
            "with an algorithm for another kind of key",
            with_header(&json!({ "alg": "RS256", "typ": "at+jwt", "kid": "key-1" })),
        ),
        ("without an algorithm", with_header(&json!({ "typ": "at+jwt", "kid": "key-1" }))),
        ("with an embedded key", format!("{}.{body}.{other_signature}", encoded(&embedded.to_string()))),
        ("with the URL of a key", format!("{}.{body}.{other_signature}", encoded(&with_key_url.to_string()))),
        ("with another body", format!("{head}.{}.{signature}", body.replacen('e', "f", 1))),
        ("with the signature of another issuer", format!("{head}.{body}.{other_signature}")),
        ("with a signature of zeros", format!("{head}.{body}.{}", "A".repeat(86))),
        ("with half a signature", format!("{head}.{body}.{}", &signature[..43])),
        ("with an empty signature", format!("{head}.{body}.")),
        ("without a signature", format!("{head}.{body}")),
        ("with four parts", format!("{good}.{signature}")),
        ("with padding", format!("{head}.{body}.{signature}==")),
        ("whose body is not JSON", format!("{head}.{}.{signature}", encoded("fleet"))),
        ("whose header is not JSON", format!("{}.{body}.{signature}", encoded("ES256"))),
        ("that is not a JWT", "abc".to_owned()),
        ("of dots only", "..".to_owned()),
        ("that is very long", "a".repeat(6000)),
    ]);
    assert!(forged.len() >= 50, "only {} forged tokens", forged.len());
    for (what, token) in forged {
        let response = list_tenants(&api, &token).await;
        assert_eq!(response.status_and_code(), (401, "token_invalid".into()), "a token {what}");
        assert!(response.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""), "a token {what}");
    }
    let expired = list_tenants(&api, &issuer.token_with("fleet tenants:read", &json!({ "exp": now() - 60 }))).await;
    assert_eq!(expired.status_and_code(), (401, "token_expired".into()));
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
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
        (json!({ "key_ops": ["encrypt", "wrapKey"] }), false),
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
