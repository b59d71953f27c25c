//! Tests of the page of the audit trail.

use freehold_tests::api_fixture::signup_body_with;
use serde_json::json;

use super::fixture::Console;

#[tokio::test]
async fn the_audit_trail_starts_with_the_newest_entry_and_has_filters() {
    let mut console = Console::of_operator().await;
    let tenant = console.api.sign_up(&signup_body_with(json!({ "company_name": "Example & <Sons>" }))).await;
    let id = tenant["id"].as_str().expect("an id");
    let other = console.api.sign_up(&signup_body_with(json!({ "company_name": "Other" }))).await;
    console.api.delete(&format!("/v1/tenants/{id}")).await;
    console.api.get("/v1/audit-events").await;

    let page = console.get("/console/audit").await.text;
    let (offboarded, created) = (page.find("offboardTenant"), page.rfind("createTenant"));
    assert!(offboarded.is_some() && offboarded < created, "{page}");
    assert!(page.contains("Example &#38; &#60;Sons&#62;") && page.contains("Succeeded"), "{page}");
    let of_tenant = console.get(&format!("/console/audit?tenant={id}&action=createTenant")).await.text;
    assert!(of_tenant.contains(&format!("/console/tenants/{id}\"")), "{of_tenant}");
    assert!(!of_tenant.contains(other["id"].as_str().expect("an id")), "{of_tenant}");
    assert!(!of_tenant.contains(">offboardTenant"), "{of_tenant}");
    let later = console.get("/console/audit?from=2999-01-01").await.text;
    assert!(later.contains("No entry matches."), "{later}");
}

#[tokio::test]
async fn a_wrong_filter_of_the_audit_trail_is_explained_at_its_field() {
    let mut console = Console::of_operator().await;
    let page = console.get("/console/audit?tenant=example&from=yesterday").await;
    assert_eq!(page.status, 200);
    for text in ["must be a time such as 2026-10-31T00:00:00Z", "value=\"yesterday\"", "value=\"example\""] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
}
