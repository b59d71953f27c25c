//! Tests of the support bundle: its files, its entry on the audit trail, and the data that it must not contain.

mod canaries;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, send, signup_body_with};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::tokens::ISSUER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::canaries::{Canaries, CanaryForm};

/// Files of an archive with their texts.
type Files = BTreeMap<String, String>;

/// Columns and JSON fields whose value the bundle repeats if it has the form of an identifier. Freehold or AWS writes
/// them, never a customer.
const REPEATED_IDENTIFIERS: [&str; 8] = [
    "audit_records.record/action",
    "audit_records.record/outcome/aws_request_id",
    "audit_records.record/outcome/code",
    "operation_steps.attention/aws_request_id",
    "operation_steps.facts/creation_request_id",
    "operation_steps.last_error_aws_request_id",
    "operations.attention_aws_request_id",
    "slots.request_id",
];

/// Installation with an onboarding that needs attention, because AWS has refused an assignment.
struct Scene {
    freehold: Freehold,
    api: ApiFixture,
    tenant: Value,
    /// Path of the operation.
    path: String,
}

impl Scene {
    async fn new() -> Self {
        let freehold = Freehold::with(Settings::instant(), CONFIG).await;
        let api = ApiFixture::of(&freehold, CONFIG).await;
        let refusal = Fault::error("ServiceQuotaExceededException", "admin@example.com has 500 permission sets");
        freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", refusal));
        let body = signup_body_with(json!({ "external_id": "crm-4711", "labels": { "segment": "gold" } }));
        let tenant = api.sign_up(&body).await;
        freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
        let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
        let hold = format!("/v1/tenants/{}/legal-hold", tenant["id"].as_str().expect("an id"));
        let held = api.send_as("ann", Method::PUT, &hold, &json!({ "reason": "Records are to be kept." })).await;
        assert_eq!(held.status, 200, "{}", held.text);
        Self { freehold, api, tenant, path }
    }

    async fn operation(&self) -> Value {
        self.api.get(&self.path).await.json()
    }

    /// Downloads the bundle and returns its files.
    async fn download(&self) -> Files {
        let response = self.api.request(Method::GET, &self.bundle_path()).send().await.expect("a response");
        let (status, body) = (response.status(), response.bytes().await.expect("a body"));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let mut archive = zip::ZipArchive::new(Cursor::new(body)).expect("an archive");
        let mut files = Files::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).expect("a file");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("a text");
            files.insert(file.name().expect("a name").into_owned(), text);
        }
        files
    }

    fn bundle_path(&self) -> String {
        format!("{}/bundle", self.path)
    }

    /// Returns the download's records of the audit trail, oldest first.
    async fn downloads_on_the_trail(&self) -> Vec<Value> {
        let page = self.api.get("/v1/audit-events?page_size=1000&action=getSupportBundle").await.json();
        page["audit_events"].as_array().expect("records").iter().map(|event| event["record"].clone()).collect()
    }
}

