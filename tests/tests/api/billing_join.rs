//! Test of the SQL in `docs/billing.md`, which joins the export of account mappings with a FOCUS table of AWS.

use std::path::Path;

use freehold_tests::api_fixture::{ApiFixture, send, signup_body_with};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Returns the SQL of the document.
fn documented_sql() -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/billing.md");
    let document = std::fs::read_to_string(document).unwrap();
    let sql = document.split("```sql\n").nth(1).expect("an example in SQL");
    sql.split("```").next().unwrap().to_owned()
}

/// Signs up a tenant whose account belongs to it from a time until another.
async fn sign_up(api: &ApiFixture, company: &str, account: &str, from: &str, to: Option<&str>) {
    let body = json!({ "company_name": company, "external_id": format!("c-{account}") });
    api.sign_up(&signup_body_with(body)).await;
    api.succeed_operation(account).await;
    api.get("/v1/account-mappings").await;
    let times = "update account_mappings set valid_from = $2::text::timestamptz, valid_to = $3::text::timestamptz,
        closed_at_position = case when $3 is not null then opened_at_position + 1 end where aws_account_id = $1";
    sqlx::query(times).bind(account).bind(from).bind(to).execute(&api.database.pool).await.unwrap();
}

#[tokio::test]
async fn the_documented_sql_assigns_each_charge_to_its_customer() {
    let api = ApiFixture::new().await;
    // The schema of the example would remain in a reused database.
    api.database.do_not_reuse();
    sign_up(&api, "Müller, \"Söhne\" & Co", "011122223333", "2026-10-04T10:17:03.25Z", Some("2026-10-11T08:00:00Z"))
        .await;
    sign_up(&api, "Example GmbH", "222233334444", "2026-03-01T00:00:00Z", None).await;
    sign_up(&api, "Former GmbH", "333344445555", "2026-03-01T00:00:00Z", Some("2026-09-01T00:00:00Z")).await;
    sign_up(&api, "Later GmbH", "444455556666", "2026-11-01T00:00:00Z", None).await;
    sqlx::query("update feed_head set position = position + 1000").execute(&api.database.pool).await.unwrap();
    let request = api.request(Method::GET, "/v1/account-mappings?to=2026-11-01T00:00:00Z").header("Accept", "text/csv");
    let csv = send(request).await.text;

    let mut postgres = PgConnection::connect(&api.database.url).await.unwrap();
    sqlx::raw_sql("create schema billing; set search_path = billing").execute(&mut postgres).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(documented_sql())).execute(&mut postgres).await.unwrap();
    let mut copy = postgres.copy_in_raw("copy account_mappings from stdin csv header").await.unwrap();
    copy.send(csv.as_bytes()).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 3, "{csv}");
    let charges = "insert into focus_charges
        select account, date_trunc('month', start), date_trunc('month', start) + interval '1 month', start,
            start + interval '1 hour', cost, 'USD'
        from (values
            ('011122223333', timestamptz '2026-10-04T10:00:00Z', 1.25), -- the hour in which the account was created
            ('011122223333', '2026-10-11T07:00:00Z', 2),
            ('011122223333', '2026-10-11T08:00:00Z', 4), -- the end of a mapping is exclusive
            ('222233334444', '2026-10-31T23:00:00Z', 8),
            ('222233334444', '2026-11-01T00:00:00Z', 16), -- of the next billing period
            ('333344445555', '2026-10-01T00:00:00Z', 32),
            ('999999999999', '2026-10-01T00:00:00Z', 64)
        ) charges (account, start, cost)";
    sqlx::raw_sql("set time zone 'UTC'").execute(&mut postgres).await.unwrap();
    sqlx::raw_sql(charges).execute(&mut postgres).await.unwrap();
    let shares = r#"select "SubAccountId", coalesce("x_CompanyName", '-'), share, cost::float8
        from october order by "SubAccountId", share desc"#;
    let shares: Vec<(String, String, String, f64)> = sqlx::query_as(shares).fetch_all(&mut postgres).await.unwrap();
    let shares: Vec<_> =
        shares.iter().map(|(one, name, share, cost)| (&one[..], &name[..], &share[..], *cost)).collect();
    assert_eq!(
        shares,
        [
            ("011122223333", "Müller, \"Söhne\" & Co", "tenant", 3.25),
            ("011122223333", "Müller, \"Söhne\" & Co", "released", 4.0),
            ("222233334444", "Example GmbH", "tenant", 8.0),
            ("333344445555", "Former GmbH", "released", 32.0),
            ("999999999999", "-", "no tenant", 64.0),
        ]
    );
}
