//! Tests of the sign-in and of sessions.

use freehold_tests::api_fixture::ALL_SCOPES;
use serde_json::json;

use super::fixture::{Console, Wrong};

#[tokio::test]
async fn a_person_signs_in_reads_and_signs_out() {
    let mut console = Console::new().await;
    let first = console.get("/console/tenants?state=ready").await;
    let sign_in = "/console/sign-in?to=%2Fconsole%2Ftenants%3Fstate%3Dready";
    assert_eq!((first.status.as_u16(), first.header("location")), (303, sign_in));
    let page = console.get(sign_in).await;
    assert!(
        page.text.contains("href=\"/console/sign-in/go?to=%2Fconsole%2Ftenants%3Fstate%3Dready\""),
        "{}",
        page.text
    );
    let done = console.sign_in("%2Fconsole%2Ftenants%3Fstate%3Dready", "ann", ALL_SCOPES, &Wrong::Nothing).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/console/tenants?state=ready"), "{}", done.text);
    let page = console.get("/console").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("<p>ann</p>"), "{}", page.text);

    let session = console.session().expect("a session").clone();
    assert_eq!(console.post("/console/sign-out", &[]).await.header("location"), "/console/sign-in");
    assert!(console.session().is_none());
    // The session has ended on the server too.
    console.set_session(&session);
    assert_eq!(console.get("/console").await.status, 303);
}

#[tokio::test]
async fn a_sign_in_with_a_wrong_value_begins_no_session() {
    let tenant = json!({ "scope": "tenants:read", "tenant_id": "ten_01k2m8v3x9e7rt4s5q6w7y8z9b" });
    for wrong in [
        Wrong::State,
        Wrong::Issuer,
        Wrong::Nonce,
        Wrong::Client,
        Wrong::Verifier,
        Wrong::Refusal,
        Wrong::Claims(json!({ "aud": "other" })),
        Wrong::Claims(tenant),
    ] {
        let mut console = Console::new().await;
        let response = console.sign_in("/console", "ann", ALL_SCOPES, &wrong).await;
        assert!(matches!(response.status.as_u16(), 401 | 403), "{wrong:?}: {}", response.status);
        assert!(response.header("content-type").starts_with("text/html"), "{wrong:?}");
        assert!(console.session().is_none(), "{wrong:?}");
        assert_eq!(console.get("/console").await.status, 303, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_sign_in_leads_to_pages_of_the_console_only() {
    let long = format!("/console/{}", "x".repeat(2000));
    for to in [
        "https://other.example.com/",
        "//other.example.com",
        "%5C%5Cother.example.com",
        "/consoles",
        "/v1/tenants",
        "/console/../v1/tenants",
        &long,
    ] {
        let mut console = Console::new().await;
        let done = console.sign_in(to, "ann", ALL_SCOPES, &Wrong::Nothing).await;
        assert_eq!(done.header("location"), "/console", "{to}");
    }
}

#[tokio::test]
async fn an_action_after_the_end_of_the_session_leads_back_to_its_page() {
    let mut console = Console::new().await;
    let response = console.post("/console/operations/op_1/retry", &[]).await;
    let sign_in = "/console/sign-in?to=%2Fconsole%2Foperations%2Fop_1";
    assert_eq!((response.status.as_u16(), response.header("location")), (303, sign_in));
}

#[tokio::test]
async fn the_requests_of_a_person_are_limited() {
    let mut console = Console::with_config("requests_per_minute = 60").await;
    console.sign_in("/console", "ann", ALL_SCOPES, &Wrong::Nothing).await;
    let mut statuses = Vec::new();
    for _ in 0..70 {
        statuses.push(console.get("/console/attention").await.status.as_u16());
    }
    assert!(statuses.starts_with(&[200; 5]) && statuses.ends_with(&[429]), "{statuses:?}");
    // Another person is not affected.
    console.sign_in("/console", "bob", ALL_SCOPES, &Wrong::Nothing).await;
    assert_eq!(console.get("/console/attention").await.status, 200);
}

#[tokio::test]
async fn an_api_without_console_section_has_no_pages() {
    let api = freehold_tests::api_fixture::ApiFixture::new().await;
    let response = api.get("/console").await;
    assert_eq!(response.status, 404);
}
