//! Tests of findings in the API: lists, counts and metrics.

use freehold_tenancy::db::findings::{record, resolve};
use freehold_tenancy::finding::{FindingKind, FindingRemedy, NewFinding};
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use serde_json::{Value, json};

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
    let recorded = record(pool, &three, now).await.expect("findings");
    let later = now + chrono::TimeDelta::hours(1);
    let missing = recorded.iter().find(|(one, _)| one.kind == FindingKind::GuardrailMissing).expect("the finding").0.id;
    assert_eq!(resolve(pool, &[missing], later, later).await.expect("an answer"), 1);

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
