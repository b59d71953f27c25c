//! Tests of forged access tokens: each differs from a valid token in one respect.

mod claims;
mod structure;

use freehold_tests::api_fixture::{ApiFixture, send};
use freehold_tests::log_capture::LogCapture;
use freehold_tests::tokens::Issuer;
use reqwest::Method;
use serde_json::{Value, json};

/// Forged token with a description.
type Forged = (String, String);

/// Signed tokens with valid claims and a header that a recipient must refuse.
fn with_other_headers(issuer: &Issuer) -> Vec<Forged> {
    let claims = issuer.claims("fleet tenants:read", &json!({})).to_string();
    let parameters: [(&str, Value); 8] = [
        (
            "typ",
            json!([
                null, "", "JWT", "jwt", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "JOSE+JSON", "at",
                "at+jwt ", " at+jwt", "at+jwt+jwt", "application/", "application/application/at+jwt", "text/at+jwt",
                "at-jwt", 7, true, ["at+jwt"], { "at+jwt": true },
            ]),
        ),
        (
            "alg",
            json!([
                null, "", "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256",
                "PS384", "PS512", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "es256", "ES256 ", " ES256",
                "ECDH-ES", "dir", 256, true, ["ES256"], { "alg": "ES256" },
            ]),
        ),
        (
            "kid",
            json!([
                "", " ", "key-9", "KEY-1", "key-1 ", " key-1", "key-1\u{0}", "key-1\n", "key-10", "key", "1",
                "../../dev/null", "/dev/null", "file:///dev/null", "http://127.0.0.1/jwks.json", "' or 1=1 --",
                "key-1' union select '1", "$(id)", "`id`", "%00", "%6bey-1", "key-1;key-1", "*", "ｋey-1",
                "a".repeat(6000), 1, 0, true, ["key-1"], { "kid": "key-1" },
            ]),
        ),
        ("crit", json!([null, [], ["exp"], ["b64"], ["alg", "kid"], ["unknown"], "exp", true, {}, [7]])),
        ("b64", json!([null, true, false, "false", 0])),
        ("zip", json!([null, "DEF", "GZIP", "", 7])),
        ("enc", json!([null, "A128GCM", "A256CBC-HS512", "", {}])),
        ("cty", json!(["JWT", "jwt", "application/jwt", "application/JWT", 7, ["JWT"]])),
    ];
    let mut forged = Vec::new();
    for (name, values) in parameters {
        for value in values.as_array().unwrap() {
            let mut header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "key-1" });
            header[name] = value.clone();
            let value: String = value.to_string().chars().take(60).collect();
            forged.push((format!("with {name} {value}"), issuer.sign_texts(&header.to_string(), &claims)));
        }
    }
    for name in ["alg", "typ"] {
        let mut header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "key-1" });
        header.as_object_mut().unwrap().shift_remove(name);
        forged.push((format!("without {name}"), issuer.sign_texts(&header.to_string(), &claims)));
    }
    for header in [
        "",
        "7",
        "null",
        "true",
        "\"ES256\"",
        "[]",
        "ES256",
        "{",
        "{}",
        r#"[{"alg":"ES256","typ":"at+jwt","kid":"key-1"}]"#,
        r#"{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"key-1"}"#,
        r#"{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"key-1"}"#,
        r#"{"alg":"ES256","typ":"JWT","typ":"at+jwt","kid":"key-1"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1","kid":"key-1"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1","x":{"a":1,"a":2}}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1","x":1,"x":2}"#,
        r#"{"\u0061lg":"none","alg":"ES256","typ":"at+jwt","kid":"key-1"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1"} x"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1"}{}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1",}"#,
        r"{'alg':'ES256','typ':'at+jwt','kid':'key-1'}",
        "\u{feff}{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"key-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"key-1\"}\u{0}",
        "{\"alg\":\"ES256\",/**/\"typ\":\"at+jwt\",\"kid\":\"key-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\\ud800\"}",
    ] {
        forged.push((format!("with the header {header}"), issuer.sign_texts(header, &claims)));
    }
    let deep =
        format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"key-1","x":{}7{}}}"#, "[".repeat(2000), "]".repeat(2000));
    forged.push(("with a deeply nested header".to_owned(), issuer.sign_texts(&deep, &claims)));
    forged
}

#[tokio::test]
async fn forged_tokens_are_rejected() {
    let (log, _guard) = LogCapture::start();
    let api = ApiFixture::new().await;
    let valid = api.issuer.token("fleet tenants:read");
    let get = async |token: &str| send(api.request_without_token(Method::GET, "/v1/tenants").bearer_auth(token)).await;
    assert_eq!(get(&valid).await.status, 200);
    let texts = api.issuer.sign_texts(
        r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1"}"#,
        &api.issuer.claims("fleet tenants:read", &json!({})).to_string(),
    );
    assert_eq!(get(&texts).await.status, 200, "the forged tokens are built like a valid one");

    let groups = [
        ("headers", with_other_headers(&api.issuer)),
        ("claims", claims::with_other_values(&api.issuer)),
        ("texts", claims::with_other_texts(&api.issuer)),
        ("parts", structure::with_other_parts(&valid)),
        ("signatures", structure::with_other_signatures(&valid)),
        ("keys", structure::with_other_keys(&api.issuer)),
    ];
    let counts: Vec<_> = groups.iter().map(|(group, forged)| format!("{} {group}", forged.len())).collect();
    let forged: Vec<_> = groups.into_iter().flat_map(|(_, forged)| forged).collect();
    eprintln!("{} forged tokens: {}", forged.len(), counts.join(", "));
    assert!(forged.len() >= 300, "only {} forged tokens", forged.len());
    for (what, token) in &forged {
        assert_ne!(*token, valid, "a token {what} is valid");
        let response = get(token).await;
        let (status, code) = response.status_and_code();
        assert_eq!(status, 401, "a token {what}: {}", response.text);
        assert!(["token_invalid", "token_expired"].contains(&code.as_str()), "a token {what}: {code}");
        assert!(response.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""), "a token {what}");
        assert!(!response.text.contains(token.as_str()), "a token {what} is repeated in the response");
    }
    assert_eq!(get(&valid).await.status, 200, "a valid token is still accepted");
    let messages = log.containing("");
    let is_expected = |message: &&String| message.contains("it has no claim sub");
    assert!(messages.iter().all(|message| is_expected(&message)), "{messages:?}");
}
