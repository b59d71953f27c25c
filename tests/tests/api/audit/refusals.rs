//! Tests that refused requests cannot fill the audit trail.

use std::time::Duration;

use freehold_tenancy::db::audit;
use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
use freehold_tests::fixture::{CONFIG, Freehold};
use reqwest::Method;
use serde_json::{Value, json};

use super::list_audit_records;

const REFUSALS: usize = 1000;

#[tokio::test]
async fn a_thousand_refused_requests_become_a_handful_of_records() {
    let freehold = Freehold::instant().await;
    let api = ApiFixture::of(&freehold, CONFIG).await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().expect("an id"));
    let reader = |subject: &str| api.issuer.token_with("fleet tenants:read", &json!({ "sub": subject }));
    let refuse = async |subject: &str, method: Method, path: &str| {
        let request = api.request_without_token(method, path).bearer_auth(reader(subject));
        assert_eq!(send(request).await.status, 403);
    };
    for number in 0..REFUSALS / 2 {
        refuse("eve", Method::DELETE, &format!("{path}?close_account={}", number % 30)).await;
        refuse("eve", Method::PUT, &format!("{path}/legal-hold")).await;
        if number % 100 == 0 {
            // The count survives a restart, because it is in the database.
            audit::advance(freehold.pool(), freehold.clock.now()).await.expect("a chain");
        }
    }
    refuse("bob", Method::DELETE, &path).await;
    let records = list_audit_records(&api, "").await;
    let refused: Vec<_> = records.iter().filter(|record| record["outcome"]["result"] == "refused").collect();
    assert_eq!(refused.len(), 3, "one per caller and action: {refused:#?}");
    assert!(refused.iter().all(|record| record["outcome"]["code"] == "insufficient_scope"), "{refused:#?}");

    freehold.clock.advance(Duration::from_mins(61));
    let counts = aggregated(&api).await;
    assert_eq!(counts, [("offboardTenant".to_owned(), 499), ("setLegalHold".to_owned(), 499)]);
    let records = list_audit_records(&api, "&action=offboardTenant&subject=eve").await;
    let last = &records[1]["aggregated"];
    assert_eq!(last["first_at"], last["last_at"], "the clock of the test stood still");
    assert_eq!(last["resources"].as_array().map(Vec::len), Some(20), "{last}");
    // A quiet hour ends the counting; the next refusal has a record of its own again.
    freehold.clock.advance(Duration::from_mins(61));
    assert_eq!(aggregated(&api).await.len(), 2);
    refuse("eve", Method::DELETE, &path).await;
    let records = list_audit_records(&api, "&action=offboardTenant&subject=eve").await;
    assert_eq!((records.len(), records[2].get("aggregated")), (3, None));
}

/// Returns action and count of the records about counted refusals.
async fn aggregated(api: &ApiFixture) -> Vec<(String, i64)> {
    let records = list_audit_records(api, "").await;
    let counted = records.iter().filter(|record| record.get("aggregated").is_some());
    let mut counts: Vec<_> = counted
        .map(|record| {
            let action = record["action"].as_str().expect("an action").to_owned();
            (action, record["aggregated"]["count"].as_i64().expect("a count"))
        })
        .collect();
    counts.sort();
    counts
}

#[tokio::test]
async fn authorised_changes_are_never_counted_together() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let hold = format!("/v1/tenants/{}/legal-hold", tenant["id"].as_str().expect("an id"));
    for number in 0..5 {
        let body = json!({ "reason": format!("Case {number}.") });
        assert_eq!(send(api.request(Method::PUT, &hold).json(&body)).await.status, 200);
    }
    let records = list_audit_records(&api, "&action=setLegalHold").await;
    let reasons: Vec<&Value> = records.iter().map(|record| &record["request"]["reason"]).collect();
    assert_eq!(reasons, ["Case 0.", "Case 1.", "Case 2.", "Case 3.", "Case 4."]);
}
