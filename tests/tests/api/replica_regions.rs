//! Tests of replica regions: at the signup, when an environment is added, and when they change later.

use freehold_tenancy::db::lifecycle::{self, StepDisposition};
use freehold_tenancy::{Config, Region};
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

/// Returns an API whose residency `eu` has five regions.
async fn api() -> ApiFixture {
    let mut api = ApiFixture::new().await;
    let add_regions = |config: &mut Config| {
        let regions: [Region; 3] = ["eu-north-1", "eu-west-2", "eu-west-3"].map(|region| region.parse().unwrap());
        config.residencies[0].regions.extend(regions);
    };
    api.restart_with(add_regions).await;
    api
}

/// Signs up a tenant with these replica regions and finishes its onboarding. Returns its path.
async fn ready_tenant(api: &ApiFixture, replica_regions: Value) -> String {
    let tenant = api.sign_up(&signup_body_with(json!({ "replica_regions": replica_regions }))).await;
    api.succeed_operation("111122223333").await;
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

/// Makes all replicas ready, as a worker does after their verification.
async fn verify_replicas(api: &ApiFixture) {
    let verify = sqlx::query("update environment_replicas set state = 'ready', ready_at = created_at");
    verify.execute(&api.database.pool).await.unwrap();
}

/// Returns region, role and state of each region of the environment `production`.
async fn regions(api: &ApiFixture, tenant: &str) -> Vec<[String; 3]> {
    let environment = api.get(&format!("{tenant}/environments/production")).await.json();
    let regions = environment["regions"].as_array().unwrap();
    regions.iter().map(|one| ["region", "role", "state"].map(|name| one[name].as_str().unwrap().to_owned())).collect()
}

fn region(name: &str, role: &str, state: &str) -> [String; 3] {
    [name, role, state].map(ToOwned::to_owned)
}

#[tokio::test]
async fn each_environment_of_a_signup_gets_the_replica_regions() {
    let api = api().await;
    let body = signup_body_with(json!({
        "environments": ["production", "staging"], "replica_regions": ["eu-west-1", "eu-north-1"],
    }));
    let preview = send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&body)).await.json();
    assert_eq!(preview["replica_regions"], json!(["eu-west-1", "eu-north-1"]));
    let tenant = api.sign_up(&body).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json(), tenant, "the response equals the stored tenant");
    for environment in tenant["environments"].as_array().unwrap() {
        let created_at = &environment["created_at"];
        let expected =
            [("eu-central-1", "home"), ("eu-west-1", "replica"), ("eu-north-1", "replica")].map(|(region, role)| {
                json!({
                    "region": region, "role": role, "state": "pending", "stack_id": null,
                    "release": null, "url": null, "since": created_at, "message": null,
                })
            });
        assert_eq!(environment["regions"], json!(expected));
        assert_eq!(environment["url"], json!(null));
    }
}

#[tokio::test]
async fn each_invalid_replica_region_is_reported_with_its_index() {
    let api = api().await;
    let tenant = ready_tenant(&api, json!([])).await;
    let rows = api.row_counts().await;
    let four = ["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1"];
    for (replica_regions, field, code) in [
        (json!("eu-west-1"), "replica_regions", "wrong_type"),
        (json!([7]), "replica_regions[0]", "wrong_type"),
        (json!(["mars-north-1"]), "replica_regions[0]", "unknown_region"),
        (json!(["eu-west-1", "us-east-1"]), "replica_regions[1]", "region_outside_residency"),
        (json!(["sa-east-1"]), "replica_regions[0]", "region_outside_residency"),
        (json!(["eu-central-1"]), "replica_regions[0]", "home_region"),
        (json!(["eu-west-1", "eu-west-1"]), "replica_regions[1]", "repeated"),
        (json!(four), "replica_regions", "too_many"),
    ] {
        let signup = signup_body_with(json!({ "replica_regions": replica_regions }));
        let environment = json!({ "name": "staging", "replica_regions": replica_regions });
        let adding = api.request(Method::POST, &format!("{tenant}/environments")).header("Idempotency-Key", "1");
        for response in [
            send(api.signup_request("1", &signup)).await,
            send(adding.json(&environment)).await,
            change(&api, &tenant, "*", &json!({ "replica_regions": replica_regions })).await,
        ] {
            assert_eq!(response.status_and_code(), (422, "validation_failed".into()), "{}", response.text);
            let errors = response.json()["errors"].clone();
            assert_eq!(errors.as_array().unwrap().len(), 1, "{replica_regions}: {errors}");
            assert_eq!((&errors[0]["field"], &errors[0]["code"]), (&json!(field), &json!(code)), "{errors}");
        }
    }
    assert_eq!(api.row_counts().await, rows);
}

