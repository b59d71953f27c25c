//! Tests of releases over the API, with a worker that checks, previews and deploys them.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tests::api_fixture::ApiFixture;
use freehold_tests::fixture::{CONFIG, Freehold};
use reqwest::Method;
use serde_json::{Value, json};

use crate::releases::{TEMPLATE, content, create_ready_tenant};

/// Body of a registration with the built-in templates, in which the log group keeps its events for `days`.
fn registration(days: u32) -> Value {
    let mut body = json!(content(days));
    body["notes"] = json!("Shop 2.4");
    body
}

async fn register(api: &ApiFixture, body: &Value) -> Value {
    let registered = api.send_as("ann", Method::POST, "/v1/releases", body).await;
    assert_eq!(registered.status, 202, "{}", registered.text);
    let release = registered.json();
    assert_eq!(registered.header("location"), format!("/v1/releases/{}", release["id"].as_str().unwrap()));
    release
}

fn path(release: &Value, rest: &str) -> String {
    format!("/v1/releases/{}{rest}", release["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_release_is_registered_reviewed_previewed_and_deployed() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let api = ApiFixture::of(&freehold, CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &["eu-west-1"]).await;
    let updates = format!("/v1/tenants/{}/environments/production/updates", tenant.id);
    let release = register(&api, &registration(60)).await;
    assert_eq!((&release["state"], &release["is_approved"]), (&json!("checking"), &json!(false)));
    let body = json!({ "release": release["id"] });
    let early = api.send_as("ann", Method::POST, &updates, &body).await;
    assert_eq!(early.status_and_code(), (409, "release_not_ready".into()));
    worker.check_releases().await.unwrap();

    let shown = api.get(&path(&release, "")).await.json();
    assert_eq!((&shown["state"], &shown["problems"]), (&json!("ready"), &json!([])));
    assert_eq!(shown["content"]["template"], registration(60)["template"]);
    let diff = api.get(&path(&release, "/diff")).await.json();
    let text = diff["templates"]["template"].as_str().unwrap();
    assert!(text.contains("-      RetentionInDays: 30") && text.contains("+      RetentionInDays: 60"), "{text}");
    let unapproved = api.send_as("ann", Method::POST, &updates, &body).await;
    assert_eq!(unapproved.status_and_code(), (409, "release_not_approved".into()));

    // Each change is shown before the approval.
    let preview = json!({ "environment_id": tenant.environments[0].id });
    let started = api.send_as("ann", Method::POST, &path(&release, "/preview"), &preview).await;
    assert_eq!(started.status, 202, "{}", started.text);
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    let operation = started.header("location").to_owned();
    let previewed = api.get(&operation).await.json();
    assert_eq!(previewed["state"], "succeeded", "{previewed:#}");
    for (index, region) in ["eu-central-1", "eu-west-1"].into_iter().enumerate() {
        let shown = &previewed["result"]["regions"][index];
        assert_eq!(shown["region"], region);
        let expected = json!({
            "resource": "Logs", "type": "AWS::Logs::LogGroup", "action": "Modify", "replacement": "no",
            "properties": ["RetentionInDays"],
        });
        // CloudFormation also lists the resources that refer to an attribute of the log group.
        let logs = shown["changes"].as_array().unwrap().iter().find(|change| change["resource"] == "Logs");
        assert_eq!(logs, Some(&expected), "{shown:#}");
    }

    let hash = json!({ "sha256": release["sha256"] });
    let same = api.send_as("ann", Method::POST, &path(&release, "/approve"), &hash).await;
    assert_eq!(same.status_and_code(), (403, "approver_is_requester".into()));
    let wrong = api.send_as("bob", Method::POST, &path(&release, "/approve"), &json!({ "sha256": "0" })).await;
    assert_eq!(wrong.status_and_code(), (409, "release_hash_mismatch".into()));
    let approved = api.send_as("bob", Method::POST, &path(&release, "/approve"), &hash).await;
    assert_eq!((approved.status.as_u16(), &approved.json()["approved_by"]), (200, &json!("bob")));

    let started = api.send_as("ann", Method::POST, &updates, &body).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let repeated = api.send_as("ann", Method::POST, &updates, &body).await;
    assert_eq!((repeated.status.as_u16(), repeated.json()), (202, started.json()));
    freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
    let environment = api.get(&format!("/v1/tenants/{}/environments/production", tenant.id)).await.json();
    assert_eq!((&environment["state"], &environment["release"]), (&json!("ready"), &release["id"]));
    assert_eq!(environment["regions"][1]["release"], release["id"]);
    let again = api.send_as("ann", Method::POST, &updates, &body).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, json!({ "operation_id": null })));
    let regions = api.get(&path(&release, "/environments")).await.json();
    let regions = regions["regions"].as_array().unwrap();
    let shown: Vec<_> = regions.iter().map(|one| (one["region"].as_str(), one["role"].as_str())).collect();
    assert_eq!(shown, [(Some("eu-central-1"), Some("home")), (Some("eu-west-1"), Some("replica"))]);
    let listed = api.get("/v1/releases").await.json();
    let sources: Vec<_> = listed["releases"].as_array().unwrap().iter().map(|one| one["source"].clone()).collect();
    assert_eq!(sources, ["api", "configuration"]);
    let events = api.get("/v1/events?types=release.ready,release.approved").await.json();
    let types: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, ["release.ready", "release.approved"]);
}

