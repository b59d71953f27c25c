//! Tests of rollouts over the API, with a worker that continues them.

use freehold_tests::api_fixture::ApiFixture;
use freehold_tests::fixture::CONFIG;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rollouts::fixture::Fixture;

/// Plans of the configuration.
const PLANS: &str = r#"
    [[rollout_plans]]
    name = "careful"

    [[rollout_plans.waves]]
    name = "canary"
    select = { percent = 25 }
    max_failures = 0
    bake_seconds = 600

    [[rollout_plans.waves]]
    name = "everyone"
    max_concurrent = 100
    max_failures = 2
    approval = true
"#;

async fn start(environments: i32) -> (Fixture, ApiFixture) {
    let fixture = Fixture::new(environments).await;
    let api = ApiFixture::of(&fixture.freehold, &format!("{CONFIG}\n{PLANS}")).await;
    (fixture, api)
}

async fn create(fixture: &Fixture, api: &ApiFixture) -> Value {
    let body = json!({ "release": fixture.new, "plan": "careful" });
    let created = api.send_as("ann", Method::POST, "/v1/rollouts", &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let rollout = created.json();
    assert_eq!(created.header("location"), path(&rollout, ""));
    rollout
}

fn path(rollout: &Value, rest: &str) -> String {
    format!("/v1/rollouts/{}{rest}", rollout["id"].as_str().unwrap())
}

async fn event_types(api: &ApiFixture) -> Vec<String> {
    let events = api.get("/v1/events?page_size=200").await.json();
    let types = events["events"].as_array().unwrap().iter().filter_map(|event| event["type"].as_str());
    types.filter(|name| name.starts_with("rollout.")).map(|name| name["rollout.".len()..].to_owned()).collect()
}

#[tokio::test]
async fn a_rollout_is_planned_created_promoted_and_approved() {
    let (fixture, api) = start(8).await;
    let body = json!({ "release": fixture.new, "plan": "careful" });
    let planned = api.send_as("ann", Method::POST, "/v1/rollouts?dry_run=true", &body).await;
    assert_eq!(planned.status, 200, "{}", planned.text);
    let (canary, everyone) = (&planned.json()["waves"][0], &planned.json()["waves"][1]);
    assert_eq!((&canary["environments"], &canary["effective_concurrency"]), (&json!(2), &json!(1)));
    assert_eq!((&canary["concurrency_limit"], &everyone["environments"]), (&json!("max_failures"), &json!(6)));
    assert_eq!(api.get("/v1/rollouts").await.json()["rollouts"], json!([]), "a dry run creates nothing");

    let rollout = create(&fixture, &api).await;
    assert_eq!((&rollout["state"], &rollout["wave"]), (&json!("pending"), &json!("canary")));
    let second = api.send_as("ann", Method::POST, "/v1/rollouts", &body).await;
    assert_eq!(second.status_and_code(), (409, "rollout_in_progress".into()));
    fixture.drain().await;
    fixture.succeed_all().await;
    fixture.succeed_all().await;
    let shown = api.get(&path(&rollout, "")).await.json();
    assert_eq!((&shown["state"], &shown["waves"][0]["environments"]), (&json!("baking"), &json!({ "baking": 2 })));
    assert!(shown["next"].as_str().unwrap().contains("the next wave starts"), "{shown:#}");
    assert_eq!(shown["actions"], json!(["pause", "promote", "abort", "roll-back", "retry-failed"]));

    let without_reason = api.send_as("ann", Method::POST, &path(&rollout, "/promote"), &json!({})).await;
    assert_eq!(without_reason.json()["errors"][0]["field"], "reason", "{}", without_reason.text);
    let reason = json!({ "reason": "All metrics are fine." });
    let promoted = api.send_as("ann", Method::POST, &path(&rollout, "/promote"), &reason).await;
    assert_eq!((promoted.status.as_u16(), &promoted.json()["reason"]), (200, &reason["reason"]));
    assert_eq!(promoted.json()["waves"][0]["promotion_reason"], reason["reason"]);
    fixture.drain().await;
    let shown = api.get(&path(&rollout, "")).await.json();
    assert_eq!(shown["state"], "awaiting_approval");
    let hash = json!({ "sha256": shown["waves"][1]["approval_sha256"] });
    let same = api.send_as("ann", Method::POST, &path(&rollout, "/approve"), &hash).await;
    assert_eq!(same.status_and_code(), (403, "approver_is_requester".into()));
    let wrong = api.send_as("bob", Method::POST, &path(&rollout, "/approve"), &json!({ "sha256": "0" })).await;
    assert_eq!(wrong.status_and_code(), (409, "wave_hash_mismatch".into()));
    let approved = api.send_as("bob", Method::POST, &path(&rollout, "/approve"), &hash).await;
    assert_eq!((approved.status.as_u16(), &approved.json()["waves"][1]["approved_by"]), (200, &json!("bob")));
    fixture.drain().await;
    fixture.succeed_all().await;
    fixture.succeed_all().await;

    let ended = api.get(&path(&rollout, "")).await.json();
    assert_eq!((&ended["state"], &ended["actions"]), (&json!("succeeded"), &json!(["roll-back", "retry-failed"])));
    let release = json!([{ "region": "eu-central-1", "release_id": fixture.new, "environments": 8 }]);
    assert_eq!(ended["releases"], release);
    let listed = api.get("/v1/rollouts").await.json();
    assert_eq!((&listed["rollouts"][0]["id"], listed["rollouts"][0].get("waves")), (&rollout["id"], None));
    let late = api.send_as("ann", Method::POST, &path(&rollout, "/pause"), &json!({})).await;
    assert_eq!(late.status_and_code(), (409, "invalid_transition".into()));
    let expected =
        ["started", "wave.started", "wave.finished", "awaiting_approval", "approved", "wave.started", "wave.finished"];
    assert_eq!(event_types(&api).await, [&expected[..], &["succeeded"]].concat());
}

#[tokio::test]
async fn a_failure_halts_a_rollout_which_is_retried_and_rolled_back() {
    let (fixture, api) = start(8).await;
    let rollout = create(&fixture, &api).await;
    fixture.drain().await;
    fixture.fail(fixture.open_updates().await[0].0).await;
    fixture.drain().await;
    let halted = api.get(&path(&rollout, "")).await.json();
    assert_eq!(halted["state"], "halted");
    assert_eq!(halted["reason"], "1 update has failed in the wave canary, which tolerates 0");
    assert_eq!(halted["failures"], json!([{ "reason": "Function: handler is missing", "environments": 1 }]));
    let failed = api.get(&path(&rollout, "/environments?state=failed")).await.json();
    assert_eq!(failed["environments"][0]["wave"], "canary", "{failed:#}");
    assert_eq!(failed["environments"].as_array().map(Vec::len), Some(1));
    let first = api.get(&path(&rollout, "/environments?page_size=5")).await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = api.get(&path(&rollout, &format!("/environments?page_size=5&page_token={token}"))).await.json();
    assert_eq!(second["environments"].as_array().map(Vec::len), Some(3));
    let unknown = api.get(&path(&rollout, "/environments?wave=later&state=broken")).await.json();
    let fields: Vec<_> = unknown["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["state", "wave"]);

    let retried = api.post(&path(&rollout, "/retry-failed")).await;
    assert_eq!((retried.status.as_u16(), &retried.json()["state"]), (200, &json!("running")), "{}", retried.text);
    fixture.drain().await;
    fixture.succeed_all().await;
    assert_eq!(fixture.releases().await, (7, 1));
    let reason = json!({ "reason": "Errors in the shop." });
    let back = api.send_as("ann", Method::POST, &path(&rollout, "/roll-back"), &reason).await;
    assert_eq!((back.status.as_u16(), &back.json()["state"]), (200, &json!("rolling_back")), "{}", back.text);
    fixture.drain().await;
    // The second canary is still being updated and goes back afterwards.
    for _ in 0..3 {
        fixture.succeed_all().await;
    }
    let ended = api.get(&path(&rollout, "")).await.json();
    assert_eq!((&ended["state"], fixture.releases().await), (&json!("rolled_back"), (8, 0)), "{ended:#}");
    let expected = ["started", "wave.started", "halted", "resumed", "rolling_back", "rolled_back"];
    assert_eq!(event_types(&api).await, expected);
    let audit = api.get("/v1/audit-events?page_size=200").await.text;
    assert!(audit.contains("rollBackRollout") && audit.contains("Errors in the shop."), "{audit}");
}

#[tokio::test]
async fn an_invalid_rollout_is_refused_with_the_names_of_its_fields() {
    let (fixture, api) = start(1).await;
    let release = json!(fixture.new);
    for (body, field) in [
        (json!({ "plan": "careful" }), "release"),
        (json!({ "release": release }), "plan"),
        (json!({ "release": release, "plan": "careles" }), "plan"),
        (json!({ "release": release, "plan": "careful", "waves": [{ "name": "a" }] }), "waves"),
        (json!({ "release": release, "waves": [] }), "waves"),
        (json!({ "release": release, "waves": [{ "name": "a" }, { "nam": "b" }] }), "waves[1]"),
        (json!({ "release": release, "waves": [{ "name": "a", "max_concurrent": 0 }] }), "waves.a.max_concurrent"),
        (json!({ "release": release, "waves": [{ "name": "a" }, { "name": "b" }] }), "waves.b.select"),
        (json!({ "release": release, "plan": "careful", "makes_default": "yes" }), "makes_default"),
        (json!({ "release": release, "plan": "careful", "speed": 9 }), "speed"),
    ] {
        let refused = api.send_as("ann", Method::POST, "/v1/rollouts", &body).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{field}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    let other = json!({ "release": "rel_01k2m8v3x9e7rt4s5q6w7y8z9a", "plan": "careful" });
    let missing = api.send_as("ann", Method::POST, "/v1/rollouts", &other).await;
    assert_eq!(missing.status_and_code(), (404, "release_not_found".into()));
    let missing = "/v1/rollouts/rol_01k2m8v3x9e7rt4s5q6w7y8z9g";
    for path in [missing.to_owned(), format!("{missing}/environments")] {
        assert_eq!(api.get(&path).await.status_and_code(), (404, "rollout_not_found".into()), "{path}");
    }
    assert_eq!(api.get("/v1/rollouts").await.json()["rollouts"], json!([]));
}

#[tokio::test]
async fn a_freeze_stops_a_rollout_until_it_ends() {
    let (fixture, api) = start(4).await;
    let rollout = create(&fixture, &api).await;
    let reason = json!({ "reason": "The shop has a sale." });
    assert_eq!(api.send_as("ann", Method::PUT, "/v1/change-freeze", &reason).await.status, 200);
    fixture.drain().await;
    assert_eq!(fixture.started_updates().await, 0);
    let body = json!({ "release": fixture.new, "plan": "careful" });
    let second = api.send_as("ann", Method::POST, "/v1/rollouts?dry_run=true", &body).await;
    assert_eq!(second.status, 200, "a dry run is possible in a freeze: {}", second.text);
    assert_eq!(api.delete("/v1/change-freeze").await.status, 200);
    fixture.drain().await;
    assert_eq!(fixture.started_updates().await, 1);
    let aborted = api.send_as("ann", Method::POST, &path(&rollout, "/abort"), &reason).await;
    assert_eq!((aborted.status.as_u16(), &aborted.json()["finished_at"]), (200, &Value::Null), "{}", aborted.text);
    assert_eq!(aborted.json()["next"], "The updates in progress finish.");
    fixture.succeed_all().await;
    let ended = api.get(&path(&rollout, "")).await.json();
    assert!(ended["finished_at"].is_string() && ended["state"] == "aborted", "{ended:#}");
    assert_eq!(api.send_as("ann", Method::POST, "/v1/rollouts", &body).await.status, 201);
}
