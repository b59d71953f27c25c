//! Tests of the actions on a tenant: offboard, restore, suspend and resume.

use freehold_tests::api_fixture::{ALL_SCOPES, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{Console, Wrong};

/// Returns a console with a ready tenant, and the path of its page.
async fn with_tenant(config: &str, scopes: &str) -> (Console, String) {
    let mut console = Console::with_config(config).await;
    console.sign_in("/console", "sue", scopes, &Wrong::Nothing).await;
    let tenant = console.api.sign_up(&signup_body()).await;
    console.api.succeed_operation("111122223333").await;
    (console, format!("/console/tenants/{}", tenant["id"].as_str().expect("an id")))
}

async fn read(console: &Console, page: &str) -> Value {
    console.api.get(&page.replace("/console/", "/v1/")).await.json()
}

fn etag(page: &str) -> String {
    let value = page.split("name=\"etag\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    value.expect("an ETag").replace("&#34;", "\"").replace("&quot;", "\"")
}

/// Returns the actions to which the page of a tenant links.
async fn offered(console: &mut Console, page: &str) -> Vec<&'static str> {
    let text = console.get(page).await.text;
    let is_offered = |action: &&str| text.contains(&format!("href=\"{page}/{action}\""));
    ["restore", "resume", "suspend", "offboard"].into_iter().filter(is_offered).collect()
}

#[tokio::test]
async fn an_offboarding_needs_the_name_of_the_tenant_and_can_be_undone() {
    let (mut console, page) = with_tenant("", ALL_SCOPES).await;
    assert_eq!(offered(&mut console, &page).await, ["suspend", "offboard"]);
    let action = format!("{page}/offboard");
    let form = console.get(&action).await.text;
    for text in ["Undo until", "for 7 d 0 h", "111122223333", "The stacks are deleted", "close_account"] {
        assert!(form.contains(text), "{text}: {form}");
    }
    let etag = etag(&form);
    let wrong = console.post(&action, &[("name", "Example"), ("etag", &etag), ("close_account", "true")]).await.text;
    assert!(wrong.contains("must be the name of the tenant: Example GmbH"), "{wrong}");
    assert!(wrong.contains("value=\"Example\"") && wrong.contains("value=\"true\" checked"), "{wrong}");
    let outdated = console.post(&action, &[("name", "Example GmbH"), ("etag", "\"other\"")]).await.text;
    assert!(outdated.contains("has changed since you read"), "{outdated}");
    assert_eq!(read(&console, &page).await["state"], "ready");

    let done = console.post(&action, &[("name", "Example  GmbH "), ("etag", &etag)]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, page.as_str()), "{}", done.text);
    assert_eq!(read(&console, &page).await["state"], "offboarding");
    assert_eq!(offered(&mut console, &page).await, ["restore"]);
    assert!(console.get(&action).await.text.contains("No environment of this tenant is in a state that allows this."));
    assert!(console.get(&format!("{page}/restore")).await.text.contains("Restore the tenant"));
    assert_eq!(console.post(&format!("{page}/restore"), &[]).await.status, 303);
    assert_eq!(read(&console, &page).await["state"], "restoring");
}

#[tokio::test]
async fn a_legal_hold_prevents_the_offboarding_on_its_page() {
    let (mut console, page) = with_tenant("[offboarding]\nclose_accounts = \"never\"", ALL_SCOPES).await;
    let open = console.get(&format!("{page}/offboard")).await.text;
    assert!(open.contains("Offboard the tenant") && !open.contains("close_account"), "{open}");
    let etag = etag(&open);
    let path = format!("{}/legal-hold", page.replace("/console/", "/v1/"));
    let hold = send(console.api.request(Method::PUT, &path).json(&json!({ "reason": "Case 4711." }))).await;
    assert!(hold.status.is_success(), "{}", hold.text);
    let held = console.get(&format!("{page}/offboard")).await.text;
    assert!(held.contains("A legal hold prevents the offboarding") && held.contains("Case 4711."), "{held}");
    assert!(!held.contains("Offboard the tenant"), "{held}");
    for etag in [etag.as_str(), "*"] {
        let fields = [("name", "Example GmbH"), ("etag", etag)];
        assert_eq!(console.post(&format!("{page}/offboard"), &fields).await.status, 200);
    }
    assert_eq!(read(&console, &page).await["state"], "ready");
}

#[tokio::test]
async fn a_tenant_is_suspended_and_resumed_with_reasons() {
    let (mut console, page) = with_tenant("", ALL_SCOPES).await;
    let suspend = format!("{page}/suspend");
    let etag_now = etag(&console.get(&suspend).await.text);
    let fields = |name, reason, note| [("name", name), ("reason", reason), ("note", note), ("etag", etag_now.as_str())];
    let wrong = console.post(&suspend, &fields("Other", "abuse", "")).await.text;
    assert!(wrong.contains("must be the name of the tenant") && wrong.contains("value=\"abuse\" selected"), "{wrong}");
    let wrong = console.post(&suspend, &fields("Example GmbH", "other", " ")).await.text;
    assert!(wrong.contains("must be given with the reason `other`"), "{wrong}");
    assert_eq!(read(&console, &page).await["suspension"], Value::Null);
    let done = console.post(&suspend, &fields("Example GmbH", "non_payment", "Invoice 4711")).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, page.as_str()), "{}", done.text);
    assert!(console.get(&page).await.text.contains("Invoice 4711"));
    assert_eq!(offered(&mut console, &page).await, ["resume", "offboard"]);

    let resume = format!("{page}/resume");
    let etag_now = etag(&console.get(&resume).await.text);
    let empty = console.post(&resume, &[("reason", ""), ("etag", &etag_now)]).await.text;
    assert!(empty.contains("field-error"), "{empty}");
    let done = console.post(&resume, &[("reason", "Invoice 4711 is paid."), ("etag", &etag_now)]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(read(&console, &page).await["suspension"], Value::Null);
}

#[tokio::test]
async fn actions_on_tenants_need_their_scopes() {
    let (mut console, page) = with_tenant("", "fleet tenants:read tenants:suspend").await;
    assert_eq!(offered(&mut console, &page).await, ["suspend"]);
    for action in ["offboard", "restore"] {
        let path = format!("{page}/{action}");
        assert_eq!(console.get(&path).await.status, 403, "{action}");
        let refused = console.post(&path, &[("name", "Example GmbH"), ("etag", "*")]).await;
        assert!(refused.status == 403 && refused.text.contains("tenants:delete"), "{action}: {}", refused.text);
    }
    assert_eq!(console.get(&format!("{page}/explode")).await.status, 404);
    assert_eq!(console.post(&format!("{page}/explode"), &[]).await.status, 404);
    assert_eq!(read(&console, &page).await["state"], "ready");
}
