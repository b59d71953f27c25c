//! Who may do what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use freehold_api::Scope;
use freehold_tests::served::{Answered, EVERY_SCOPE, Served, send};
use freehold_tests::tokens::{Issuer, now};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Every route, with the scope that its description says it needs.
fn routes() -> Vec<(Method, String, Option<String>)> {
    let description: Value = serde_json::from_str(&freehold_api::openapi_json()).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{id}", "4711").replace("{name}", "production");
            let scope = operation["security"][0]["bearer"][0].as_str().map(ToOwned::to_owned);
            routes.push((method.to_uppercase().parse().unwrap(), path, scope));
        }
    }
    assert_eq!(routes.len(), 25, "routes");
    routes
}

#[tokio::test]
async fn each_route_needs_its_scope_and_no_other() {
    let api = Served::new().await;
    for (method, path, needed) in routes() {
        let ask = |token: Option<String>| {
            let request = api.bare(method.clone(), &path);
            send(match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            })
        };
        let Some(needed) = needed else {
            assert_eq!(ask(None).await.status, 200, "{method} {path} needs no token");
            continue;
        };
        let without = ask(None).await;
        assert_eq!(without.outcome(), (401, "token_missing".into()), "{method} {path}");
        assert_eq!(without.header("www-authenticate"), "Bearer");
        let others = EVERY_SCOPE.replace(&needed, "");
        let lacking = ask(Some(api.issuer.token(&others))).await;
        assert_eq!(lacking.outcome(), (403, "insufficient_scope".into()), "{method} {path}");
        assert!(lacking.header("www-authenticate").contains(&format!("scope=\"{needed}\"")));
        assert!(lacking.json()["detail"].as_str().unwrap().contains(&needed));
        let enough = ask(Some(api.issuer.token(&needed))).await;
        assert!(![401, 403, 500].contains(&enough.status.as_u16()), "{method} {path}: {}", enough.text);
        assert_eq!(enough.header("cache-control"), "no-store");
    }
}

#[test]
fn every_scope_is_needed_somewhere() {
    for scope in Scope::ALL {
        assert!(routes().iter().any(|(_, _, needed)| needed.as_deref() == Some(scope.as_str())), "{scope}");
    }
}

async fn ask(api: &Served, token: &str) -> Answered {
    send(api.bare(Method::GET, "/v1/tenants").bearer_auth(token)).await
}

#[tokio::test]
async fn only_tokens_of_the_issuer_for_this_api_and_this_time_are_accepted() {
    let api = Served::new().await;
    let issuer = &api.issuer;
    for (what, changes) in [
        ("as it should be", json!({})),
        ("for several audiences", json!({ "aud": ["elsewhere", "freehold"] })),
        ("expired, but by less than clocks differ", json!({ "exp": now() - 10 })),
        ("valid soon, by less than clocks differ", json!({ "nbf": now() + 10 })),
        ("with scopes in a list", json!({ "scope": ["tenants:read"] })),
        ("with scopes in scp", json!({ "scope": null, "scp": ["tenants:read"] })),
        ("with scopes in scp as a text", json!({ "scope": null, "scp": "a tenants:read" })),
    ] {
        assert_eq!(ask(&api, &issuer.token_with("tenants:read", &changes)).await.status, 200, "a token {what}");
    }
    for (what, changes) in [
        ("of another issuer", json!({ "iss": "https://elsewhere.example.com" })),
        ("of an issuer that begins alike", json!({ "iss": "https://issuer.example.com.evil.example.com" })),
        ("for another audience", json!({ "aud": "elsewhere" })),
        ("not valid yet", json!({ "nbf": now() + 120 })),
        ("with a time that is none", json!({ "nbf": "tomorrow" })),
        ("without an issuer", json!({ "iss": null })),
        ("without an audience", json!({ "aud": null })),
        ("without an end", json!({ "exp": null })),
        ("without a subject", json!({ "sub": null })),
        ("with a subject unfit for the database", json!({ "sub": "a\u{0}b" })),
    ] {
        let answered = ask(&api, &issuer.token_with("tenants:read", &changes)).await;
        assert_eq!(answered.outcome(), (401, "token_invalid".into()), "a token {what}");
        assert!(answered.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""));
    }
    let expired = ask(&api, &issuer.token_with("tenants:read", &json!({ "exp": now() - 60 }))).await;
    assert_eq!(expired.outcome(), (401, "token_expired".into()));
}

