//! Tests of tenant updates.

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

async fn patch(api: &ApiFixture, path: &str, if_match: Option<&str>, body: &Value) -> ApiResponse {
    let request = api.request(Method::PATCH, path).json(body);
    send(if_match.into_iter().fold(request, |request, tag| request.header("If-Match", tag))).await
}

fn path_of(tenant: &Value) -> String {
    format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_update_changes_only_the_given_fields() {
    let api = ApiFixture::new().await;
    let labels = json!({ "team": "north", "pilot": "yes" });
    let before = api.sign_up(&signup_body_with(json!({ "labels": labels, "external_id": "c-1" }))).await;
    let path = path_of(&before);
    let shown = api.get(&path).await;
    let tag = shown.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 16, "{tag}");

    let change =
        json!({ "company_name": "Example AG", "tier": "enterprise", "labels": { "pilot": null, "site": "b" } });
    let changed = patch(&api, &path, Some(&tag), &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let mut expected = before.clone();
    expected["company_name"] = json!("Example AG");
    expected["tier"] = json!("enterprise");
    expected["labels"] = json!({ "site": "b", "team": "north" });
    expected["updated_at"] = changed.json()["updated_at"].clone();
    assert_eq!(changed.json(), expected);
    assert_ne!(expected["updated_at"], before["updated_at"]);
    let now = api.get(&path).await;
    assert_eq!((now.json(), now.header("etag")), (changed.json(), changed.header("etag")));

    let without = patch(&api, &path, Some(changed.header("etag")), &json!({ "external_id": null })).await;
    assert_eq!(without.json()["external_id"], Value::Null, "{}", without.text);
    let updates = api.get("/v1/events?types=tenant.updated").await.json();
    let updates: Vec<_> = updates["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (&event["subject"], &event["data"]["changed"]))
        .collect();
    assert_eq!(
        updates,
        [(&before["id"], &json!(["company_name", "tier", "labels"])), (&before["id"], &json!(["external_id"]))]
    );
}

#[tokio::test]
async fn every_write_with_an_outdated_etag_is_rejected() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = path_of(&tenant);
    let etag = api.get(&path).await.header("etag").to_owned();
    assert_eq!(patch(&api, &path, Some(&etag), &json!({ "company_name": "Example AG" })).await.status, 200);
    let send = async |method: &Method, path: &str, tag: &str| {
        let request = api.request(method.clone(), path).header("If-Match", tag);
        send(if *method == Method::PUT { request.json(&json!({ "reason": "Case 4711." })) } else { request }).await
    };
    let requests = [
        (Method::PUT, format!("{path}/legal-hold")),
        (Method::DELETE, format!("{path}/legal-hold")),
        (Method::DELETE, format!("{path}/environments/production")),
        (Method::DELETE, path.clone()),
    ];
    let before = api.get(&path).await.json();
    for (method, path) in &requests {
        assert_eq!(
            send(method, path, &etag).await.status_and_code(),
            (412, "precondition_failed".into()),
            "{method} {path}"
        );
    }
    assert_eq!(api.get(&path).await.json(), before);
    for (method, request_path) in &requests {
        let tag = api.get(&path).await.header("etag").to_owned();
        assert!(send(method, request_path, &tag).await.status.is_success(), "{method} {request_path}");
    }
}

#[tokio::test]
async fn concurrent_updates_do_not_overwrite_each_other() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = path_of(&tenant);
    let etag = api.get(&path).await.header("etag").to_owned();
    let change = json!({ "company_name": "Example AG" });
    assert_eq!(patch(&api, &path, None, &change).await.status_and_code(), (428, "precondition_required".into()));
    assert_eq!(patch(&api, &path, Some(""), &change).await.status_and_code(), (428, "precondition_required".into()));
    for stale in ["\"7f3a\"", "7f3a", &format!("W/{etag}")] {
        assert_eq!(
            patch(&api, &path, Some(stale), &change).await.status_and_code(),
            (412, "precondition_failed".into()),
            "{stale}"
        );
    }
    assert_eq!(api.get(&path).await.json(), tenant, "the tenant was changed");

    // Of eight concurrent updates with the same ETag, one succeeds.
    let names = (0..8).map(|n| json!({ "company_name": format!("Example {n}") })).collect::<Vec<_>>();
    let all = names.iter().map(|change| patch(&api, &path, Some(&etag), change));
    let responses = futures::future::join_all(all).await;
    let done: Vec<_> = responses.iter().filter(|response| response.status == 200).collect();
    assert_eq!(done.len(), 1, "{responses:?}");
    assert!(responses.iter().all(|response| [200, 412].contains(&response.status.as_u16())), "{responses:?}");
    assert_eq!(api.get(&path).await.json(), done[0].json());
    assert_eq!(patch(&api, &path, Some("*"), &change).await.status, 200);
    let listed = format!("\"7f3a\", {}", api.get(&path).await.header("etag"));
    assert_eq!(patch(&api, &path, Some(&listed), &json!({})).await.status, 200);
}

#[tokio::test]
async fn an_update_without_changes_writes_no_event() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({ "labels": { "team": "north" } }))).await;
    for change in [
        json!({}),
        json!({ "company_name": "Example GmbH", "labels": { "team": "north", "pilot": null } }),
        json!({ "external_id": null }),
    ] {
        let response = patch(&api, &path_of(&tenant), Some("*"), &change).await;
        assert_eq!((response.status.as_u16(), response.json()), (200, tenant.clone()), "{change}");
    }
    let updates = api.get("/v1/events?types=tenant.updated").await.json();
    assert_eq!(updates["events"], json!([]));
}

