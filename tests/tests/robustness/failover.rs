//! Tests of a failover of the database: sessions that cannot write are closed, and no request is lost.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::time::{Duration, Instant};

use freehold_tenancy::db::{self, DbError};
use freehold_tests::api_fixture::{ApiFixture, signup_body};
use freehold_tests::database::Database;
use reqwest::Method;
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

/// Maximum time that a test waits until requests succeed again.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Makes all new sessions of the database read-only or writable, and terminates the open sessions.
async fn set_read_only(admin: &mut PgConnection, read_only: bool) {
    let database: String = sqlx::query_scalar("select current_database()").fetch_one(&mut *admin).await.unwrap();
    let setting =
        if read_only { "set default_transaction_read_only = on" } else { "reset default_transaction_read_only" };
    sqlx::raw_sql(AssertSqlSafe(format!("alter database {database} {setting}"))).execute(&mut *admin).await.unwrap();
    if read_only {
        let terminate = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        sqlx::raw_sql(terminate).execute(admin).await.unwrap();
    }
}

#[tokio::test]
async fn a_signup_during_a_failover_gets_503_and_succeeds_afterwards() {
    let api = ApiFixture::new().await;
    api.database.do_not_reuse();
    let mut admin = PgConnection::connect(&api.database.url).await.unwrap();
    let signup = async || {
        let request = api.request(Method::POST, "/v1/tenants").header("Idempotency-Key", "failover");
        request.json(&signup_body()).send().await.unwrap().status().as_u16()
    };

    set_read_only(&mut admin, true).await;
    for _ in 0..3 {
        assert_eq!(signup().await, 503);
    }
    assert_eq!(api.get("/readyz").await.status, 503);

    set_read_only(&mut admin, false).await;
    let start = Instant::now();
    while signup().await != 202 {
        assert!(start.elapsed() < TIMEOUT, "the API does not connect again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(api.get("/readyz").await.status, 200);
    let tenants: i64 = sqlx::query_scalar("select count(*) from tenants").fetch_one(&mut admin).await.unwrap();
    assert_eq!(tenants, 1, "the retries of the signup created a second tenant");
}

#[tokio::test]
async fn a_session_that_became_read_only_is_closed() {
    let database = Database::new().await;
    let pool = db::connect(&SecretString::from(database.url.clone()), 1).await.unwrap();
    let write = async || {
        let write = sqlx::query("update feed_head set position = position").execute(&pool).await;
        write.map(drop).map_err(DbError::from)
    };
    let mut attempts = 0..50;
    let error = loop {
        attempts.next().expect("a write in a read-only session");
        // A server that becomes a standby makes its open sessions read-only.
        sqlx::raw_sql("set default_transaction_read_only = on").execute(&pool).await.unwrap();
        // On a slow machine, the session is idle so long that it is checked and closed before the write.
        if let Err(error) = write().await {
            break error;
        }
    };
    assert!(error.is_outage() && error.is_connection_lost(), "{error}");
    write().await.unwrap();
}

#[tokio::test]
async fn an_unusable_database_is_reported_with_address_and_cause() {
    let database = Database::new().await;
    let role = "create role freehold_limited login connection limit 0";
    // Roles belong to the server, so an earlier test may have created this one.
    _ = sqlx::query(role).execute(&database.pool).await;
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&database.pool).await.unwrap();
    let user = database.url.split_once("//").and_then(|(_, rest)| rest.split_once('@')).unwrap().0;
    for (from, to, words) in [
        (
            format!("/{name}"),
            "/freehold_missing".to_owned(),
            "database \"freehold_missing\" does not exist (SQLSTATE 3D000)",
        ),
        (
            format!("//{user}@"),
            "//freehold_stranger@".to_owned(),
            "role \"freehold_stranger\" does not exist (SQLSTATE 28",
        ),
        (
            format!("//{user}@"),
            "//freehold_limited@".to_owned(),
            "too many connections for role \"freehold_limited\" (SQLSTATE 53300)",
        ),
    ] {
        let url = database.url.replacen(&from, &to, 1);
        assert_ne!(url, database.url);
        let error = db::connect(&SecretString::from(url), 1).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot connect to PostgreSQL at ") && text.contains(words), "{text}");
    }
}
