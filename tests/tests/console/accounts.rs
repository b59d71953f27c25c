//! Tests of the page with the owners of AWS accounts.

use freehold_tests::api_fixture::signup_body_with;
use serde_json::json;

use super::fixture::Console;

const BILLING: &str = "fleet tenants:read account-mappings:read";

/// Signs up a tenant whose account belonged to it from January to June 2026, and one whose account does since March.
async fn with_accounts() -> Console {
    let console = Console::signed_in("bill", BILLING).await;
    for (name, account) in [("Former GmbH", "555566667777"), ("Present GmbH", "222233334444")] {
        console.api.sign_up(&signup_body_with(json!({ "company_name": name }))).await;
        console.api.succeed_operation(account).await;
    }
    console.api.get("/v1/account-mappings").await;
    let pool = &console.api.database.pool;
    for (account, from, to) in [
        ("555566667777", "2026-01-01T00:00:00Z", Some("2026-06-01T00:00:00Z")),
        ("222233334444", "2026-03-01T00:00:00Z", None),
    ] {
        let times = "update account_mappings set valid_from = $2::text::timestamptz,
            valid_to = $3::text::timestamptz,
            closed_at_position = case when $3 is not null then opened_at_position + 1000 end where aws_account_id = $1";
        sqlx::query(times).bind(account).bind(from).bind(to).execute(pool).await.expect("a mapping");
    }
    sqlx::query("update feed_head set position = 5000").execute(pool).await.expect("a position");
    console
}

#[tokio::test]
async fn billing_sees_the_owners_of_accounts_at_an_instant() {
    let mut console = with_accounts().await;
    for (query, former, present) in [
        ("", false, true),
        ("?at=2026-02-01", true, false),
        ("?at=2026-04-01+12:00+UTC", true, true),
        ("?at=2026-05-31T23:59:59Z", true, true),
        ("?at=2025-01-01", false, false),
    ] {
        let page = console.get(&format!("/console/accounts{query}")).await.text;
        let shown = (page.contains("555566667777"), page.contains("222233334444"));
        assert_eq!(shown, (former, present), "{query}: {page}");
        let csv = console.get(&format!("/console/accounts.csv{query}")).await;
        let shown = (csv.text.contains("555566667777"), csv.text.contains("222233334444"));
        assert_eq!(shown, (former, present), "{query}: {}", csv.text);
        assert!(csv.header("content-type").starts_with("text/csv"), "{}", csv.header("content-type"));
        assert_eq!(csv.header("content-disposition"), "attachment; filename=\"accounts.csv\"");
    }
}

#[tokio::test]
async fn an_account_shows_its_owner_at_an_instant_and_its_history() {
    let mut console = with_accounts().await;
    for (query, sentence) in [
        ("at=2026-02-01", "At 2026-02-01 00:00:00 UTC, account 555566667777 belonged to Former GmbH (production)."),
        ("at=2026-07-01", "At 2026-07-01 00:00:00 UTC, account 555566667777 belonged to no tenant."),
        ("", "Account 555566667777 belongs to no tenant any more."),
    ] {
        let page = console.get(&format!("/console/accounts?account=555566667777&{query}")).await.text;
        assert!(page.contains(sentence) && page.contains("2026-06-01 00:00:00 UTC"), "{query}: {page}");
    }
}

#[tokio::test]
async fn billing_sees_which_released_accounts_are_still_active() {
    let mut console = with_accounts().await;
    let state = "insert into released_accounts (aws_account_id, state, state_since, seen_at)
        values ('555566667777', $1, '2026-06-01T00:00:00Z', '2026-07-01T00:00:00Z')
        on conflict (aws_account_id) do update set state = excluded.state";
    for (stored, shown) in [("released_active", "<strong>released, still active in AWS</strong>"), ("closed", "closed")]
    {
        sqlx::query(state).bind(stored).execute(&console.api.database.pool).await.expect("a state");
        let page = console.get(&format!("/console/accounts?account_state={stored}")).await.text;
        assert!(page.contains("555566667777") && !page.contains("222233334444"), "{page}");
        assert!(page.contains(&format!("<small>{shown}, seen <time")), "{page}");
        assert!(page.contains("2026-07-01 00:00:00 UTC") && page.contains(" selected>"), "{page}");
        let csv = console.get(&format!("/console/accounts.csv?account_state={stored}")).await.text;
        assert_eq!((csv.lines().count(), csv.contains(stored)), (2, true), "{csv}");
    }
    let page = console.get("/console/accounts?account_state=released_active").await.text;
    assert!(page.contains("No account has this state."), "{page}");
}

#[tokio::test]
async fn a_wrong_instant_or_account_is_explained_at_its_field() {
    let mut console = with_accounts().await;
    for (query, error) in [
        ("at=tomorrow", "must be a time such as 2026-10-31T00:00:00Z"),
        ("at=2026-02-30", "must be a time such as 2026-10-31T00:00:00Z"),
        ("at=2999-01-01", "must not be in the future"),
        ("account_state=open", "must be one of in_use, released_active"),
        ("account=12", "must be an account of a tenant: 12 digits"),
        ("account=999999999999", "No account with this id was ever one."),
        ("at=tomorrow&account=555566667777", "must be a time such as"),
    ] {
        let page = console.get(&format!("/console/accounts?{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        assert!(page.text.contains(error) && page.text.contains("aria-invalid=\"true\""), "{query}: {}", page.text);
        assert!(!page.text.contains("as CSV"), "{query}: {}", page.text);
    }
    assert_eq!(console.get("/console/accounts.csv?at=tomorrow").await.status, 400);
}