fn lines(files: &Files, name: &str) -> Vec<Value> {
    files[name].lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn a_bundle_explains_an_operation_that_needs_attention() {
    let scene = Scene::new().await;
    let operation = scene.operation().await;
    assert_eq!(operation["attention"]["code"], "aws_quota_reached", "{operation:#}");
    let files = scene.download().await;
    let contents = scene.api.get(&format!("{}/contents", scene.bundle_path())).await.json();
    let listed: BTreeSet<_> = contents["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(listed, files.keys().map(String::as_str).collect(), "the list of contents names each file");
    assert!(!contents["left_out"].as_array().expect("a list").is_empty());

    let page = &files["index.html"];
    let request = operation["attention"]["aws_request_id"].as_str().expect("the id of an AWS request");
    let sentence = operation["attention"]["tell_customer"].as_str().expect("a sentence");
    let tenant = scene.tenant["id"].as_str().expect("an id");
    for text in ["aws_quota_reached", "AWS quota exhausted", request, sentence, tenant, "needs attention", "retry"] {
        assert!(page.contains(text), "the page lacks {text}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("src="), "the page loads nothing");

    let bundled: Value = serde_json::from_str(&files["operation.json"]).expect("JSON");
    for field in ["id", "tenant_id", "environment_id", "kind", "state"] {
        assert_eq!(bundled[field], operation[field], "{field}");
    }
    assert_eq!(bundled["attention"]["aws_request_id"], request);
    assert_eq!(bundled["aws_account_id"].as_str().map(str::len), Some(12));
    let steps: Value = serde_json::from_str(&files["steps.json"]).expect("JSON");
    let names = |steps: &Value| -> Vec<_> {
        steps.as_array().expect("steps").iter().map(|step| (step["name"].clone(), step["state"].clone())).collect()
    };
    assert_eq!(names(&steps), names(&operation["steps"]));
    let events = lines(&files, "events.ndjson");
    assert!(events.iter().any(|event| event["type"] == "operation.needs_attention"), "{events:#?}");
    let entries = lines(&files, "audit.ndjson");
    let refused = entries.iter().find(|entry| entry["aws_request_id"] == request).expect("the request on the trail");
    assert_eq!(refused["action"], "sso:CreateAccountAssignment");
    assert!(entries.iter().any(|entry| entry["action"] == "createTenant" && entry["actor"] == "caller"));
    let config: Value = serde_json::from_str(&files["config.json"]).expect("JSON");
    assert_eq!(config["management_account_id"], "111122223333");
    let versions: Value = serde_json::from_str(&files["versions.json"]).expect("JSON");
    assert_eq!(versions["freehold"], env!("CARGO_PKG_VERSION"));
    assert!(versions["schema"].as_i64() >= Some(22) && versions["postgresql"].as_str().is_some_and(|it| it > "1"));
}

#[tokio::test]
async fn a_bundle_contains_no_text_of_customers_operators_or_aws() {
    let mut scene = Scene::new().await;
    scene.freehold.database.do_not_reuse();
    let secrets = canaries::plant_in_configuration(&mut scene.api).await;
    // A reading chains the pending records. A planted record would not be chained.
    scene.api.get("/v1/audit-events").await;
    let mut canaries = Canaries::new(&scene.freehold.database.pool).await;
    canaries.insert_slot(&scene.path).await;
    for (form, permitted) in [(CanaryForm::Text, &[][..]), (CanaryForm::Identifier, &REPEATED_IDENTIFIERS[..])] {
        let planted = canaries.plant(form).await;
        assert!(planted > 100, "only {planted} values");
        // The search finds the canaries in a response that is not redacted.
        let trail = canaries.find(&scene.api.get("/v1/audit-events?page_size=1000").await.text);
        assert!(trail.contains("audit_records.record/source/address"), "{trail:?}");
        let files = scene.download().await;
        assert!(files["index.html"].contains(scene.tenant["id"].as_str().expect("an id")));
        assert!(lines(&files, "audit.ndjson").len() > 3 && lines(&files, "events.ndjson").len() > 3);
        let mut found = BTreeSet::new();
        for (name, text) in &files {
            for location in canaries.find(text) {
                assert!(permitted.contains(&location.as_str()), "{name} contains {location}");
                found.insert(location);
            }
            for secret in secrets.iter().map(String::as_str).chain(["example.com", ISSUER, "127.0.0.1", "crm-4711"]) {
                assert!(!text.contains(secret), "{name} contains {secret} of the configuration or the signup");
            }
        }
        assert_eq!(found, permitted.iter().map(ToString::to_string).collect(), "exceptions that are not needed");
    }
}

#[tokio::test]
async fn each_download_is_on_the_audit_trail() {
    let scene = Scene::new().await;
    scene.download().await;
    let token = scene.api.issuer.token("fleet tenants:read");
    let refused = send(scene.api.request_without_token(Method::GET, &scene.bundle_path()).bearer_auth(token)).await;
    assert_eq!(refused.status_and_code(), (403, "insufficient_scope".into()));
    let of_tenant = json!({ "tenant_id": scene.tenant["id"] });
    let token = scene.api.issuer.token_with(ALL_SCOPES, &of_tenant);
    let refused = send(scene.api.request_without_token(Method::GET, &scene.bundle_path()).bearer_auth(token)).await;
    assert_eq!(refused.status, 403, "a bundle is for the operator: {}", refused.text);
    let unknown = scene.api.get("/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9b/bundle").await;
    assert_eq!(unknown.status_and_code(), (404, "operation_not_found".into()));
    // The list of contents is no download.
    scene.api.get(&format!("{}/contents", scene.bundle_path())).await;

    let operation = scene.operation().await;
    let records = scene.downloads_on_the_trail().await;
    let results: Vec<_> = records
        .iter()
        .map(|record| (record["outcome"]["result"].as_str(), record["outcome"]["status"].as_u64()))
        .collect();
    assert_eq!(results[0], (Some("succeeded"), Some(200)));
    assert!(results[1..].iter().all(|(result, _)| *result == Some("refused")), "{results:?}");
    assert_eq!((&records[0]["tenant_id"], &records[0]["operation_id"]), (&operation["tenant_id"], &operation["id"]));
    assert_eq!(records[0]["actor"]["subject"], "ann");
    // A repeated download with an Idempotency-Key is a new one.
    for _ in 0..2 {
        let request = scene.api.request(Method::GET, &scene.bundle_path()).header("Idempotency-Key", "bundle-1");
        assert_eq!(request.send().await.expect("a response").status(), 200);
    }
    assert_eq!(scene.downloads_on_the_trail().await.len(), records.len() + 2);
}

#[tokio::test]
async fn a_second_bundle_at_the_same_time_is_refused() {
    let scene = Scene::new().await;
    let pool = &scene.freehold.database.pool;
    let mut lock = pool.begin().await.expect("a transaction");
    let statement = "lock table operation_steps in access exclusive mode";
    sqlx::query(statement).execute(&mut *lock).await.expect("a lock");
    let first = tokio::spawn(scene.api.request(Method::GET, &scene.bundle_path()).send());
    let blocked = "select exists (select from pg_locks where not granted)";
    while !sqlx::query_scalar::<_, bool>(blocked).fetch_one(pool).await.expect("an answer") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = scene.api.get(&scene.bundle_path()).await;
    assert_eq!(second.status_and_code(), (429, "support_bundle_in_progress".into()));
    assert_eq!(second.header("retry-after"), "5");
    lock.rollback().await.expect("a released lock");
    let first = first.await.expect("a task").expect("a response");
    assert_eq!(first.status(), StatusCode::OK);
    let disposition = first.headers()["content-disposition"].to_str().expect("a text").to_owned();
    let id = scene.path.rsplit('/').next().expect("an id");
    assert_eq!(disposition, format!("attachment; filename=\"{id}.zip\""));
    assert_eq!(scene.download().await.len(), 7, "the next one is created");
}
