//! Tests of the page with the limits of account creation.

use chrono::TimeDelta;
use freehold_tenancy::db::fleet_holds::{self, ProbeBackoff};
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tests::api_fixture::{signup_body, signup_body_with};
use serde_json::json;

use super::fixture::Console;

const SUPPORT: &str = "fleet tenants:read operations:read operations:write";

#[tokio::test]
async fn support_pauses_and_resumes_the_creation_of_accounts() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    console.api.sign_up(&signup_body_with(json!({ "company_name": "First GmbH" }))).await;
    console.api.sign_up(&signup_body_with(json!({ "company_name": "Second GmbH" }))).await;
    let page = console.get("/console/quotas").await.text;
    let (first, second) = (page.find("First GmbH"), page.find("Second GmbH"));
    assert!(first.is_some() && first < second, "{page}");
    assert!(page.contains("AWS accounts are created") && !page.contains("/quotas/resume"), "{page}");

    let refused = console.post("/console/quotas/pause", &[("reason", " ")]).await;
    assert!(refused.status == 200 && refused.text.contains("field-error"), "{}", refused.text);
    let long = "x".repeat(501);
    let refused = console.post("/console/quotas/pause", &[("reason", &long)]).await;
    assert!(refused.text.contains(&format!("value=\"{long}\"")), "{}", refused.text);
    let done = console.post("/console/quotas/pause", &[("reason", "The budget is spent.")]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/console/quotas"));
    let page = console.get("/console/quotas").await.text;
    for text in ["No AWS account is created now", "The budget is spent.", "paused by sue", "no estimate"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(console.post("/console/quotas/resume", &[]).await.status, 303);
    assert!(console.get("/console/quotas").await.text.contains("AWS accounts are created"));
}

#[tokio::test]
async fn fleet_holds_say_what_they_stop_and_when_they_are_tried_again() {
    let mut console = Console::signed_in("rita", "fleet operations:read").await;
    let empty = console.get("/console/quotas").await.text;
    assert!(empty.contains("No operation waits in the queue for AWS."), "{empty}");
    assert!(!empty.contains("action=\"/console/quotas/"), "{empty}");
    console.api.sign_up(&signup_body()).await;
    let claim = console.api.claim_operation().await;
    let slot = QuotaSlot { quota: Quota::AccountCreations, step: StepName::RequestAccount, item: String::new() };
    let pause = ProbeBackoff { first: TimeDelta::minutes(15), max: TimeDelta::hours(1) };
    let (pool, now) = (&console.api.database.pool, console.api.clock.now());
    fleet_holds::start(pool, &claim, &slot, HoldKind::AccountQuotaReached, pause, now).await.expect("a hold");
    let page = console.get("/console/quotas").await.text;
    for text in ["Fleet hold: Account quota reached", "account-creations", "1 waiting", "Freehold tries again at"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(console.post("/console/quotas/pause", &[("reason", "A reason.")]).await.status, 403);
    assert_eq!(console.post("/console/quotas/resume", &[]).await.status, 403);
}
