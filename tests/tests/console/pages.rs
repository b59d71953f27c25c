//! Tests of the pages and their actions.

use freehold_tenancy::attention::Remedy;
use freehold_tests::api_fixture::signup_body_with;
use serde_json::{Value, json};

use super::fixture::{Console, Wrong};

pub(super) const SUPPORT: &str = "fleet tenants:read operations:read operations:write";
const BILLING: &str = "fleet tenants:read account-mappings:read";

/// Signs up a tenant whose onboarding needs attention. Returns the id of the tenant and of its operation.
pub(super) async fn parked(console: &Console, name: &str) -> (String, String) {
    parked_with(console, name, &[Remedy::Retry, Remedy::Cancel]).await
}

async fn parked_with(console: &Console, name: &str, remedies: &[Remedy]) -> (String, String) {
    let tenant = console.api.sign_up(&signup_body_with(json!({ "company_name": name }))).await;
    console.api.park_with_remedies("stack_failed", remedies).await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    (text(&tenant["id"]), text(&tenant["environments"][0]["operation_id"]))
}

/// Returns the subjects of the audit entries of an action.
async fn audited(console: &Console, action: &str) -> Vec<String> {
    let page = console.api.get(&format!("/v1/audit-events?action={action}")).await.json();
    let records = page["audit_events"].as_array().expect("records").iter();
    records.map(|event| event["record"]["actor"]["subject"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn support_finds_a_tenant_and_retries_its_operation() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let (tenant, operation) = parked(&console, "Example & <Sons>").await;
    for (path, text) in [
        ("/console", "Example &#38; &#60;Sons&#62;"),
        ("/console/attention", "stack_failed"),
        ("/console/tenants?q=sons", tenant.as_str()),
        ("/console/tenants?state=needs_attention", tenant.as_str()),
    ] {
        let page = console.get(path).await;
        assert!(page.status == 200 && page.text.contains(text), "{path}: {} {}", page.status, page.text);
        assert!(!page.text.contains("<Sons>"), "{path}: {}", page.text);
    }
    let by_id = console.get(&format!("/console/tenants?q={tenant}")).await;
    assert_eq!(by_id.header("location"), format!("/console/tenants/{tenant}"));

    // The page of the tenant shows why it waits, the command, and the action.
    let page = console.get(&format!("/console/tenants/{tenant}")).await.text;
    let action = format!("/console/operations/{operation}/retry");
    for text in [
        "Nothing until a person decides.",
        "What you can tell the customer",
        &format!("freehold operations retry {operation}"),
        &action,
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let done = console.post(&action, &[]).await;
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (303, format!("/console/operations/{operation}").as_str())
    );
    let page = console.get(&format!("/console/operations/{operation}")).await.text;
    assert!(!page.contains(&action), "{page}");
    assert_eq!(audited(&console, "retryOperation").await, ["sue"]);
    // A page that is out of date cannot retry again.
    let late = console.post(&action, &[]).await;
    assert_eq!(late.status, 409);
    assert!(late.text.contains("The operation does not need attention"), "{}", late.text);
}

#[tokio::test]
async fn a_cancellation_needs_the_name_of_the_tenant() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let (_, operation) = parked(&console, "Example GmbH").await;
    let action = format!("/console/operations/{operation}/cancel");
    let state = async |console: &Console| {
        console.api.get(&format!("/v1/operations/{operation}")).await.json()["state"].as_str().map(ToOwned::to_owned)
    };
    for fields in [&[][..], &[("name", "Example")]] {
        let refused = console.post(&action, fields).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains("must be the name of the tenant: Example GmbH"), "{}", refused.text);
    }
    assert_eq!(state(&console).await.as_deref(), Some("needs_attention"));
    assert_eq!(console.post(&action, &[("name", " Example GmbH ")]).await.status, 303);
    assert_eq!(state(&console).await.as_deref(), Some("canceled"));
}

#[tokio::test]
async fn a_person_without_the_scope_sees_no_button_and_is_refused() {
    let mut console = Console::signed_in("bill", BILLING).await;
    let (tenant, operation) = parked(&console, "Example GmbH").await;
    let page = console.get(&format!("/console/tenants/{tenant}")).await;
    assert!(page.status == 200 && !page.text.contains("/retry"), "{}", page.text);
    assert!(!console.get("/console").await.text.contains("/console/attention\""));
    for path in ["/console/attention".to_owned(), format!("/console/operations/{operation}")] {
        let refused = console.get(&path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text.contains("lacks the scope"), "{}", refused.text);
    }
    assert_eq!(console.post(&format!("/console/operations/{operation}/retry"), &[]).await.status, 403);
}

