//! Tests that an audit record contains the objects of a request and their changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_tenancy::Clock;
use freehold_tenancy::attention::Remedy;
use freehold_tests::api_fixture::{ApiFixture, send, signup_body, signup_body_with};
use freehold_tests::tokens::Issuer;
use freehold_tests::webhook_fixture::{SECRETS_KEY, TestResolver};
use reqwest::Method;
use serde_json::{Value, json};

use super::list_audit_records;

/// API whose webhook endpoints are at hooks.example.com.
async fn api() -> ApiFixture {
    let issuer = Issuer::new();
    let jwks = issuer.jwks().display().to_string();
    let resolver = TestResolver::default();
    resolver.set("hooks.example.com", &["203.0.114.7"]);
    let config = format!("[secrets]\nkey = \"{SECRETS_KEY}\"\n");
    ApiFixture::with_app(issuer, &jwks, &config, Clock::real(), |app| app.with_resolver(Arc::new(resolver))).await
}

struct Recorder {
    api: ApiFixture,
    actions: BTreeSet<String>,
}

impl Recorder {
    /// Sends a request as `subject` and returns the response and its audit record.
    async fn send(&mut self, subject: &str, method: Method, path: &str, body: &Value) -> (Value, Value) {
        let scopes = freehold_tests::api_fixture::ALL_SCOPES;
        let token = self.api.issuer.token_with(scopes, &json!({ "sub": subject }));
        let id = uuid::Uuid::now_v7().to_string();
        let mut request = self.api.request_without_token(method, path).bearer_auth(token);
        request = request.header("X-Request-Id", &id).header("If-Match", "*").header("Idempotency-Key", &id);
        if !body.is_null() {
            request = request.json(body);
        }
        let response = send(request).await;
        assert!(response.status.is_success(), "{path}: {}", response.text);
        let mut records = list_audit_records(&self.api, &format!("&request_id={id}")).await;
        assert_eq!(records.len(), 1, "{path}");
        let record = records.remove(0);
        self.actions.insert(record["action"].as_str().expect("an action").to_owned());
        (serde_json::from_str(&response.text).unwrap_or_default(), record)
    }

