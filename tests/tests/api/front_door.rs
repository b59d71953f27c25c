//! Tests of front doors and of moves of the home: at the signup, when an environment is added, and later.

use freehold_tenancy::Config;
use freehold_tenancy::db::lifecycle::{self, StepDisposition};
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

/// Returns an API whose residency `eu` allows front doors, and whose tier `enterprise` has them by default.
async fn api() -> ApiFixture {
    let mut api = ApiFixture::new().await;
    api.restart_with(|config: &mut Config| {
        config.residencies[0].edge = true;
        config.residencies[2].edge = true;
        config.tiers[1].front_door = true;
    })
    .await;
    api
}

/// Signs up a tenant with a replica and finishes its onboarding. Returns its path.
async fn ready_tenant(api: &ApiFixture, front_door: bool) -> String {
    let changes = json!({ "replica_regions": ["eu-west-1"], "front_door": front_door });
    let tenant = api.sign_up(&signup_body_with(changes)).await;
    api.succeed_operation("111122223333").await;
    for make_ready in [
        "update environment_replicas set state = 'ready', ready_at = created_at",
        "update environment_front_doors set state = 'deployed', deployed_at = created_at, \
            domain = 'd111111abcdef8.cloudfront.net', url = 'https://d111111abcdef8.cloudfront.net/'",
    ] {
        sqlx::query(make_ready).execute(&api.database.pool).await.unwrap();
    }
    format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())
}

async fn change(api: &ApiFixture, tenant: &str, if_match: &str, body: &Value) -> ApiResponse {
    let request = api.request(Method::PATCH, &format!("{tenant}/environments/production"));
    send(request.header("If-Match", if_match).json(body)).await
}

/// Completes the open operation of the only tenant, as a worker does.
async fn finish_operation(api: &ApiFixture) {
    let claim = api.claim_operation().await;
    api.record_step(&claim, StepDisposition::Done, None).await;
    assert!(lifecycle::succeed(&api.database.pool, &claim, api.clock.now()).await.unwrap());
}

async fn move_home(api: &ApiFixture, tenant: &str, body: &Value) -> ApiResponse {
    send(api.request(Method::POST, &format!("{tenant}/environments/production/move-home")).json(body)).await
}

#[tokio::test]
async fn a_signup_gets_a_front_door_if_it_or_its_tier_asks_for_one() {
    let api = api().await;
    let none = json!({ "state": "none", "domain": null, "failover_region": null, "since": null, "message": null });
    for (number, changes, expected) in [
        (1, json!({}), "none"),
        (2, json!({ "front_door": true }), "creating"),
        (3, json!({ "tier": "enterprise" }), "creating"),
        (4, json!({ "tier": "enterprise", "front_door": false }), "none"),
        // The default of the tier applies where the residency allows it.
        (5, json!({ "tier": "enterprise", "home_region": "us-east-1" }), "none"),
        // CloudFormation has no Function URLs in this region.
        (6, json!({ "tier": "enterprise", "home_region": "eu-central-2" }), "none"),
    ] {
        let mut body = signup_body_with(changes);
        body["external_id"] = json!(format!("customer-{number}"));
        let preview = send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&body)).await.json();
        assert_eq!(preview["front_door"], json!(expected == "creating"), "{body}");
        let tenant = api.sign_up(&body).await;
        let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
        assert_eq!(api.get(&path).await.json(), tenant, "the response equals the stored tenant");
        let front_door = &tenant["environments"][0]["front_door"];
        assert_eq!(front_door["state"], expected, "{body}");
        if expected == "none" {
            assert_eq!(*front_door, none);
        } else {
            assert_eq!(front_door["since"], tenant["created_at"]);
        }
    }
}