#[tokio::test]
async fn a_tier_with_a_group_needs_an_email_that_can_be_a_user_name() {
    let api = ApiFixture::new().await;
    let long_email = format!("{}@{}.example.com", "x".repeat(64), "y".repeat(60));
    let tenant = api.sign_up(&signup_body_with(json!({ "admin_email": long_email }))).await;
    let refused = patch(&api, &path_of(&tenant), Some("*"), &json!({ "tier": "enterprise" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let error = &refused.json()["errors"][0];
    assert_eq!(error["field"], "tier");
    assert!(error["message"].as_str().unwrap().contains("admin_email must have at most 128 characters"), "{error}");

    let change = json!({ "tier": "enterprise", "admin_email": "admin@example.com" });
    assert_eq!(patch(&api, &path_of(&tenant), Some("*"), &change).await.status, 200);
    let refused = patch(&api, &path_of(&tenant), Some("*"), &json!({ "admin_email": long_email })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let error = &refused.json()["errors"][0];
    assert_eq!(error["field"], "admin_email");
    assert!(error["message"].as_str().unwrap().starts_with("must have at most 128 characters"), "{error}");
}

#[tokio::test]
async fn a_changed_admin_is_erased_with_the_tenant() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = path_of(&tenant);
    let change = json!({ "admin_email": "new@example.com" });
    assert_eq!(patch(&api, &path, None, &change).await.status_and_code(), (428, "precondition_required".into()));
    let changed = patch(&api, &path, Some(api.get(&path).await.header("etag")), &change).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["admin_email"]), (200, &json!("new@example.com")));
    let emails = async || {
        let emails = "select coalesce(admin_email, '') || array_to_string(former_admin_emails, ',') from tenants";
        sqlx::query_scalar::<_, String>(emails).fetch_one(&api.database.pool).await.unwrap()
    };
    assert_eq!(emails().await, "new@example.comadmin@example.com", "the onboarding removes the former administrator");
    assert_eq!(api.delete(&path).await.status, 202);
    assert_eq!(api.get(&path).await.json()["state"], "offboarded");
    assert_eq!(emails().await, "");
}

#[tokio::test]
async fn the_admin_cannot_change_during_an_upgrade_of_the_baseline() {
    let api = ApiFixture::new().await;
    let path = path_of(&api.sign_up(&signup_body_with(json!({ "tier": "enterprise" }))).await);
    api.succeed_operation("111122223333").await;
    let upgrade = api.post(&format!("{path}/environments/production/baseline-upgrades")).await;
    assert_eq!(upgrade.status, 202, "{}", upgrade.text);
    let before = api.row_counts().await;
    let refused = patch(&api, &path, Some("*"), &json!({ "admin_email": "new@example.com" })).await;
    assert_eq!(refused.status_and_code(), (409, "operation_in_progress".into()));
    assert!(refused.text.contains(upgrade.json()["operation_id"].as_str().unwrap()), "{}", refused.text);
    assert_eq!(
        (api.row_counts().await, &api.get(&path).await.json()["admin_email"]),
        (before, &json!("admin@example.com"))
    );
    assert_eq!(patch(&api, &path, Some("*"), &json!({ "company_name": "Other" })).await.status, 200);
}

#[tokio::test]
async fn each_invalid_field_of_an_update_is_reported() {
    let api = ApiFixture::new().await;
    let other = api.sign_up(&signup_body_with(json!({ "external_id": "c-1" }))).await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = path_of(&tenant);
    for (change, field, code) in [
        (json!({ "company_name": null }), "company_name", "missing"),
        (json!({ "company_name": "" }), "company_name", "invalid"),
        (json!({ "tier": "gold" }), "tier", "unknown_tier"),
        (json!({ "tier": null }), "tier", "missing"),
        (json!({ "external_id": "ü" }), "external_id", "invalid"),
        (json!({ "labels": null }), "labels", "missing"),
        (json!({ "labels": ["a"] }), "labels", "wrong_type"),
        (json!({ "labels": { "a": 7 } }), "labels.a", "wrong_type"),
        (json!({ "labels": { "": "7" } }), "labels.", "invalid"),
        (json!({ "admin_email": null }), "admin_email", "missing"),
        (json!({ "admin_email": "b" }), "admin_email", "invalid"),
        (json!({ "admin_email": 7 }), "admin_email", "wrong_type"),
        (json!({ "home_region": "eu-west-1" }), "home_region", "unknown_field"),
    ] {
        let refused = patch(&api, &path, Some("*"), &change).await;
        assert_eq!(refused.status, 422, "{change}: {}", refused.text);
        let error = &refused.json()["errors"][0];
        assert_eq!((error["field"].as_str(), error["code"].as_str()), (Some(field), Some(code)), "{change}");
    }
    let twice = patch(&api, &path, Some("*"), &json!({ "external_id": "c-1" })).await;
    assert_eq!(twice.status_and_code(), (409, "external_id_taken".into()));
    assert_eq!(api.get(&path).await.json(), tenant);
    assert_eq!(api.get(&path_of(&other)).await.json(), other);
    let unknown = patch(&api, "/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b", Some("*"), &json!({})).await;
    assert_eq!(unknown.status_and_code(), (404, "tenant_not_found".into()));
}