#[tokio::test]
async fn an_added_environment_gets_its_own_replica_regions() {
    let api = api().await;
    let tenant = ready_tenant(&api, json!(["eu-west-1"])).await;
    let body = json!({ "name": "staging", "home_region": "us-east-1", "replica_regions": ["us-west-2"] });
    let post = |query: &str| api.request(Method::POST, &format!("{tenant}/environments{query}")).json(&body);
    let preview = send(post("?dry_run=true")).await.json();
    assert_eq!(preview["replica_regions"], json!(["us-west-2"]));
    let added = send(post("").header("Idempotency-Key", "1")).await.json();
    assert_eq!(added["regions"][1]["region"], "us-west-2", "{added}");
    assert_eq!(api.get(&format!("{tenant}/environments/staging")).await.json(), added);
}

#[tokio::test]
async fn tenants_are_filtered_by_home_and_replica_region() {
    let api = api().await;
    let tenant = ready_tenant(&api, json!(["eu-west-1"])).await;
    let found = async |filter: &str| api.get(&format!("/v1/tenants?{filter}")).await.json()["tenants"].clone();
    for (filter, count) in
        [("region=eu-central-1", 1), ("region=eu-west-1", 1), ("region=eu-west-2", 0), ("home_region=eu-west-1", 0)]
    {
        assert_eq!(found(filter).await.as_array().unwrap().len(), count, "{filter}");
    }
    let invalid = api.get("/v1/tenants?region=mars-north-1").await;
    assert_eq!(invalid.status_and_code(), (400, "invalid_query".into()));
    let offboarded = sqlx::query("update environments set state = 'offboarded', offboarded_at = now()");
    offboarded.execute(&api.database.pool).await.unwrap();
    assert_eq!(found("region=eu-west-1").await, json!([]), "an offboarded environment has no regions");
    assert_eq!(regions(&api, &tenant).await, [[""; 3]; 0]);
}

#[tokio::test]
async fn account_mappings_show_the_replica_regions() {
    let api = api().await;
    ready_tenant(&api, json!(["eu-west-1", "eu-west-3"])).await;
    let page = api.get("/v1/account-mappings").await.json();
    assert_eq!(page["account_mappings"][0]["replica_regions"], json!(["eu-west-1", "eu-west-3"]));
    let history = api.get("/v1/account-mappings/111122223333").await.json();
    assert_eq!(history["account_mappings"][0], page["account_mappings"][0]);
    let export =
        async |accept: &str| send(api.request(Method::GET, "/v1/account-mappings").header("Accept", accept)).await.text;
    let csv = export("text/csv").await;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].contains(",x_Status,x_ReplicaRegions,"), "{csv}");
    assert!(lines[1].contains(",active,eu-west-1 eu-west-3,"), "{csv}");
    let ndjson: Value = serde_json::from_str(&export("application/x-ndjson").await).unwrap();
    assert_eq!(ndjson["x_ReplicaRegions"], "eu-west-1 eu-west-3");
}

#[tokio::test]
async fn a_change_starts_one_operation_and_no_other_when_repeated() {
    let api = api().await;
    let tenant = ready_tenant(&api, json!(["eu-west-1"])).await;
    let etag = api.get(&tenant).await.header("etag").to_owned();
    let body = json!({ "replica_regions": ["eu-west-1", "eu-north-1"] });
    let changed = change(&api, &tenant, &etag, &body).await;
    assert_eq!(changed.status, 202, "{}", changed.text);
    let environment = changed.json();
    let operation = environment["operation_id"].as_str().unwrap();
    assert_eq!(changed.header("location"), format!("/v1/operations/{operation}"));
    assert_eq!(changed.header("etag"), api.get(&tenant).await.header("etag"));
    assert_eq!(environment["state"], "ready");
    let shown = api.get(&format!("/v1/operations/{operation}")).await.json();
    assert_eq!((&shown["kind"], &shown["state"]), (&json!("change_regions"), &json!("pending")));
    let input: Value = sqlx::query_scalar("select input from operations where kind = 'change_regions'")
        .fetch_one(&api.database.pool)
        .await
        .unwrap();
    assert_eq!(input, json!({ "slots": [1, 2] }), "the replica that is not ready is deployed again");
    let expected = [
        region("eu-central-1", "home", "ready"),
        region("eu-west-1", "replica", "pending"),
        region("eu-north-1", "replica", "pending"),
    ];
    assert_eq!(regions(&api, &tenant).await, expected);

    let nothing = change(&api, &tenant, "*", &json!({})).await;
    assert_eq!((nothing.status.as_u16(), nothing.json()), (200, environment.clone()));
    let outdated = change(&api, &tenant, &etag, &json!({ "replica_regions": [] })).await;
    assert_eq!(outdated.status_and_code(), (412, "precondition_failed".into()));
    let busy = change(&api, &tenant, "*", &json!({ "replica_regions": [] })).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    assert_eq!(busy.json()["operation_id"], operation);

    finish_operation(&api).await;
    verify_replicas(&api).await;
    let repeated = change(&api, &tenant, "*", &body).await;
    assert_eq!(repeated.status, 200, "{}", repeated.text);
    assert_eq!(repeated.json()["operation_id"], operation, "no other operation");
}