#[tokio::test]
async fn forms_of_other_sites_change_nothing() {
    let mut console = Console::of_operator().await;
    let (_, operation) = parked(&console, "Example GmbH").await;
    for site in ["cross-site", "same-site", "none"] {
        let refused = console.post_from(site, &format!("/console/operations/{operation}/retry"), &[]).await;
        assert_eq!(refused.status, 403, "{site}");
        assert!(refused.text.contains("comes from another site"), "{}", refused.text);
    }
    assert!(audited(&console, "retryOperation").await.is_empty());
}

#[tokio::test]
async fn pages_have_a_strict_policy_and_nothing_inline() {
    let mut console = Console::of_operator().await;
    let (tenant, operation) = parked(&console, "Example GmbH").await;
    for path in [
        "/console".to_owned(),
        "/console/attention".to_owned(),
        "/console/tenants".to_owned(),
        format!("/console/tenants/{tenant}"),
        format!("/console/operations/{operation}"),
        "/console/sign-in".to_owned(),
        "/console/tenants/ten_unknown".to_owned(),
        "/console/unknown".to_owned(),
    ] {
        let page = console.get(&path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        for inline in [" style=", "<style", "<script>", " onclick="] {
            assert!(!page.text.contains(inline), "{path}: {inline}");
        }
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn an_unknown_id_has_a_page_with_a_way_back() {
    let mut console = Console::of_operator().await;
    for path in ["/console/tenants/ten_unknown", "/console/operations/op_unknown", "/console/tenants/%2F..%2Fv1"] {
        let page = console.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.text.contains("does not exist") && page.text.contains("href=\"/console\""), "{}", page.text);
        assert!(page.text.contains(page.header("x-request-id")), "{}", page.text);
    }
    assert_eq!(console.get("/console/style.css").await.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn a_second_person_approves_exactly_what_was_requested() {
    let mut console = Console::of_operator().await;
    let (_, operation) = parked_with(&console, "Example GmbH", &[Remedy::Adopt]).await;
    // The operator requests the adoption of an account, and cannot approve it.
    let adopt = format!("/console/operations/{operation}/adopt");
    assert_eq!(console.post(&adopt, &[("aws_account_id", "777788889999")]).await.status, 303);
    let own = console.get("/console/approvals").await.text;
    assert!(own.contains("777788889999") && own.contains("This is your own request"), "{own}");
    assert!(!own.contains("/approve\""), "{own}");

    console.sign_in("/console", "bea", "fleet operations:read operations:approve", &Wrong::Nothing).await;
    let page = console.get("/console/approvals").await.text;
    let action = page.split("action=\"").find_map(|part| part.split_once("/approve\"")).expect("a button").0.to_owned();
    let hash =
        page.split("name=\"request_hash\" value=\"").nth(1).and_then(|part| part.split('"').next()).expect("a hash");
    let wrong = console.post(&format!("{action}/approve"), &[("request_hash", &"0".repeat(64))]).await;
    assert_eq!(wrong.status, 409, "{}", wrong.text);
    assert_eq!(console.post(&format!("{action}/approve"), &[("request_hash", hash)]).await.status, 303);
    assert!(console.get("/console/approvals").await.text.contains("No request waits for a decision"));
}

#[tokio::test]
async fn findings_and_rollouts_have_pages() {
    let mut console = Console::of_operator().await;
    for (path, text) in [
        ("/console/findings", "AWS and the database agree."),
        ("/console/rollouts", "There is no rollout yet."),
        ("/console/approvals", "No request waits for a decision."),
    ] {
        let page = console.get(path).await;
        assert!(page.status == 200 && page.text.contains(text), "{path}: {}", page.text);
    }
    assert_eq!(console.get("/console/rollouts/rol_unknown").await.status, 404);
    assert_eq!(console.post("/console/rollouts/rol_unknown/pause", &[]).await.status, 404);
    assert_eq!(console.post("/console/rollouts/rol_unknown/explode", &[]).await.status, 404);
}