#[tokio::test]
async fn an_invalid_release_is_refused_with_the_names_of_its_fields() {
    let api = ApiFixture::new().await;
    let url = json!({ "url": "http://example.com/a", "sha256": "0" });
    for (body, field) in [
        (json!({}), "template"),
        (json!({ "template": " " }), "template"),
        (json!({ "template": "x".repeat(51_201) }), "template"),
        (json!({ "template": TEMPLATE, "region_templates": { "moon-1": "x" } }), "region_templates.moon-1"),
        (json!({ "urls": { "eu-central-1": url } }), "urls.eu-central-1.sha256"),
        (json!({ "urls": { "eu-central-1": "x" } }), "urls.eu-central-1"),
        (json!({ "template": TEMPLATE, "parameters": { "a-b": "x" } }), "parameters.a-b"),
        (json!({ "template": TEMPLATE, "parameters": [] }), "parameters"),
        (json!({ "template": TEMPLATE, "notes": "x".repeat(2_001) }), "notes"),
        (json!({ "template": TEMPLATE, "colour": "red" }), "colour"),
    ] {
        let refused = api.send_as("ann", Method::POST, "/v1/releases", &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{field}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    assert_eq!(api.get("/v1/releases").await.json()["releases"], json!([]));
    let missing = "/v1/releases/rel_01k2m8v3x9e7rt4s5q6w7y8z9a";
    for path in [missing.to_owned(), format!("{missing}/diff"), format!("{missing}/environments")] {
        assert_eq!(api.get(&path).await.status_and_code(), (404, "release_not_found".into()), "{path}");
    }
}

#[tokio::test]
async fn an_update_is_refused_while_a_freeze_or_a_pin_is_in_force() {
    let freehold = Freehold::instant().await;
    let api = ApiFixture::of(&freehold, CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let release = register(&api, &registration(60)).await;
    worker.check_releases().await.unwrap();
    let hash = json!({ "sha256": release["sha256"] });
    assert_eq!(api.send_as("bob", Method::POST, &path(&release, "/approve"), &hash).await.status, 200);
    let environment = format!("/v1/tenants/{}/environments/production", tenant.id);
    let (updates, body) = (format!("{environment}/updates"), json!({ "release": release["id"] }));
    let reason = json!({ "reason": "The shop has a sale." });
    for (barrier, code) in [("/v1/change-freeze".to_owned(), "change_freeze"), (format!("{environment}/pin"), "pinned")]
    {
        assert_eq!(api.send_as("ann", Method::PUT, &barrier, &reason).await.status, 200);
        let refused = api.send_as("ann", Method::POST, &updates, &body).await;
        assert_eq!(refused.status_and_code(), (409, code.into()));
        assert!(refused.json()["detail"].as_str().unwrap().contains("The shop has a sale."), "{}", refused.text);
        assert_eq!(api.delete(&barrier).await.status, 200);
    }
    assert_eq!(api.send_as("ann", Method::POST, &updates, &body).await.status, 202);
}

#[tokio::test]
async fn an_environment_keeps_its_own_parameters() {
    let freehold = Freehold::instant().await;
    let api = ApiFixture::of(&freehold, CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let mut body = registration(60);
    let declared = "\nParameters:\n  Size:\n    Type: String\n    Default: small\n";
    for template in [&["template"][..], &["region_templates", "eu-central-2"]] {
        let text = template.iter().fold(&mut body, |value, key| &mut value[*key]);
        *text = json!(text.as_str().unwrap().replacen("\nParameters:\n", declared, 1));
    }
    let release = register(&api, &body).await;
    worker.check_releases().await.unwrap();
    let hash = json!({ "sha256": release["sha256"] });
    assert_eq!(api.send_as("bob", Method::POST, &path(&release, "/approve"), &hash).await.status, 200);
    let updates = format!("/v1/tenants/{}/environments/production/updates", tenant.id);
    let update = async |parameters: Value| {
        let body = json!({ "release": release["id"], "parameters": parameters });
        api.send_as("ann", Method::POST, &updates, &body).await
    };
    let deployed = async || {
        freehold.run_until_idle(&worker, TimeDelta::hours(1)).await;
        let query = "select parameters ->> 'Size' from environment_stacks where kind = 'tenant'";
        sqlx::query_scalar::<_, Option<String>>(query).fetch_one(freehold.pool()).await.unwrap()
    };
    for (parameters, field) in [
        (json!({ "TenantId": "x" }), "parameters.TenantId"),
        (json!({ "a-b": "x" }), "parameters.a-b"),
        (json!({ "Size": 1 }), "parameters.Size"),
        (json!("large"), "parameters"),
    ] {
        let refused = update(parameters).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["field"]), (422, &json!(field)));
    }
    assert_eq!(update(json!({ "Size": "large" })).await.status, 202);
    assert_eq!(update(json!({ "Size": "huge" })).await.status_and_code(), (409, "operation_in_progress".into()));
    assert_eq!(deployed().await.as_deref(), Some("large"));
    // A later update keeps the parameters.
    let again = api.send_as("ann", Method::POST, &updates, &json!({ "release": release["id"] })).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, json!({ "operation_id": null })));
    assert_eq!(update(json!({})).await.status, 202);
    assert_eq!(deployed().await, None);
}