#[tokio::test]
async fn a_front_door_that_the_residency_forbids_is_refused() {
    let mut api = api().await;
    let tenant = ready_tenant(&api, false).await;
    api.restart_with(|config| config.residencies[0].edge = false).await;
    let rows = api.row_counts().await;
    for (front_door, code) in
        [(json!(true), "edge_not_allowed"), (json!("yes"), "wrong_type"), (json!(1), "wrong_type")]
    {
        let adding = api.request(Method::POST, &format!("{tenant}/environments")).header("Idempotency-Key", "1");
        for response in [
            send(api.signup_request("1", &signup_body_with(json!({ "front_door": front_door })))).await,
            send(adding.json(&json!({ "name": "staging", "front_door": front_door }))).await,
            change(&api, &tenant, "*", &json!({ "front_door": front_door })).await,
        ] {
            assert_eq!(response.status_and_code(), (422, "validation_failed".into()), "{}", response.text);
            let errors = response.json()["errors"].clone();
            assert_eq!((&errors[0]["field"], &errors[0]["code"]), (&json!("front_door"), &json!(code)), "{errors}");
        }
    }
    let body = signup_body_with(json!({ "front_door": true, "home_region": "eu-central-2" }));
    api.restart_with(|config| config.residencies[2].edge = true).await;
    let response = send(api.signup_request("1", &body)).await;
    let error = response.json()["errors"][0].clone();
    assert_eq!((&error["field"], &error["code"]), (&json!("front_door"), &json!("region_without_type")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("AWS::Lambda::Url in eu-central-2"), "{error}");
    assert_eq!(api.row_counts().await, rows);
}

#[tokio::test]
async fn a_front_door_is_created_and_deleted_by_an_operation() {
    let api = api().await;
    let tenant = ready_tenant(&api, false).await;
    let response = change(&api, &tenant, "*", &json!({ "front_door": true })).await;
    assert_eq!(response.status, 202, "{}", response.text);
    let environment = response.json();
    assert_eq!((&environment["state"], &environment["front_door"]["state"]), (&json!("ready"), &json!("creating")));
    let operation = api.get(&format!("/v1/operations/{}", environment["operation_id"].as_str().unwrap())).await.json();
    assert_eq!(operation["kind"], "change_regions");
    let busy = change(&api, &tenant, "*", &json!({ "front_door": false })).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    finish_operation(&api).await;

    let removed = change(&api, &tenant, "*", &json!({ "front_door": false })).await;
    assert_eq!(removed.status, 202, "{}", removed.text);
    assert_eq!(removed.json()["front_door"]["state"], "deleting");
    let record = api.get("/v1/audit-events?action=updateEnvironment").await.json();
    let changes = &record["audit_events"].as_array().unwrap().last().unwrap()["record"]["outcome"]["changes"];
    assert_eq!(changes["front_door"], json!({ "old": true, "new": false }), "{record}");
    let missing = change(&api, &tenant, "*", &json!({ "front_door": null })).await;
    assert_eq!(missing.json()["errors"][0]["code"], "missing", "{}", missing.text);
}

#[tokio::test]
async fn the_url_of_an_environment_is_that_of_its_front_door() {
    let api = api().await;
    let tenant = ready_tenant(&api, true).await;
    let environment = api.get(&format!("{tenant}/environments/production")).await.json();
    assert_eq!(environment["url"], "https://d111111abcdef8.cloudfront.net/");
    assert_eq!(environment["front_door"]["domain"], "d111111abcdef8.cloudfront.net");
    let unchanged = change(&api, &tenant, "*", &json!({ "front_door": true })).await;
    assert_eq!(unchanged.status, 200, "{}", unchanged.text);
    sqlx::query("update environment_front_doors set state = 'failed', message = 'AWS refused it.'")
        .execute(&api.database.pool)
        .await
        .unwrap();
    let failed = api.get(&format!("{tenant}/environments/production")).await.json();
    assert_eq!((&failed["state"], &failed["front_door"]["message"]), (&json!("degraded"), &json!("AWS refused it.")));
    let repaired = change(&api, &tenant, "*", &json!({ "front_door": true })).await;
    assert_eq!(repaired.status, 202, "{}", repaired.text);
}

#[tokio::test]
async fn the_home_moves_to_a_ready_replica_and_says_that_no_data_is_moved() {
    let api = api().await;
    let tenant = ready_tenant(&api, true).await;
    for (body, field, code) in [
        (json!({}), "region", "missing"),
        (json!({ "region": "mars-north-1" }), "region", "unknown_region"),
        (json!({ "region": "us-east-1" }), "region", "not_a_replica"),
        (json!({ "region": "eu-west-1", "force": true }), "force", "unknown_field"),
    ] {
        let refused = move_home(&api, &tenant, &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{}", refused.text);
        let error = refused.json()["errors"][0].clone();
        assert_eq!((&error["field"], &error["code"]), (&json!(field), &json!(code)), "{error}");
    }
    let home = move_home(&api, &tenant, &json!({ "region": "eu-central-1" })).await;
    assert_eq!((home.status.as_u16(), &home.json()["operation_id"]), (200, &json!(null)));

    let moved = move_home(&api, &tenant, &json!({ "region": "eu-west-1" })).await;
    assert_eq!(moved.status, 202, "{}", moved.text);
    let moved = moved.json();
    assert_eq!((&moved["from"], &moved["to"]), (&json!("eu-central-1"), &json!("eu-west-1")));
    assert!(moved["notice"].as_str().unwrap().starts_with("No data is moved"), "{moved}");
    assert_eq!(move_home(&api, &tenant, &json!({ "region": "eu-west-1" })).await.json(), moved);
    let busy = change(&api, &tenant, "*", &json!({ "front_door": false })).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    assert_eq!(busy.json()["operation_id"], moved["operation_id"]);
}

#[tokio::test]
async fn the_home_does_not_move_to_a_replica_that_is_not_ready() {
    let api = api().await;
    let tenant = ready_tenant(&api, false).await;
    sqlx::query("update environment_replicas set state = 'failed'").execute(&api.database.pool).await.unwrap();
    let refused = move_home(&api, &tenant, &json!({ "region": "eu-west-1" })).await;
    assert_eq!(refused.status_and_code(), (409, "replica_not_ready".into()), "{}", refused.text);
}
