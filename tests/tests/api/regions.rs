//! Tests of the list of regions, and of regions in which an environment cannot run.

use freehold_tenancy::config::Config;
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// Returns an API whose template needs a resource type that CloudFormation lacks in eu-north-1, a region of the
/// residency `eu`, and in eu-central-2, the only region of the residency `ch`.
async fn api_with_budget() -> (ApiFixture, NamedTempFile) {
    let template = NamedTempFile::new().unwrap();
    std::fs::write(template.path(), "Resources: {Budget: {Type: 'AWS::Budgets::Budget'}}").unwrap();
    let mut api = ApiFixture::new().await;
    let change = |config: &mut Config| {
        config.stack.template = Some(template.path().to_owned());
        config.residencies[0].regions.push("eu-north-1".parse().unwrap());
    };
    api.restart_with(change).await;
    (api, template)
}

async fn regions(api: &ApiFixture, query: &str) -> Vec<Value> {
    let list = api.get(&format!("/v1/regions{query}")).await;
    assert_eq!(list.status, 200, "{}", list.text);
    list.json()["regions"].as_array().unwrap().clone()
}

fn find<'a>(regions: &'a [Value], code: &str) -> &'a Value {
    regions.iter().find(|region| region["region"] == code).unwrap()
}

/// Asserts that the only invalid field of a response is `field`, and that its message names the missing type.
fn assert_without_type(response: &ApiResponse, field: &str) {
    assert_eq!(response.status_and_code(), (422, "validation_failed".into()), "{}", response.text);
    let message = "AWS CloudFormation lacks AWS::Budgets::Budget in eu-north-1, which the template of the tenant stack \
                   needs";
    assert_eq!(
        response.json()["errors"],
        json!([{ "field": field, "code": "region_without_type", "message": message }])
    );
}

#[tokio::test]
async fn each_region_has_its_place_residency_and_offer() {
    let api = ApiFixture::new().await;
    let all = regions(&api, "").await;
    assert!(all.len() >= 34);
    let frankfurt = find(&all, "eu-central-1");
    for (name, value) in [
        ("place", json!("Europe (Frankfurt)")),
        ("residency", json!("eu")),
        ("opt_in_required", json!(false)),
        ("offered_as", json!(["home", "replica"])),
        ("message", json!(null)),
        ("missing_types", json!([])),
        ("types_known", json!(true)),
    ] {
        assert_eq!(frankfurt[name], value, "{name}");
    }
    let types = frankfurt["available_types"].as_array().unwrap();
    assert!(types.contains(&json!("AWS::Lambda::Url")) && types.contains(&json!("AWS::CloudFront::Distribution")));

    let zurich = find(&all, "eu-central-2");
    assert_eq!((&zurich["residency"], &zurich["opt_in_required"]), (&json!("ch"), &json!(true)));
    assert_eq!(zurich["offered_as"], json!(["home"]));
    let message = "The region is offered as home only, because the residency ch has no other region that is offered.";
    assert_eq!(zurich["message"], message);
    let url = json!([{ "resource_type": "AWS::Lambda::Url", "needed_by": "front_door" }]);
    assert_eq!(zurich["missing_types"], url);

    let sydney = find(&all, "ap-southeast-2");
    assert_eq!((&sydney["residency"], &sydney["offered_as"]), (&json!(null), &json!([])));
    assert_eq!(sydney["message"], "No residency of the configuration contains the region.");
    assert_eq!(find(&all, "me-south-1")["types_known"], json!(false));

    let offered = regions(&api, "?offered=true").await;
    let codes: Vec<_> = offered.iter().map(|region| region["region"].as_str().unwrap()).collect();
    assert_eq!(codes, ["eu-central-1", "eu-central-2", "eu-west-1", "us-east-1", "us-west-2"]);
    assert_eq!(regions(&api, "?offered=false").await.len(), all.len() - offered.len());
    assert_eq!(api.get("/v1/regions?offer=true").await.status_and_code(), (400, "invalid_query".into()));
}