    /// Sends a request and asserts the recorded request fields and changes.
    async fn assert(&mut self, method: Method, path: &str, body: Value, request: Value, changes: Value) -> Value {
        let (response, record) = self.send("ann", method, path, &body).await;
        let or_empty = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        assert_eq!(or_empty(&record["request"]), request, "request of {path}: {record}");
        assert_eq!(or_empty(&record["outcome"]["changes"]), changes, "changes of {path}: {record}");
        response
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn change(old: Value, new: Value) -> Value {
    json!({ "old": old, "new": new })
}

async fn change_tenant(recorder: &mut Recorder) -> (Value, String) {
    let body = signup_body_with(json!({
        "tier": "standard", "external_id": "c-1", "residency": "eu", "environments": ["production"],
        "labels": { "team": "north" },
    }));
    let mut request = body.clone();
    request["admin_email"] = json!("given");
    let tenant = recorder.assert(Method::POST, "/v1/tenants", body, request, json!({})).await;
    let id = text(&tenant["id"]);
    let path = format!("/v1/tenants/{id}");
    let change_of_all = json!({
        "company_name": "Example AG", "admin_email": "other@example.com", "tier": "enterprise", "external_id": null,
        "labels": { "team": null, "site": "b" },
    });
    let mut request = change_of_all.clone();
    request["admin_email"] = json!("given");
    let changes = json!({
        "company_name": change(json!("Example GmbH"), json!("Example AG")),
        "admin_email": "changed",
        "tier": change(json!("standard"), json!("enterprise")),
        "external_id": change(json!("c-1"), json!(null)),
        "labels": change(json!({ "team": "north" }), json!({ "site": "b" })),
    });
    recorder.assert(Method::PATCH, &path, change_of_all, request, changes).await;

    let hold = format!("{path}/legal-hold");
    for (reason, old) in [("Case 1.", json!(null)), ("Case 2.", json!("Case 1."))] {
        let body = json!({ "reason": reason });
        let changes = json!({ "legal_hold": change(old, json!(reason)) });
        recorder.assert(Method::PUT, &hold, body.clone(), body, changes).await;
    }
    let changes = json!({ "legal_hold": change(json!("Case 2."), json!(null)) });
    recorder.assert(Method::DELETE, &hold, Value::Null, json!({}), changes).await;
    (tenant, path)
}

async fn change_operation(recorder: &mut Recorder, operation: &str) {
    let remedies = [Remedy::Retry, Remedy::Correct, Remedy::Adopt, Remedy::Cancel];
    recorder.api.park_with_remedies("account_email_taken", &remedies).await;
    let path = format!("/v1/operations/{operation}");
    let asked = |action: &str, request: Value| {
        let new = json!({ "state": "pending", "action": action, "request": request });
        json!({ "approval": change(json!(null), new) })
    };
    let decided = |state: &str, action: &str, request: Value| {
        let new = json!({ "state": state, "action": action, "request": request });
        json!({ "approval": change(json!({ "state": "pending" }), new) })
    };
    let email = json!({ "account_email": "aws+other@example.com" });
    let request = json!({ "account_email": "aws+other@example.com", "adopt_account_id": null });
    let retry = format!("{path}/retry");
    let shown = recorder.assert(Method::POST, &retry, email.clone(), email, asked("correct", request.clone())).await;
    let hash = json!({ "request_hash": shown["approvals"][0]["request_hash"] });
    let reject = format!("{path}/reject");
    recorder.assert(Method::POST, &reject, hash.clone(), hash, decided("rejected", "correct", request)).await;
    let adopt = json!({ "aws_account_id": "777788889999" });
    let request = json!({ "adopt_account_id": "777788889999" });
    let shown = recorder
        .assert(Method::POST, &format!("{path}/adopt"), adopt.clone(), adopt, asked("adopt", request.clone()))
        .await;
    let hash = json!({ "request_hash": shown["approvals"][1]["request_hash"] });
    let (_, record) = recorder.send("bob", Method::POST, &format!("{path}/approve"), &hash).await;
    assert_eq!(record["outcome"]["changes"], decided("approved", "adopt", request), "{record}");
    assert_eq!((&record["request"], &record["ids"]), (&hash, &json!([operation])));
}

async fn change_webhooks(recorder: &mut Recorder) {
    let url = "https://hooks.example.com/freehold?token=secret-1";
    // SHA-256 of the two queries, shortened.
    let recorded = |url: &str| {
        let hash = if url.ends_with('1') { "adf27513788634f5" } else { "fccca7c67fc36625" };
        format!("https://hooks.example.com/?sha256={hash}")
    };
    let body = json!({ "url": url, "types": ["environment.ready"], "description": "billing" });
    let mut request = body.clone();
    request["url"] = json!(recorded(url));
    let changes = json!({
        "url": change(json!(null), json!(recorded(url))),
        "types": change(json!(null), json!(["environment.ready"])),
        "description": change(json!(null), json!("billing")),
        "format": change(json!(null), json!("freehold")),
    });
    let endpoint = recorder.assert(Method::POST, "/v1/webhook-endpoints", body, request, changes).await;
    let id = text(&endpoint["id"]);
    let path = format!("/v1/webhook-endpoints/{id}");
    let other = "https://hooks.example.com/freehold?token=secret-2";
    let body = json!({ "url": other, "types": null, "description": "support", "format": "slack" });
    let request = json!({ "url": recorded(other), "types": null, "description": "support", "format": "slack" });
    let changes = json!({
        "url": change(json!(recorded(url)), json!(recorded(other))),
        "types": change(json!(["environment.ready"]), json!(null)),
        "description": change(json!("billing"), json!("support")),
        "format": change(json!("freehold"), json!("slack")),
    });
    recorder.assert(Method::PATCH, &path, body, request, changes).await;
    let rotate = format!("{path}/rotate-secret");
    recorder.assert(Method::POST, &rotate, Value::Null, json!({}), json!({ "secret": "changed" })).await;
    let since = json!({ "since": recorder.api.clock.now() - chrono::TimeDelta::days(1) });
    recorder.assert(Method::POST, &format!("{path}/replay"), since.clone(), since, json!({})).await;
    for (action, old) in [("disable", true), ("enable", false)] {
        let changes = json!({ "is_enabled": change(json!(old), json!(!old)) });
        recorder.assert(Method::POST, &format!("{path}/{action}"), Value::Null, json!({}), changes).await;
    }
    let changes = json!({
        "url": change(json!(recorded(other)), json!(null)),
        "description": change(json!("support"), json!(null)),
        "format": change(json!("slack"), json!(null)),
    });
    recorder.assert(Method::DELETE, &path, Value::Null, json!({}), changes).await;
}

#[tokio::test]
async fn each_documented_field_of_a_change_is_recorded() {
    let mut recorder = Recorder { api: api().await, actions: BTreeSet::new() };
    let (tenant, path) = change_tenant(&mut recorder).await;
    let operation = text(&tenant["environments"][0]["operation_id"]);
    change_operation(&mut recorder, &operation).await;
    change_webhooks(&mut recorder).await;
    let reason = json!({ "reason": "The budget is spent." });
    let paused = json!({ "vending_pause": change(json!(null), json!("The budget is spent.")) });
    recorder.assert(Method::PUT, "/v1/vending/pause", reason.clone(), reason, paused).await;
    let resumed = json!({ "vending_pause": change(json!("The budget is spent."), json!(null)) });
    recorder.assert(Method::DELETE, "/v1/vending/pause", Value::Null, json!({}), resumed).await;

    let staging = json!({ "name": "staging", "home_region": "eu-west-1" });
    let (environment, record) = recorder.send("ann", Method::POST, &format!("{path}/environments"), &staging).await;
    assert_eq!(record["request"], staging);
    for id in [&environment["id"], &environment["operation_id"], &tenant["id"]] {
        assert!(record["outcome"]["ids"].as_array().expect("ids").contains(id), "{id} in {record}");
    }
    let cancel = format!("/v1/operations/{}/cancel", text(&environment["operation_id"]));
    let (_, record) = recorder.send("ann", Method::POST, &cancel, &Value::Null).await;
    assert_eq!(record["tenant_id"], tenant["id"], "{record}");

    // Everything that a record says about a request is free of personal data and secrets.
    let all = list_audit_records(&recorder.api, "").await;
    let trail = json!(all).to_string();
    for hidden in ["admin@example.com", "other@example.com\"", "secret-1", "secret-2", "whsec_"] {
        let account_emails = trail.replace("aws+other@example.com", "");
        assert!(!account_emails.contains(hidden), "{hidden}");
    }
    // Offboarding, restore, baselines and deliveries are in the tests of their routes; they have no recorded fields.
    let mut expected: Vec<_> = recorder.actions.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(expected.len(), 19, "{expected:?}");
}

#[tokio::test]
async fn a_decision_is_recorded_with_its_tenant_and_operation() {
    let config = "[[tiers]]\nname = \"careful\"\napproval = \"required\"";
    let mut recorder = Recorder { api: ApiFixture::with_config(config).await, actions: BTreeSet::new() };
    let tenant = recorder.api.sign_up(&signup_body()).await;
    let (path, tier) = (format!("/v1/tenants/{}", text(&tenant["id"])), json!({ "tier": "careful" }));
    let (approval, asked) = recorder.send("ann", Method::PATCH, &path, &tier).await;
    assert_eq!(asked["outcome"]["changes"]["approval"]["new"]["state"], "pending", "{asked}");
    let (again, repeated) = recorder.send("cid", Method::PATCH, &path, &tier).await;
    assert_eq!((&again["id"], &repeated["outcome"]["changes"]), (&approval["id"], &Value::Null), "{repeated}");
    let decide = |approval: &Value, action: &str| {
        let hash = json!({ "request_hash": approval["request_hash"] });
        (format!("/v1/approvals/{}/{action}", text(&approval["id"])), hash)
    };
    let (approve, hash) = decide(&approval, "approve");
    let (_, approved) = recorder.send("bob", Method::POST, &approve, &hash).await;
    assert_eq!((&approved["tenant_id"], &approved["operation_id"]), (&tenant["id"], &Value::Null), "{approved}");
    assert_eq!(approved["outcome"]["changes"]["tier"], change(json!("standard"), json!("careful")), "{approved}");

    recorder.api.park_with_remedies("account_email_taken", &[Remedy::Adopt]).await;
    let operation = text(&tenant["environments"][0]["operation_id"]);
    let (adopt, account) = (format!("/v1/operations/{operation}/adopt"), json!({ "aws_account_id": "777788889999" }));
    let (shown, _) = recorder.send("ann", Method::POST, &adopt, &account).await;
    let (reject, hash) = decide(&shown["approvals"][0], "reject");
    let (_, rejected) = recorder.send("bob", Method::POST, &reject, &hash).await;
    assert_eq!((&rejected["tenant_id"], &rejected["operation_id"]), (&tenant["id"], &json!(operation)), "{rejected}");
    for filter in [format!("tenant={}", text(&tenant["id"])), format!("operation={operation}")] {
        let found = list_audit_records(&recorder.api, &format!("&{filter}&action=rejectRequest")).await;
        assert_eq!(found, std::slice::from_ref(&rejected), "{filter}");
    }
}

#[tokio::test]
async fn concurrent_changes_are_recorded_with_the_value_before_each() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/tenants/{}", text(&tenant["id"]));
    let tag = api.get(&path).await.header("etag").to_owned();
    // Of the requests for one version of the tenant, only one is carried out.
    for (if_match, accepted) in [(tag.as_str(), 1), ("*", 12)] {
        let holds = (0..12).map(|number| {
            let request = api.request(Method::PUT, &format!("{path}/legal-hold")).header("If-Match", if_match);
            send(request.json(&json!({ "reason": format!("Case {number} of {if_match}.") })))
        });
        let responses = futures::future::join_all(holds).await;
        let count = responses.iter().filter(|response| response.status == 200).count();
        assert_eq!(count, accepted, "{:?}", responses.iter().map(|one| one.status).collect::<Vec<_>>());
    }
    let records = list_audit_records(&api, "&action=setLegalHold").await;
    let changes = records.iter().map(|record| &record["outcome"]["changes"]["legal_hold"]);
    let before: BTreeSet<String> = changes.filter(|one| one.is_object()).map(|one| one["old"].to_string()).collect();
    assert_eq!(before.len(), 13, "a value is replaced twice: {before:?}");
}

#[tokio::test]
async fn an_encoded_id_and_a_long_query_leave_their_trace() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.succeed_operation("111122223333").await;
    let id = text(&tenant["id"]);
    let encoded: String = id.bytes().fold(String::new(), |text, byte| text + format!("%{byte:02x}").as_str());
    let long = format!("/v1/tenants/{encoded}?{}close_account=true", "&".repeat(400));
    let response = api.delete(&long).await;
    assert_eq!(response.status, 202, "{}", response.text);
    let records = list_audit_records(&api, &format!("&tenant={id}&action=offboardTenant")).await;
    assert_eq!(records.len(), 1, "the tenant of the encoded id is not recorded");
    assert_eq!(records[0]["query"], json!({ "close_account": "true" }));
    assert_eq!(records[0]["ids"], json!([id]));
    let started = &response.json()["environments"][0]["operation_id"];
    assert_eq!(records[0]["outcome"]["ids"], json!([started, id]), "{}", records[0]);
    let of_operation = list_audit_records(&api, &format!("&operation={}", text(started))).await;
    assert_eq!(of_operation, records, "the request that started the operation is not found by it");
    assert!(text(&records[0]["resource"]).starts_with(&format!("/v1/tenants/{id}?&")), "{}", records[0]);

    let restore = api.post(&format!("/v1/tenants/{encoded}/environments/%70roduction/restore")).await;
    assert_eq!(restore.status, 202, "{}", restore.text);
    let records = list_audit_records(&api, &format!("&tenant={id}&action=restoreEnvironment")).await;
    assert_eq!(records[0]["resource"], format!("/v1/tenants/{id}/environments/production/restore"));
}
