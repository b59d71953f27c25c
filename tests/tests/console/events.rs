//! Tests of the page of the feed.

use freehold_tests::api_fixture::signup_body_with;
use serde_json::json;

use super::fixture::Console;

/// Returns the path of the link whose text is `label`.
fn link(page: &str, label: &str) -> Option<String> {
    let before = page.split(&format!("\">{label}</a>")).next().filter(|before| before.len() < page.len())?;
    let path = before.rsplit("href=\"").next()?;
    Some(path.replace("&#38;", "&").replace("&amp;", "&"))
}

#[tokio::test]
async fn pages_of_the_feed_lead_from_the_newest_event_to_the_oldest() {
    let mut console = Console::of_operator().await;
    for number in 0..60 {
        let name = format!("Company {number:02}");
        console.api.sign_up(&signup_body_with(json!({ "company_name": name }))).await;
    }
    let first = console.get("/console/events").await.text;
    assert!(first.contains("Company 59") && !first.contains("Company 00"), "{first}");
    let next = link(&first, "Older events").expect("a second page");
    let second = console.get(&next).await.text;
    assert!(second.contains("Company 00") && !second.contains("Company 59"), "{second}");
    assert!(second.contains("tenant.onboarding.accepted"), "{second}");
    assert_eq!(link(&second, "Older events"), None);

    let none = console.get("/console/events?types=environment.ready").await.text;
    assert!(none.contains("No event matches."), "{none}");
    let wrong = console.get("/console/events?types=environment.lost").await.text;
    assert!(wrong.contains("must be one of") && wrong.contains("value=\"environment.lost\""), "{wrong}");
}
