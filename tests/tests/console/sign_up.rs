//! Tests of the form that creates a tenant.

use freehold_tests::api_fixture::signup_body_with;
use serde_json::json;

use super::fixture::Console;

const PAGE: &str = "/console/sign-up";

const FIELDS: [(&str, &str); 3] =
    [("company_name", "Example GmbH"), ("admin_email", "admin@example.com"), ("home_region", "eu-central-1")];

/// Returns the fields of the form with changes.
fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    FIELDS.into_iter().filter(|(name, _)| !is_changed(name)).chain(changes.iter().copied()).collect()
}

async fn tenants(console: &Console) -> usize {
    console.api.get("/v1/tenants").await.json()["tenants"].as_array().expect("tenants").len()
}

#[tokio::test]
async fn a_check_shows_the_dry_run_and_creates_nothing() {
    let mut console = Console::of_operator().await;
    let form = console.get(PAGE).await.text;
    assert!(form.contains("Frankfurt") && form.contains("<optgroup label=\"eu\">"), "{form}");
    let checked = console.post(&format!("{PAGE}/check"), &with(&[("environments", "production, staging")])).await;
    for text in [
        "The signup would be accepted",
        "freehold-region-eu",
        "number 1 in the queue",
        "staging",
        "value=\"Example GmbH\"",
    ] {
        assert!(checked.text.contains(text), "{text}: {}", checked.text);
    }
    assert_eq!(tenants(&console).await, 0);

    console.api.sign_up(&signup_body_with(json!({ "external_id": "customer-1" }))).await;
    let taken = console.post(&format!("{PAGE}/check"), &with(&[("external_id", "customer-1")])).await.text;
    for text in
        ["The signup would be refused", "an active tenant has this external_id", "an active tenant has this name"]
    {
        assert!(taken.contains(text), "{text}: {taken}");
    }
}

#[tokio::test]
async fn a_form_that_is_sent_twice_creates_one_tenant() {
    let mut console = Console::of_operator().await;
    let form = console.get(PAGE).await.text;
    let key = form.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key");
    let fields = with(&[("key", key), ("labels", "team = north\npilot=yes")]);
    let first = console.post(PAGE, &fields).await;
    assert_eq!(first.status, 303, "{}", first.text);
    let tenant = first.header("location").to_owned();
    let second = console.post(PAGE, &fields).await;
    assert_eq!((second.status.as_u16(), second.header("location")), (303, tenant.as_str()), "{}", second.text);
    assert_eq!(tenants(&console).await, 1);
    let page = console.get(&tenant).await.text;
    assert!(page.contains("Example GmbH") && page.contains("north"), "{page}");

    // The same form with other values does not create a tenant by mistake.
    let other = console.post(PAGE, &with(&[("key", key), ("company_name", "Other GmbH")])).await;
    assert!(other.text.contains("This form has created a tenant with other values already."), "{}", other.text);
    assert!(!other.text.contains(key) && other.text.contains("value=\"Other GmbH\""), "{}", other.text);
    assert_eq!(tenants(&console).await, 1);
}

#[tokio::test]
async fn a_refused_signup_keeps_its_texts_and_explains_each_field() {
    let mut console = Console::of_operator().await;
    let fields = with(&[
        ("admin_email", "unknown"),
        ("home_region", "mars-north-1"),
        ("environments", "production,production"),
        ("key", "key-1"),
    ]);
    for path in [PAGE.to_owned(), format!("{PAGE}/check")] {
        let refused = console.post(&path, &fields).await;
        assert_eq!(refused.status, 200, "{}", refused.text);
        assert_eq!(refused.text.matches("class=\"field-error\"").count(), 3, "{}", refused.text);
        for text in ["value=\"Example GmbH\"", "value=\"unknown\"", "must have a different name", "value=\"key-1\""] {
            assert!(refused.text.contains(text), "{path}: {text}: {}", refused.text);
        }
    }
    let refused = console.post(PAGE, &with(&[("labels", "team"), ("key", "key-1")])).await.text;
    assert!(refused.contains("`team` has no `=`"), "{refused}");
    console.api.sign_up(&signup_body_with(json!({ "external_id": "customer-1" }))).await;
    let taken = console.post(PAGE, &with(&[("external_id", "customer-1"), ("key", "key-2")])).await.text;
    assert!(taken.contains("An active tenant already has this external_id"), "{taken}");
    assert!(taken.contains("value=\"customer-1\""), "{taken}");
}

#[tokio::test]
async fn a_reader_of_tenants_cannot_sign_up() {
    let mut console = Console::signed_in("rita", "fleet tenants:read").await;
    for path in [PAGE.to_owned(), format!("{PAGE}/check")] {
        let refused = console.post(&path, &with(&[("key", "key-1")])).await;
        assert!(refused.status == 403 && refused.text.contains("tenants:write"), "{path}: {}", refused.text);
    }
    assert_eq!(tenants(&console).await, 0);
}
