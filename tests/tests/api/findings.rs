//! Tests of findings in the API: lists, counts and metrics, the state of environments, and events.

use freehold_tenancy::db::findings::{record, resolve};
use freehold_tenancy::db::lifecycle;
use freehold_tenancy::finding::{FindingKind, FindingRemedy, NewFinding};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::{EnvironmentId, FindingId, TenantId};
use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::process::{self, freehold};

fn new_finding(kind: FindingKind, subject: &str) -> NewFinding {
    NewFinding {
        kind,
        subject: subject.to_owned(),
        aws_account_id: None,
        environment: None,
        message: "A person must check this.".to_owned(),
        remedy: FindingRemedy::Person,
    }
}

async fn subjects(api: &ApiFixture, query: &str) -> Vec<String> {
    let page = api.get(&format!("/v1/findings?{query}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let page = page.json();
    let findings = page["findings"].as_array().expect("findings").iter();
    let mut subjects: Vec<String> = findings.map(|one| one["subject"].as_str().expect("a text").to_owned()).collect();
    subjects.sort();
    subjects
}

#[tokio::test]
async fn findings_are_listed_by_state_and_severity_and_counted() {
    let api = ApiFixture::new().await;
    let (pool, now) = (&api.database.pool, api.clock.now());
    let three = [
        new_finding(FindingKind::GuardrailDetached, "freehold-region-eu"),
        new_finding(FindingKind::GroupMissing, "support"),
        new_finding(FindingKind::GuardrailMissing, "freehold-region-us"),
    ];
    let recorded = record(pool, &three, now).await.expect("findings").0;
    let later = now + chrono::TimeDelta::hours(1);
    let missing = recorded.iter().find(|(one, _)| one.kind == FindingKind::GuardrailMissing).expect("the finding").0.id;
    assert_eq!(resolve(pool, &[missing], later, later).await.expect("an answer").0.len(), 1);

    assert_eq!(subjects(&api, "").await, ["freehold-region-eu", "freehold-region-us", "support"]);
    assert_eq!(subjects(&api, "state=open").await, ["freehold-region-eu", "support"]);
    assert_eq!(subjects(&api, "state=resolved").await, ["freehold-region-us"]);
    assert_eq!(subjects(&api, "state=open&severity=critical").await, ["freehold-region-eu"]);
    let page = api.get("/v1/findings?page_size=2").await.json();
    let next = format!("page_size=2&page_token={}", page["next_page_token"].as_str().expect("a token"));
    assert_eq!(subjects(&api, &next).await.len(), 1);

    let metrics = api.get("/metrics").await.text;
    for line in [r#"freehold_findings{severity="critical"} 1"#, r#"freehold_findings{severity="error"} 1"#] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_finding_about_an_environment_contains_the_tenant() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let (id, environment) = (tenant["id"].as_str().expect("an id"), &tenant["environments"][0]["id"]);
    let subject = (id.parse().expect("an id"), environment.as_str().expect("an id").parse().expect("an id"));
    let finding = NewFinding {
        aws_account_id: Some("012345678901".parse().expect("an account id")),
        environment: Some(subject),
        remedy: FindingRemedy::Repair,
        ..new_finding(FindingKind::WrongOu, "012345678901")
    };
    record(&api.database.pool, &[finding, new_finding(FindingKind::GroupMissing, "support")], api.clock.now())
        .await
        .expect("findings");
    let listed = api.get(&format!("/v1/findings?tenant={id}")).await.json();
    let [finding] = &listed["findings"].as_array().expect("findings")[..] else { panic!("{listed}") };
    for (field, value) in [
        ("kind", json!("wrong_ou")),
        ("severity", json!("critical")),
        ("state", json!("open")),
        ("remedy", json!("repair")),
        ("aws_account_id", json!("012345678901")),
        ("tenant_id", json!(id)),
        ("environment_id", environment.clone()),
        ("operation_id", Value::Null),
        ("resolved_at", Value::Null),
    ] {
        assert_eq!(finding[field], value, "{field}");
    }
}

/// Signs up a tenant whose only environment becomes ready in `account`.
async fn ready_tenant(api: &ApiFixture, account: &str) -> Value {
    let tenant = api.sign_up(&signup_body()).await;
    api.succeed_operation(account).await;
    tenant_of(api, &tenant).await
}

async fn tenant_of(api: &ApiFixture, tenant: &Value) -> Value {
    api.get(&format!("/v1/tenants/{}", text(&tenant["id"]))).await.json()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn finding_about(tenant: &Value, kind: FindingKind) -> NewFinding {
    let (id, environment): (TenantId, EnvironmentId) = (
        text(&tenant["id"]).parse().expect("a tenant id"),
        text(&tenant["environments"][0]["id"]).parse().expect("an environment id"),
    );
    NewFinding { environment: Some((id, environment)), ..new_finding(kind, &environment.to_string()) }
}

async fn open(api: &ApiFixture, found: &[NewFinding]) -> Vec<FindingId> {
    let (recorded, _) = record(&api.database.pool, found, api.clock.now()).await.expect("findings");
    recorded.into_iter().map(|(finding, _)| finding.id).collect()
}

async fn close(api: &ApiFixture, ids: &[FindingId]) {
    let later = api.clock.now() + chrono::TimeDelta::hours(1);
    resolve(&api.database.pool, ids, later, later).await.expect("an answer");
}

/// Returns the events of the feed after the position `after`.
async fn events_after(api: &ApiFixture, after: i64) -> Vec<Value> {
    let page = api.get(&format!("/v1/events?after={after}")).await.json();
    page["events"].as_array().expect("events").clone()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(&event["type"])).collect()
}

async fn listed(api: &ApiFixture, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/tenants?{query}")).await;
    assert_eq!(page.status, 200, "{query}: {}", page.text);
    page.json()["tenants"].as_array().expect("tenants").iter().map(|tenant| tenant["id"].clone()).collect()
}

#[tokio::test]
async fn an_environment_is_degraded_while_a_critical_finding_is_open() {
    let api = ApiFixture::new().await;
    let tenant = ready_tenant(&api, "111122223333").await;
    let other = ready_tenant(&api, "444455556666").await;
    let found = [FindingKind::AssignmentMissing, FindingKind::WrongOu].map(|kind| finding_about(&tenant, kind));
    let ids = open(&api, &found).await;

    let degraded = tenant_of(&api, &tenant).await;
    let path = format!("/v1/tenants/{}/environments/production", text(&tenant["id"]));
    let environment = api.get(&path).await.json();
    assert_eq!(environment, degraded["environments"][0]);
    assert_eq!((&degraded["state"], &environment["state"]), (&json!("degraded"), &json!("degraded")));
    assert_eq!(environment["ready_at"], tenant["environments"][0]["ready_at"]);
    let findings = environment["findings"].as_array().expect("findings");
    let kinds: Vec<_> = findings.iter().map(|finding| (text(&finding["kind"]), text(&finding["severity"]))).collect();
    assert_eq!(kinds, [("wrong_ou", "critical"), ("assignment_missing", "error")], "the most severe comes first");
    assert_eq!(findings[0]["message"], "A person must check this.");
    assert_eq!((&findings[0]["remedy"], &findings[0]["operation_id"]), (&json!("person"), &Value::Null));
    assert!(findings[0]["first_seen_at"].is_string() && text(&findings[0]["id"]).starts_with("find_"));

    let (id, other) = (tenant["id"].clone(), other["id"].clone());
    for (query, expected) in [
        ("state=degraded", vec![&id]),
        ("state=ready", vec![&other]),
        ("state=needs_attention", vec![]),
        ("attention=true", vec![&id]),
        ("attention=false", vec![&other]),
    ] {
        assert_eq!(listed(&api, query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(api.get("/v1/tenants?attention=maybe").await.json()["errors"][0]["field"], "attention");

    let assignment_missing = text(&findings[1]["id"]).to_owned();
    let (critical, error): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id.to_string() != assignment_missing);
    close(&api, &critical).await;
    let recovered = tenant_of(&api, &tenant).await;
    assert_eq!(recovered["state"], "ready");
    assert_eq!(recovered["environments"][0]["findings"].as_array().map(Vec::len), Some(1));
    close(&api, &error).await;
    assert_eq!(tenant_of(&api, &tenant).await, tenant, "something remains of the findings");
}

#[tokio::test]
async fn each_change_of_a_finding_is_one_event_of_its_tenant() {
    let api = ApiFixture::new().await;
    let tenant = ready_tenant(&api, "111122223333").await;
    let other = ready_tenant(&api, "444455556666").await;
    let before = api.get("/v1/events").await.json()["next_after"].as_i64().expect("a position");
    let found = [FindingKind::WrongOu, FindingKind::StackMissing].map(|kind| finding_about(&tenant, kind));
    // Two processes compare at the same time.
    let (ids, again) = tokio::join!(open(&api, &found), open(&api, &found));
    assert_eq!(ids, again);
    open(&api, &[new_finding(FindingKind::GuardrailMissing, "freehold-region-us")]).await;
    close(&api, &ids[..1]).await;
    close(&api, &ids).await;
    close(&api, &ids).await;

    let events = events_after(&api, before).await;
    assert_eq!(
        types(&events),
        [
            "environment.finding.opened",
            "environment.finding.opened",
            "environment.degraded",
            "environment.finding.resolved",
            "environment.finding.resolved",
            "environment.recovered",
        ]
    );
    let environment = &tenant["environments"][0]["id"];
    for event in &events {
        assert_eq!((&event["subject"], &event["data"]["environment_id"]), (environment, environment), "{event}");
        assert_eq!(event["id"], format!("{}/{}", text(environment), text(&event["sequence"]).trim_start_matches('0')));
        assert_eq!(event["data"]["operation_id"], Value::Null, "{event}");
    }
    let kinds = ids.iter().map(ToString::to_string).zip(["wrong_ou", "stack_missing"]);
    for (event, (id, kind)) in events.iter().zip(kinds) {
        assert_eq!(
            event["data"],
            json!({
                "tenant_id": tenant["id"], "environment_id": environment, "finding_id": id, "kind": kind,
                "severity": "critical", "environment": "production", "home_region": "eu-central-1",
            })
        );
    }
    for (whose, expected) in [(&tenant, 6), (&other, 0)] {
        let token = api.issuer.token_with("", &json!({ "scope": "events:read", "tenant_id": whose["id"] }));
        let path = format!("/v1/events?after={before}");
        let own = send(api.request_without_token(Method::GET, &path).bearer_auth(token)).await.json();
        assert_eq!(own["events"].as_array().map(Vec::len), Some(expected), "{own}");
    }
}

#[tokio::test]
async fn an_environment_is_degraded_only_while_it_should_be_in_service() {
    let api = ApiFixture::new().await;
    let signed_up = api.sign_up(&signup_body()).await;
    let missing = finding_about(&signed_up, FindingKind::AccountMissing);
    let ids = open(&api, &[missing]).await;
    let onboarding = tenant_of(&api, &signed_up).await;
    assert_eq!(
        (&onboarding["state"], onboarding["environments"][0]["findings"].as_array().map(Vec::len)),
        (&json!("onboarding"), Some(1))
    );
    api.succeed_operation("111122223333").await;
    assert_eq!(tenant_of(&api, &signed_up).await["state"], "degraded");

    // A repair that needs attention leaves the environment degraded.
    let environment = text(&signed_up["environments"][0]["id"]).parse().expect("an id");
    let by = Requester { issuer: "freehold".to_owned(), subject: "reconciler".to_owned() };
    let input = json!({});
    let repair = lifecycle::open_repair(&api.database.pool, environment, &input, &by, api.clock.now()).await;
    assert!(repair.expect("an answer").is_some());
    assert_eq!(tenant_of(&api, &signed_up).await["state"], "degraded");
    api.park("account_not_active").await;
    assert_eq!(tenant_of(&api, &signed_up).await["state"], "degraded");
    assert_eq!(listed(&api, "attention=true").await.len(), 1);

    let path = format!("/v1/tenants/{}", text(&signed_up["id"]));
    assert_eq!(api.delete(&path).await.json()["state"], "offboarding");
    assert_eq!(listed(&api, "state=degraded").await.len(), 0);
    // The cooling-off period requires an account.
    let restored = api.post(&format!("{path}/restore")).await;
    assert_eq!((restored.status.as_u16(), &restored.json()["state"]), (202, &json!("degraded")), "{}", restored.text);
    close(&api, &ids).await;
    assert_eq!(tenant_of(&api, &signed_up).await["state"], "restoring");
    let events = events_after(&api, 0).await;
    let changes: Vec<_> = types(&events)
        .into_iter()
        .filter(|one| {
            one.starts_with("environment.degraded") || one.ends_with("recovered") || one.ends_with("accepted")
        })
        .collect();
    assert_eq!(
        changes,
        [
            "tenant.onboarding.accepted",
            "environment.degraded",
            "tenant.repair.accepted",
            "tenant.offboarding.accepted",
            "tenant.restoring.accepted",
            "environment.degraded",
            "environment.recovered",
        ]
    );
}

#[tokio::test]
async fn the_commands_show_a_degraded_environment_and_its_findings() {
    let api = ApiFixture::new().await;
    let tenant = ready_tenant(&api, "111122223333").await;
    let ids = open(&api, &[finding_about(&tenant, FindingKind::WrongOu)]).await;
    let run = async |arguments: &[&str]| {
        let token = api.issuer.token(freehold_tests::api_fixture::ALL_SCOPES);
        let arguments = [arguments, &["--api-url", &api.url, "--token", &token]].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let program = move || freehold(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        // This runtime serves the API, so the command must not block it.
        let output = tokio::task::spawn_blocking(program).await.expect("a finished process");
        assert!(output.status.success(), "{}", process::text(&output.stderr));
        process::text(&output.stdout)
    };
    let id = text(&tenant["id"]);
    for (arguments, expected) in [
        (&["tenants", "show", id][..], &["degraded", "wrong_ou", "critical", "A person must check this."][..]),
        (&["tenants", "list", "--attention"], &[id, "degraded", "wrong_ou"]),
        (&["tenants", "list", "--state", "degraded"], &[id]),
        (&["findings", "list"], &[&ids[0].to_string(), "wrong_ou", "open", id, "A person must check this."]),
    ] {
        let output = run(arguments).await;
        for text in expected {
            assert!(output.contains(text), "{arguments:?} prints no {text}:\n{output}");
        }
    }
    close(&api, &ids).await;
    for arguments in [&["tenants", "list", "--attention"][..], &["findings", "list"], &["tenants", "show", id]] {
        let output = run(arguments).await;
        assert!(!output.contains("wrong_ou"), "{arguments:?}:\n{output}");
    }
    assert!(run(&["findings", "list", "--state", "all"]).await.contains("resolved"));
}