#[tokio::test]
async fn only_signatures_of_the_issuers_keys_are_accepted() {
    let api = Served::new().await;
    let claims = api.issuer.claims("tenants:read", &json!({}));
    let header = |change: fn(&mut Header)| {
        let mut header = api.issuer.header();
        change(&mut header);
        header
    };
    let good = api.issuer.sign(&api.issuer.header(), &claims);
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = rest.split_once('.').unwrap();
    let hmac = Header { alg: Algorithm::HS256, ..api.issuer.header() };
    let forged = EncodingKey::from_secret(api.issuer.key_set().as_bytes());
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoia2V5LTEifQ";
    for (what, token) in [
        ("of a stranger's key with our key's name", Issuer::new().sign(&api.issuer.header(), &claims)),
        ("of a key that nobody knows", api.issuer.sign(&header(|header| header.kid = Some("key-9".into())), &claims)),
        ("of another type", api.issuer.sign(&header(|header| header.typ = Some("JWT".into())), &claims)),
        ("of no type", api.issuer.sign(&header(|header| header.typ = None), &claims)),
        ("signed with the public key as a secret", jsonwebtoken::encode(&hmac, &claims, &forged).unwrap()),
        ("that says it is not signed", format!("{none}.{body}.")),
        ("with another body", format!("{head}.{}.{signature}", body.replacen('e', "f", 1))),
        ("that is none", "abc".to_owned()),
    ] {
        assert_eq!(ask(&api, &token).await.outcome(), (401, "token_invalid".into()), "a token {what}");
    }
    assert_eq!(ask(&api, &good).await.status, 200);
    let typed = header(|header| header.typ = Some("application/AT+JWT".into()));
    assert_eq!(ask(&api, &api.issuer.sign(&typed, &claims)).await.status, 200);
    let unnamed = api.issuer.sign(&header(|header| header.kid = None), &claims);
    assert_eq!(ask(&api, &unnamed).await.status, 200, "there is only one key that it can be");
}

#[tokio::test]
async fn a_token_comes_once_and_as_a_bearer_token() {
    let api = Served::new().await;
    let token = api.issuer.token("tenants:read");
    let get = || api.bare(Method::GET, "/v1/tenants");
    assert_eq!(send(get().header("Authorization", format!("bearer {token}"))).await.status, 200);
    for request in [
        get().header("Authorization", format!("Basic {token}")),
        get().header("Authorization", token.clone()),
        get().header("Authorization", "Bearer "),
        get().bearer_auth(&token).bearer_auth(&token),
        api.bare(Method::GET, &format!("/v1/tenants?access_token={token}")),
    ] {
        assert_eq!(send(request).await.outcome(), (401, "token_missing".into()));
    }
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_and_invented_ones_do_not_flood_it() {
    let mut issuer = Issuer::new();
    let keys = Arc::new(std::sync::Mutex::new(issuer.key_set()));
    let looks = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let server = tokio::spawn({
        let (keys, looks) = (Arc::clone(&keys), Arc::clone(&looks));
        async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                looks.fetch_add(1, Ordering::Relaxed);
                let keys = keys.lock().unwrap().clone();
                let mut request = [0; 4096];
                _ = connection.read(&mut request).await;
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
                _ = connection.write_all(answer.as_bytes()).await;
            }
        }
    });
    issuer.add_key();
    let mut api = Served::with(issuer, &url).await;

    assert_eq!(ask(&api, &api.issuer.token("tenants:read")).await.status, 401, "the new key is not published yet");
    let before = looks.load(Ordering::Relaxed);
    let invented = Header { kid: Some("key-9".to_owned()), ..api.issuer.header() };
    let invented = api.issuer.sign(&invented, &api.issuer.claims("tenants:read", &json!({})));
    let attempts = futures::future::join_all((0..20).map(|_| ask(&api, &invented))).await;
    assert!(attempts.iter().all(|answered| answered.status == 401));
    assert!(looks.load(Ordering::Relaxed) <= before + 1, "20 invented keys made the API look again and again");
    server.abort();

    // Where the keys are in a file, the first token under a new one is enough to find it.
    let old = std::mem::replace(&mut api, Served::new().await);
    drop(old);
    assert_eq!(ask(&api, &api.issuer.token("tenants:read")).await.status, 200);
    api.issuer.add_key();
    assert_eq!(ask(&api, &api.issuer.token("tenants:read")).await.status, 200);
}

#[tokio::test]
async fn without_the_issuers_keys_nobody_is_told_that_their_token_is_wrong() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    drop(listener);
    let api = Served::with(Issuer::new(), &nobody).await;
    for _ in 0..2 {
        let answered = ask(&api, &api.issuer.token("tenants:read")).await;
        assert_eq!(answered.outcome(), (503, "token_keys_unavailable".into()));
        assert_ne!(answered.header("retry-after"), "");
    }
}
