//! Environments that come later than the signup.

use freehold_tests::api_fixture::{Answered, Served, send, signup};
use reqwest::Method;
use serde_json::{Value, json};

async fn add(api: &Served, tenant: &str, key: &str, body: &Value) -> Answered {
    let request = api.request(Method::POST, &format!("{tenant}/environments"));
    send(request.header("Idempotency-Key", key).json(body)).await
}

async fn tenant(api: &Served) -> String {
    format!("/v1/tenants/{}", api.signed_up(&signup()).await["id"].as_str().unwrap())
}

#[tokio::test]
async fn another_environment_begins_once_however_often_it_is_asked_for() {
    let api = Served::new().await;
    let tenant = tenant(&api).await;
    let body = json!({ "name": "staging" });
    let added = add(&api, &tenant, "one", &body).await;
    assert_eq!(added.status, 202, "{}", added.text);
    assert_eq!(added.header("location"), format!("{tenant}/environments/staging"));
    let environment = added.json();
    assert_eq!((&environment["state"], &environment["home_region"]), (&json!("onboarding"), &json!("eu-central-1")));
    let again = add(&api, &tenant, "one", &body).await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&added.text, "true"));
    let reused = add(&api, &tenant, "one", &json!({ "name": "test" })).await;
    assert_eq!(reused.outcome(), (422, "idempotency_key_reused".into()));
    let same_name = add(&api, &tenant, "two", &body).await;
    assert_eq!(same_name.outcome(), (409, "environment_exists".into()));

    let shown = api.get(&format!("{tenant}/environments/staging")).await.json();
    assert_eq!(shown, environment);
    let operation = api.get(&format!("/v1/operations/{}", environment["operation_id"].as_str().unwrap())).await.json();
    assert_eq!((&operation["kind"], &operation["environment"]), (&json!("onboard"), &json!("staging")));
    assert_eq!(operation["queue"]["position"], 2);
    assert_eq!(api.get(&tenant).await.json()["environments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sixty_four_equal_wishes_make_one_environment() {
    let api = Served::new().await;
    let tenant = tenant(&api).await;
    let body = json!({ "name": "staging", "home_region": "us-east-1" });
    let wishes = (0..64).map(|_| add(&api, &tenant, "one", &body));
    for answered in futures::future::join_all(wishes).await {
        let outcome = answered.outcome();
        let under_way = outcome == (409, "idempotency_key_in_flight".to_owned());
        assert!(under_way || answered.status == 202, "{outcome:?}: {}", answered.text);
    }
    let environments = api.get(&tenant).await.json()["environments"].clone();
    assert_eq!(environments.as_array().unwrap().len(), 2);
    assert_eq!(environments[1]["home_region"], "us-east-1");
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_nothing_is_written() {
    let api = Served::new().await;
    let tenant = tenant(&api).await;
    let before = api.rows().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "Staging" }), "name"),
        (json!({ "name": "x".repeat(33) }), "name"),
        (json!({ "name": 7 }), "name"),
        (json!({ "name": "staging", "home_region": "mars-north-1" }), "home_region"),
        (json!({ "name": "staging", "home_region": "ap-northeast-1" }), "home_region"),
        (json!({ "name": "staging", "size": "large" }), "size"),
    ] {
        let refused = add(&api, &tenant, "one", &body).await;
        assert_eq!(refused.outcome(), (422, "validation_failed".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let without =
        api.as_person("ann", Method::POST, &format!("{tenant}/environments"), &json!({ "name": "test" })).await;
    assert_eq!(without.outcome(), (400, "idempotency_key_required".into()));
    let unknown = add(&api, "/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b", "one", &json!({ "name": "staging" })).await;
    assert_eq!(unknown.outcome(), (404, "tenant_not_found".into()));
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_tenant_has_at_most_twenty_environments_and_one_that_is_gone_gets_none() {
    let api = Served::new().await;
    let tenant = tenant(&api).await;
    for number in 2..=20 {
        let added = add(&api, &tenant, &format!("key-{number}"), &json!({ "name": format!("e{number}") })).await;
        assert_eq!(added.status, 202, "{}", added.text);
    }
    let body = json!({ "name": "e21" });
    assert_eq!(add(&api, &tenant, "more", &body).await.outcome(), (409, "too_many_environments".into()));
    // Nothing was asked of AWS yet, so that they are gone at once.
    assert_eq!(api.delete(&tenant).await.json()["state"], "offboarded");
    assert_eq!(add(&api, &tenant, "more", &body).await.outcome(), (409, "tenant_offboarded".into()));
}