#[tokio::test]
async fn a_removed_region_is_leaving_and_can_come_back() {
    let api = api().await;
    let tenant = ready_tenant(&api, json!(["eu-west-1", "eu-north-1"])).await;
    verify_replicas(&api).await;
    let before = api.row_counts().await;
    let removed = change(&api, &tenant, "*", &json!({ "replica_regions": ["eu-north-1"] })).await;
    assert_eq!(removed.status, 202, "{}", removed.text);
    assert_eq!(regions(&api, &tenant).await[1], region("eu-west-1", "replica", "leaving"));
    assert_eq!(api.row_counts().await, before, "nothing is deployed, and nothing deleted yet");
    let leaving = sqlx::query_scalar("select leaving_at - since from environment_replicas where region = 'eu-west-1'");
    let leaving: sqlx::postgres::types::PgInterval = leaving.fetch_one(&api.database.pool).await.unwrap();
    assert_eq!((leaving.days, leaving.microseconds), (7, 0));

    // The removed region keeps its slot until its stack is deleted.
    let full =
        change(&api, &tenant, "*", &json!({ "replica_regions": ["eu-north-1", "eu-west-2", "eu-west-3"] })).await;
    assert_eq!(full.status_and_code(), (422, "validation_failed".into()));
    let message = full.json()["errors"][0]["message"].clone();
    assert!(message.as_str().unwrap().ends_with("not deleted yet (eu-west-1)"), "{message}");

    let back = change(&api, &tenant, "*", &json!({ "replica_regions": ["eu-west-1", "eu-north-1"] })).await;
    assert_eq!(back.status, 202, "{}", back.text);
    let input: Value = sqlx::query_scalar("select input from operations where kind = 'change_regions'")
        .fetch_one(&api.database.pool)
        .await
        .unwrap();
    assert_eq!(input, json!({ "slots": [1] }));
    assert_eq!(regions(&api, &tenant).await[1], region("eu-west-1", "replica", "ready"));
}

#[tokio::test]
async fn regions_change_only_of_a_ready_environment_without_legal_hold() {
    let api = api().await;
    let signup = api.sign_up(&signup_body_with(json!({ "replica_regions": ["eu-west-1"] }))).await;
    let tenant = format!("/v1/tenants/{}", signup["id"].as_str().unwrap());
    let none = json!({ "replica_regions": [] });
    let onboarding = change(&api, &tenant, "*", &none).await;
    assert_eq!(onboarding.status_and_code(), (409, "operation_in_progress".into()));
    assert_eq!(onboarding.json()["operation_id"], signup["environments"][0]["operation_id"]);
    api.succeed_operation("111122223333").await;

    let without = send(api.request(Method::PATCH, &format!("{tenant}/environments/production")).json(&none)).await;
    assert_eq!(without.status_and_code(), (428, "precondition_required".into()));
    let null = change(&api, &tenant, "*", &json!({ "replica_regions": null })).await;
    assert_eq!(null.json()["errors"][0]["code"], "missing", "{}", null.text);
    let unknown = api.request(Method::PATCH, &format!("{tenant}/environments/staging")).header("If-Match", "*");
    assert_eq!(send(unknown.json(&none)).await.status_and_code(), (404, "environment_not_found".into()));

    let hold = api.request(Method::PUT, &format!("{tenant}/legal-hold")).json(&json!({ "reason": "Case 4711" }));
    assert_eq!(send(hold).await.status, 200);
    let held = change(&api, &tenant, "*", &none).await;
    assert_eq!(held.status_and_code(), (409, "legal_hold".into()));
    let added = change(&api, &tenant, "*", &json!({ "replica_regions": ["eu-west-1", "eu-west-3"] })).await;
    assert_eq!(added.status, 202, "a legal hold allows another region: {}", added.text);
    finish_operation(&api).await;

    let offboarded = sqlx::query("update environments set state = 'offboarded', offboarded_at = now()");
    offboarded.execute(&api.database.pool).await.unwrap();
    let gone = change(&api, &tenant, "*", &none).await;
    assert_eq!(gone.status_and_code(), (409, "environment_not_ready".into()));
}

#[tokio::test]
async fn a_change_of_regions_is_recorded_with_old_and_new_regions() {
    let api = api().await;
    let tenant = ready_tenant(&api, json!(["eu-west-1"])).await;
    assert_eq!(change(&api, &tenant, "*", &json!({ "replica_regions": ["eu-west-3"] })).await.status, 202);
    let records = api.get("/v1/audit-events?page_size=1000&action=updateEnvironment").await.json();
    let record = &records["audit_events"][0]["record"];
    assert_eq!(record["request"], json!({ "replica_regions": ["eu-west-3"] }), "{records}");
    let change = json!({ "replica_regions": { "old": ["eu-west-1"], "new": ["eu-west-3"] } });
    assert_eq!(record["outcome"]["changes"], change, "{record}");
}
