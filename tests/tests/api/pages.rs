//! Tests of lists and pagination.

use freehold_tests::api_fixture::{ApiFixture, signup_body_with};
use serde_json::{Value, json};

/// Reads a list page by page, and returns the ids of its rows, grouped by page. Calls `between` after the first page.
async fn read_all_pages(api: &ApiFixture, list: &str, query: &str, between: impl AsyncFnOnce()) -> Vec<Vec<String>> {
    let rows = list.replace('-', "_");
    let mut between = Some(between);
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let page = api.get(&format!("/v1/{list}?{query}&page_token={token}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let page = page.json();
        pages.push(page[&rows].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().into()).collect());
        let Some(next) = page["next_page_token"].as_str() else { return pages };
        token = next.to_owned();
        if let Some(between) = between.take() {
            between().await;
        }
    }
}

async fn sign_up_many(api: &ApiFixture, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let tenant = api.sign_up(&signup_body_with(json!({ "company_name": format!("Example {n}") }))).await;
        ids.push(tenant["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test]
async fn new_tenants_neither_skip_nor_repeat_rows_of_later_pages() {
    let api = ApiFixture::new().await;
    let mut expected = sign_up_many(&api, 7).await;
    // Ids of the same millisecond are in random order.
    expected.sort_unstable_by(|one, other| other.cmp(one));
    let pages = read_all_pages(&api, "tenants", "page_size=3", async || _ = sign_up_one_more(&api).await).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(pages.concat(), expected);
}

async fn sign_up_one_more(api: &ApiFixture) -> Value {
    api.sign_up(&signup_body_with(json!({ "company_name": "Later GmbH" }))).await
}

#[tokio::test]
async fn a_full_last_page_has_no_next_page() {
    let api = ApiFixture::new().await;
    sign_up_many(&api, 4).await;
    let pages = read_all_pages(&api, "tenants", "page_size=2", async || ()).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn operations_mappings_and_access_are_paginated() {
    let api = ApiFixture::new().await;
    for n in 0..5 {
        api.sign_up(&signup_body_with(json!({ "company_name": format!("Example {n}") }))).await;
        api.succeed_operation(&format!("11112222333{n}")).await;
    }
    for list in ["operations", "account-mappings", "access-review"] {
        let pages = read_all_pages(&api, list, "page_size=2", async || ()).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1], "{list}");
        let mut rows = pages.concat();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 5, "{list}");
    }
}

#[tokio::test]
async fn a_page_token_is_valid_only_for_its_list_and_filters() {
    let api = ApiFixture::new().await;
    sign_up_many(&api, 3).await;
    let page = api.get("/v1/tenants?page_size=1&tier=standard").await.json();
    let token = page["next_page_token"].as_str().unwrap();
    // The page size may change between pages, and the order of filters is irrelevant.
    assert_eq!(api.get(&format!("/v1/tenants?page_token={token}&tier=standard&page_size=2")).await.status, 200);
    for path in [
        format!("/v1/tenants?page_token={token}"),
        format!("/v1/tenants?tier=enterprise&page_token={token}"),
        format!("/v1/tenants?tier=standard&q=x&page_token={token}"),
        format!("/v1/operations?page_token={token}"),
        "/v1/tenants?page_token=4711".to_owned(),
    ] {
        assert_eq!(api.get(&path).await.status_and_code(), (400, "invalid_page_token".into()), "{path}");
    }
}

#[tokio::test]
async fn filters_narrow_the_list_of_tenants() {
    let api = ApiFixture::new().await;
    let sign_up = async |change: Value| api.sign_up(&signup_body_with(change)).await["id"].clone();
    let parked = sign_up(json!({ "company_name": "Parked", "home_region": "us-east-1", "tier": "enterprise" })).await;
    api.park("account_email_taken").await;
    let ready = sign_up(json!({ "company_name": "100% Ready", "external_id": "customer_1" })).await;
    api.succeed_operation("111122223333").await;
    let onboarding = sign_up(json!({ "company_name": "O\u{308}nboard\u{200c}ing", "external_id": "customer-1" })).await;
    for (query, expected) in [
        ("state=needs_attention", vec![&parked]),
        ("state=ready", vec![&ready]),
        ("state=onboarding", vec![&onboarding]),
        ("home_region=us-east-1", vec![&parked]),
        ("home_region=eu-central-1", vec![&onboarding, &ready]),
        ("tier=enterprise", vec![&parked]),
        ("external_id=customer_1", vec![&ready]),
        ("q=aRk", vec![&parked]),
        ("q=100%25", vec![&ready]),
        ("q=r_1", vec![&ready]),
        ("q=CUSTOMER", vec![&onboarding, &ready]),
        ("q=r&tier=standard&state=ready", vec![&ready]),
        // ÖNBOARDING with a composed letter, and a fullwidth form.
        ("q=%C3%96nBoarding", vec![&onboarding]),
        ("q=%EF%BC%B2eady", vec![&ready]),
        ("q=%E2%80%8B", vec![]),
        ("q=missing", vec![]),
    ] {
        let page = api.get(&format!("/v1/tenants?{query}")).await.json();
        let found: Vec<_> = page["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["id"]).collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn an_account_mapping_contains_tenant_and_environment() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({ "external_id": "customer-4711" }))).await;
    assert_eq!(
        api.get("/v1/account-mappings").await.json(),
        json!({ "account_mappings": [], "feed_position": 1, "next_page_token": null })
    );
    api.succeed_operation("001122223333").await;
    let id = tenant["id"].as_str().unwrap();
    let page = api.get(&format!("/v1/account-mappings?tenant={id}")).await.json();
    let mapping = &page["account_mappings"][0];
    assert_eq!(mapping["aws_account_id"], "001122223333");
    assert_eq!(mapping["tenant_id"], tenant["id"]);
    assert_eq!(mapping["environment_id"], tenant["environments"][0]["id"]);
    for field in ["company_name", "external_id", "tier"] {
        assert_eq!(mapping[field], tenant[field], "{field}");
    }
    assert_eq!(mapping["valid_to"], Value::Null);
    let other = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b";
    let none = api.get(&format!("/v1/account-mappings?tenant={other}")).await.json();
    assert_eq!(none["account_mappings"], json!([]));
}
