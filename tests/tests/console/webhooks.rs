//! Tests of the pages of webhook endpoints and their actions.

use freehold_tests::api_fixture::{ALL_SCOPES, send, signup_body};
use freehold_tests::webhook_fixture::SECRETS_KEY;
use reqwest::Method;
use serde_json::json;

use super::fixture::{Console, Wrong};

const URL: &str = "https://1.1.1.1/freehold";

/// Returns a console with an endpoint, and the path of its page. A person with `scopes` is signed in.
async fn with_endpoint(scopes: &str) -> (Console, String) {
    let mut console = Console::with_config(&format!("[secrets]\nkey = \"{SECRETS_KEY}\"")).await;
    console.sign_in("/console", "sue", scopes, &Wrong::Nothing).await;
    let body = json!({ "url": URL, "description": "billing" });
    let created = send(console.api.request(Method::POST, "/v1/webhook-endpoints").json(&body)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let page = format!("/console/webhooks/{}", created.json()["id"].as_str().expect("an id"));
    (console, page)
}

/// Returns the value of a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    let value = page.split(&start).nth(1).and_then(|rest| rest.split('"').next()).expect("a hidden field");
    value.replace("&#34;", "\"").replace("&quot;", "\"")
}

#[tokio::test]
async fn support_disables_enables_and_deletes_an_endpoint() {
    let (mut console, page) = with_endpoint(ALL_SCOPES).await;
    let list = console.get("/console/webhooks").await.text;
    assert!(list.contains(&page) && list.contains(URL) && list.contains("Enabled"), "{list}");

    let done = console.post(&format!("{page}/disable"), &[]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, page.as_str()));
    let disabled = console.get(&page).await.text;
    assert!(disabled.contains("Disabled") && disabled.contains(&format!("{page}/enable")), "{disabled}");
    assert!(!disabled.contains(&format!("{page}/replay")), "{disabled}");
    assert_eq!(console.post(&format!("{page}/enable"), &[]).await.status, 303);

    let etag = hidden(&console.get(&page).await.text, "etag");
    let action = format!("{page}/delete");
    let refused = console.post(&action, &[("url", "https://1.1.1.1"), ("etag", &etag)]).await;
    assert!(refused.status == 422 && refused.text.contains("must be the URL of the endpoint"), "{}", refused.text);
    let outdated = console.post(&action, &[("url", URL), ("etag", "\"other\"")]).await;
    assert_eq!(outdated.status, 412, "{}", outdated.text);
    let done = console.post(&action, &[("url", URL), ("etag", &etag)]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/console/webhooks"));
    assert!(console.get("/console/webhooks").await.text.contains("No endpoint receives events yet."));
    assert_eq!(console.get(&page).await.status, 404);
}

#[tokio::test]
async fn a_rotated_secret_is_shown_once() {
    let (mut console, page) = with_endpoint(ALL_SCOPES).await;
    let key = hidden(&console.get(&page).await.text, "key");
    let action = format!("{page}/rotate");
    let rotated = console.post(&action, &[("key", &key)]).await;
    assert!(rotated.status == 200 && rotated.text.contains("whsec_"), "{}", rotated.text);
    assert_eq!(rotated.header("cache-control"), "no-store");
    // The page is loaded again.
    let again = console.post(&action, &[("key", &key)]).await;
    assert!(again.status == 200 && !again.text.contains("whsec_"), "{}", again.text);
    assert!(again.text.contains("was rotated before this page was loaded again"), "{}", again.text);
    let shown = console.get(&page).await.text;
    assert!(!shown.contains("whsec_") && shown.contains("signs too until"), "{shown}");
}

#[tokio::test]
async fn events_and_deliveries_are_sent_again() {
    let (mut console, page) = with_endpoint(ALL_SCOPES).await;
    console.api.sign_up(&signup_body()).await;
    let replay = format!("{page}/replay");
    let wrong = console.post(&replay, &[("since", "last week")]).await;
    for text in ["must be a time such as 2026-10-31T00:00:00Z", "value=\"last week\"", "aria-invalid=\"true\""] {
        assert!(wrong.text.contains(text), "{text}: {}", wrong.text);
    }
    let since = (console.api.clock.now() - chrono::TimeDelta::days(1)).format("%Y-%m-%d %H:%M").to_string();
    let done = console.post(&replay, &[("since", &since)]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, format!("{page}?replayed=1").as_str()));
    let shown = console.get(&format!("{page}?replayed=1")).await.text;
    assert!(shown.contains("1 event is sent again.") && shown.contains("tenant.onboarding.accepted"), "{shown}");

    let delivery = shown.split(&format!("{page}/deliveries/")).nth(1).and_then(|rest| rest.split('"').next());
    let delivery = format!("{page}/deliveries/{}", delivery.expect("a delivery"));
    assert!(console.get(&delivery).await.text.contains("Nothing was sent yet."));
    let attempt = "insert into webhook_attempts (delivery_id, number, started_at, duration_ms, response_status, error,
        message) select id, 1, created_at, 182, 503, 'status', 'The receiver answered 503, not 2xx.'
        from webhook_deliveries";
    sqlx::query(attempt).execute(&console.api.database.pool).await.expect("an attempt");
    let shown = console.get(&delivery).await.text;
    for text in ["503", "182 ms", "The receiver answered 503, not 2xx."] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let done = console.post(&format!("{delivery}/resend"), &[]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, delivery.as_str()), "{}", done.text);
    let filtered = console.get(&format!("{page}?state=delivered")).await.text;
    assert!(filtered.contains("No delivery matches."), "{filtered}");
}

#[tokio::test]
async fn a_test_event_leads_to_its_delivery() {
    let (mut console, page) = with_endpoint(ALL_SCOPES).await;
    let shown = console.get(&page).await.text;
    assert!(shown.contains("Send a test event") && shown.contains("event of the feed"), "{shown}");
    let done = console.post(&format!("{page}/test"), &[]).await;
    let delivery = done.header("location").to_owned();
    assert!(done.status == 303 && delivery.starts_with(&format!("{page}/deliveries/whd_")), "{delivery}");
    let shown = console.get(&delivery).await.text;
    assert!(shown.contains("webhook.test") && shown.contains("not in the feed"), "{shown}");
}

#[tokio::test]
async fn a_reader_of_webhooks_sees_no_action_and_is_refused() {
    let (mut console, page) = with_endpoint("fleet webhooks:read").await;
    let shown = console.get(&page).await.text;
    assert!(shown.contains(URL) && !shown.contains(&format!("action=\"{page}/")), "{shown}");
    for (action, fields) in [
        ("disable", vec![]),
        ("enable", vec![]),
        ("test", vec![]),
        ("rotate", vec![("key", "key-1")]),
        ("replay", vec![("since", "2026-01-01")]),
        ("delete", vec![("url", URL), ("etag", "*")]),
        ("deliveries/whd_1/resend", vec![]),
    ] {
        let refused = console.post(&format!("{page}/{action}"), &fields).await;
        assert!(refused.status == 403 && refused.text.contains("webhooks:write"), "{action}: {}", refused.text);
    }
}
