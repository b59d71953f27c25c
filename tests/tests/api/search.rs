//! Tests of the search for tenants, operations and other objects.

use freehold_tenancy::attention::{Attention, Remedy};
use freehold_tenancy::db::lifecycle::StepDisposition;
use freehold_tenancy::db::operations;
use freehold_tests::api_fixture::{ApiFixture, signup_body_with};
use serde_json::{Value, json};

/// Returns kind, id and match of each hit.
async fn search(api: &ApiFixture, text: &str) -> Vec<(String, String, String)> {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", text).finish();
    let response = api.get(&format!("/v1/search?{query}")).await;
    assert_eq!(response.status, 200, "{text}: {}", response.text);
    let hits = response.json()["hits"].as_array().expect("hits").clone();
    let field = |hit: &Value, name: &str| hit[name].as_str().unwrap_or_default().to_owned();
    hits.iter().map(|hit| (field(hit, "kind"), field(hit, "id"), field(hit, "match"))).collect()
}

#[tokio::test]
async fn any_text_or_id_that_people_know_finds_the_tenant() {
    let api = ApiFixture::new().await;
    let sign_up = async |change: Value| api.sign_up(&signup_body_with(change)).await;
    let long =
        sign_up(json!({ "company_name": "Example Gro\u{200b}up of Köln", "admin_email": "a@group.example" })).await;
    api.succeed_operation("111184122333").await;
    let exact = sign_up(json!({
        "company_name": "Example", "admin_email": "Ann_1@mail.example", "external_id": "Customer-4711",
    }))
    .await;
    api.succeed_operation("222233334444").await;
    let id = |tenant: &Value| tenant["id"].as_str().expect("an id").to_owned();
    let hit = |tenant: &Value, found: &str| ("tenant".to_owned(), id(tenant), found.to_owned());

    // The exact match is first, although the other one contains the text too.
    assert_eq!(search(&api, "EXAMPLE").await, [hit(&exact, "exact"), hit(&long, "prefix")]);
    for (text, tenant, found) in [
        ("group of", &long, "part"),
        ("example group of köln", &long, "exact"),
        ("84122", &long, "part"),
        ("111184122333", &long, "exact"),
        ("ann_1@MAIL.example", &exact, "exact"),
        ("customer-4711", &exact, "exact"),
        (" ann_", &exact, "prefix"),
        (&id(&exact), &exact, "exact"),
        (&id(&exact).to_uppercase(), &exact, "exact"),
    ] {
        assert_eq!(search(&api, text).await, [hit(tenant, found)], "{text}");
    }
    for text in ["ann%", "nothing", "ten_00000000000000000000000000", "ten_x", "\u{200b}"] {
        assert_eq!(search(&api, text).await, [], "{text}");
    }
    for (query, field) in [("", "q"), ("?q=", "q"), ("?q=a&limit=1", "limit")] {
        let refusal = api.get(&format!("/v1/search{query}")).await;
        assert!(refusal.status == 400 && refusal.text.contains(&format!("\"{field}\"")), "{query}: {}", refusal.text);
    }

    // A changed name is found at once, and the former one no longer.
    let etag = api.get(&format!("/v1/tenants/{}", id(&exact))).await.header("etag").to_owned();
    let update = api.request(reqwest::Method::PATCH, &format!("/v1/tenants/{}", id(&exact)));
    let update = update.header("if-match", etag).json(&json!({ "company_name": "Sample" })).send().await;
    assert_eq!(update.expect("a response").status(), 200);
    assert_eq!(search(&api, "sample").await, [hit(&exact, "exact")]);
    assert_eq!(search(&api, "example").await, [hit(&long, "prefix"), hit(&exact, "part")]);
}

#[tokio::test]
async fn each_id_finds_its_object() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({}))).await;
    let claim = api.claim_operation().await;
    let request = "8c6c2f5e-3f8a-4d5d-9a57-0d6a0c3f1a2b".to_owned();
    let attention = Attention {
        code: "stack_failed".to_owned(),
        message: "A person must check this.".to_owned(),
        remedies: vec![Remedy::Retry],
        aws_request_id: Some(request.clone()),
    };
    api.record_step(&claim, StepDisposition::Parked(attention), None).await;
    operations::release(&api.database.pool, &claim, None, api.clock.now()).await.expect("a release");

    let environment = &tenant["environments"][0];
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let operation = ("operation".to_owned(), text(&environment["operation_id"]), "exact".to_owned());
    assert_eq!(search(&api, &operation.1).await, std::slice::from_ref(&operation));
    assert_eq!(search(&api, &request.to_uppercase()).await, std::slice::from_ref(&operation));
    assert_eq!(search(&api, &request[..20]).await, []);
    let found = search(&api, &text(&environment["id"])).await;
    assert_eq!(found, [("environment".to_owned(), text(&environment["id"]), "exact".to_owned())]);

    // Without the scope to read operations, none are found.
    let token = api.issuer.token("fleet tenants:read");
    let restricted = api.request_without_token(reqwest::Method::GET, &format!("/v1/search?q={request}"));
    let found = restricted.bearer_auth(token).send().await.expect("a response").json::<Value>().await.expect("JSON");
    assert_eq!(found, json!({ "hits": [] }));
}