#[tokio::test]
async fn a_region_without_a_needed_type_is_not_offered() {
    let (api, _template) = api_with_budget().await;
    let all = regions(&api, "").await;
    let stockholm = find(&all, "eu-north-1");
    assert_eq!((&stockholm["residency"], &stockholm["offered_as"]), (&json!("eu"), &json!([])));
    let message = "AWS CloudFormation lacks AWS::Budgets::Budget in eu-north-1, which the template of the tenant stack \
                   needs.";
    assert_eq!(stockholm["message"], message);
    let budget = json!([{ "resource_type": "AWS::Budgets::Budget", "needed_by": "tenant" }]);
    assert_eq!(stockholm["missing_types"], budget);
    let milan = find(&all, "eu-south-1")["message"].as_str().unwrap().to_owned();
    assert!(milan.starts_with("No residency of the configuration contains the region. Also, AWS CloudF"), "{milan}");
    assert_eq!(find(&all, "eu-central-1")["offered_as"], json!(["home", "replica"]));
}

#[tokio::test]
async fn no_account_is_spent_on_a_region_without_a_needed_type() {
    let (api, _template) = api_with_budget().await;
    let rows = api.row_counts().await;
    for (change, field) in [
        (json!({ "home_region": "eu-north-1" }), "home_region"),
        (json!({ "replica_regions": ["eu-west-1", "eu-north-1"] }), "replica_regions[1]"),
    ] {
        let body = signup_body_with(change);
        assert_without_type(&send(api.signup_request("1", &body)).await, field);
        assert_without_type(&send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&body)).await, field);
    }
    assert_eq!(api.row_counts().await, rows);

    let tenant = api.sign_up(&signup_body_with(json!({}))).await;
    api.succeed_operation("111122223333").await;
    let path = format!("/v1/tenants/{}/environments", tenant["id"].as_str().unwrap());
    let rows = api.row_counts().await;
    for (change, field) in [
        (json!({ "name": "staging", "home_region": "eu-north-1" }), "home_region"),
        (json!({ "name": "staging", "replica_regions": ["eu-north-1"] }), "replica_regions[0]"),
    ] {
        let adding = api.request(Method::POST, &path).header("Idempotency-Key", "1").json(&change);
        assert_without_type(&send(adding).await, field);
        let dry_run = api.request(Method::POST, &format!("{path}?dry_run=true")).json(&change);
        assert_without_type(&send(dry_run).await, field);
    }
    let patch = api.request(Method::PATCH, &format!("{path}/production")).header("If-Match", "*");
    let replica = json!({ "replica_regions": ["eu-north-1"] });
    assert_without_type(&send(patch.json(&replica)).await, "replica_regions[0]");
    assert_eq!(api.row_counts().await, rows);
}

#[tokio::test]
async fn a_replica_that_lost_a_type_can_stay_while_others_change() {
    let (mut api, template) = api_with_budget().await;
    std::fs::write(template.path(), "Resources: {Logs: {Type: 'AWS::Logs::LogGroup'}}").unwrap();
    api.restart_with(|_| ()).await;
    let tenant = api.sign_up(&signup_body_with(json!({ "replica_regions": ["eu-north-1"] }))).await;
    api.succeed_operation("111122223333").await;
    std::fs::write(template.path(), "Resources: {Budget: {Type: 'AWS::Budgets::Budget'}}").unwrap();
    api.restart_with(|_| ()).await;
    let path = format!("/v1/tenants/{}/environments/production", tenant["id"].as_str().unwrap());
    let patch = |regions: Value| {
        let request = api.request(Method::PATCH, &path).header("If-Match", "*");
        request.json(&json!({ "replica_regions": regions }))
    };
    let added = send(patch(json!(["eu-north-1", "eu-west-1"]))).await;
    assert_eq!(added.status, 202, "{}", added.text);
}

#[tokio::test]
async fn a_region_of_another_partition_is_refused_with_what_it_would_take() {
    let api = ApiFixture::new().await;
    for (change, field) in [
        (json!({ "home_region": "us-gov-west-1" }), "home_region"),
        (json!({ "replica_regions": ["cn-north-1"] }), "replica_regions[0]"),
    ] {
        let refused = send(api.signup_request("1", &signup_body_with(change))).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{}", refused.text);
        let error = &refused.json()["errors"][0];
        assert_eq!((&error["field"], &error["code"]), (&json!(field), &json!("unknown_region")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("it would take an organisation and an installation of their own there"), "{message}");
        assert!(message.ends_with("accounts, roles and Identity Center do not span partitions"), "{message}");
    }
    for filter in ["region", "home_region"] {
        let refused = api.get(&format!("/v1/tenants?{filter}=us-gov-west-1")).await;
        assert_eq!(refused.status_and_code(), (400, "invalid_query".into()));
        assert!(refused.text.contains("is in the partition aws-us-gov"), "{}", refused.text);
    }
}
