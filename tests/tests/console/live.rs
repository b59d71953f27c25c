//! Tests of the streams that keep pages current.

use super::fixture::Console;
use super::pages::{SUPPORT, parked};

#[tokio::test]
async fn a_page_shows_its_state_on_connection_and_each_change() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let (tenant, operation) = parked(&console, "Example GmbH").await;
    for path in [format!("/console/tenants/{tenant}"), format!("/console/operations/{operation}")] {
        let mut stream = console.follow(&path).await;
        let first = stream.until("Nothing until a person decides.").await;
        // The content of `main` only, so that the frame of the page stays as it is.
        assert!(!first.contains("<main") && !first.contains("<nav class=\"nav\""), "{first}");
    }
    let mut of_tenant = console.follow(&format!("/console/tenants/{tenant}")).await;
    let mut of_list = console.follow("/console/attention").await;
    of_tenant.until("Nothing until a person decides.").await;
    of_list.until(&operation).await;

    console.post(&format!("/console/operations/{operation}/retry"), &[]).await;
    of_tenant.until("in the queue of AWS").await;
    of_list.until("No operation needs a person").await;
}

#[tokio::test]
async fn only_pages_of_the_console_are_followed_after_a_sign_in() {
    let mut console = Console::signed_in("bill", "fleet account-mappings:read").await;
    for (page, status) in [
        ("", 422),
        ("/v1/tenants", 422),
        ("/console-other", 422),
        ("/console/style.css", 422),
        ("/console/no-such-page", 404),
        ("/console/tenants", 403),
    ] {
        let response = console.get(&format!("/console/live?page={page}")).await;
        assert_eq!(response.status, status, "{page}: {}", response.text);
    }
    console.set_session("unknown");
    let response = console.get("/console/live?page=/console").await;
    assert!(response.status == 303 && response.header("location").starts_with("/console/sign-in"), "{}", response.text);
}

#[tokio::test]
async fn pages_are_compressed_and_load_one_script() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let page = console.get("/console/attention").await;
    assert_eq!(page.text.matches("<script").count(), 1, "{}", page.text);
    assert!(page.text.contains("<script src=\"/console/script.js\" defer></script>"), "{}", page.text);
    assert!(page.text.contains("hx-sse:connect=\"/console/live?page=%2Fconsole%2Fattention\""), "{}", page.text);
    let mut bytes = 0;
    for path in ["/console/attention", "/console/style.css", "/console/script.js", "/console/icon.svg"] {
        bytes += console.compressed_size(path).await;
    }
    assert!(bytes <= 60_000, "a first visit takes {bytes} bytes");
}
