//! Tests of the database functions that chain the audit trail, as roles that have the rights of API and worker only.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::audit::{AuditKind, AuditOutcome, AuditResult};
use freehold_tenancy::db::audit::{self, AuditFilter};
use freehold_tenancy::db::installation::{self, InstallationKind};
use freehold_tenancy::db::{DbError, PgPool};
use freehold_tests::database::Database;
use freehold_tests::fixture::Freehold;
use freehold_tests::log_capture::LogCapture;
use freehold_tests::signup::audit_entry;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor};

/// Rights of API and worker on the tables and functions of the audit trail.
const GRANTS: &str = "grant select, insert (started_at, tenant_id, entry, outcome)
        on audit_pending to $role; grant select on audit_records, audit_head to $role;
    grant execute on function audit_chain (timestamptz), audit_complete (bigint, jsonb), audit_status () to $role;
    grant select on operations, tenants to $role";

fn done() -> AuditOutcome {
    AuditOutcome::of(AuditResult::Succeeded)
}

async fn execute(pool: &PgPool, statements: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(pool).await.map(drop)
}

/// Creates a role with the rights of API and worker, and returns connections that use it.
async fn restricted_pool(database: &Database, role: &str) -> PgPool {
    // Tests run in parallel on one server, and its roles are common to all databases.
    let create = format!(
        "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
    );
    execute(&database.pool, &create).await.expect("a role");
    execute(&database.pool, &GRANTS.replace("$role", role)).await.expect("grants");
    let set_role = format!("set role {role}");
    let options = PgPoolOptions::new().max_connections(2).after_connect(move |connection, _| {
        let set_role = set_role.clone();
        Box::pin(async move { connection.execute(AssertSqlSafe(set_role)).await.map(drop) })
    });
    options.connect(&database.url).await.expect("a connection")
}

async fn texts(pool: &PgPool) -> Vec<String> {
    let records = audit::list(pool, &AuditFilter::default(), 0, 1000).await.expect("the trail");
    records.into_iter().map(|record| record.text).collect()
}

#[tokio::test]
async fn a_restricted_role_can_write_complete_and_chain_entries() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let now = freehold.clock.now();
    for (head_position, role) in [(2, "audit_test_api"), (4, "audit_test_worker")] {
        let pool = restricted_pool(&freehold.database, role).await;
        let open = audit::begin(&pool, &audit_entry(), None, now).await.expect("an entry");
        assert!(audit::end(&pool, open, &done()).await.expect("an answer"));
        audit::note(&pool, &audit_entry(), None, &done(), now).await.expect("an entry");
        let head = audit::advance(&pool, now).await.expect("a chain");
        assert_eq!(head.position, head_position);
        assert_eq!(audit::chain_ends(&pool).await.expect("the ends").0, head);
        assert_eq!(i64::try_from(texts(&pool).await.len()), Ok(head_position));
        assert_eq!(audit::status(&pool).await.expect("the status").strays, 0);
    }
}

/// Statements that an attacker with the role of the API or the worker tries.
const REFUSED: &[&str] = &[
    "insert into audit_records select position + 1, recorded_at, record, hash from audit_records",
    "update audit_records set record = '{}'",
    "update audit_records set recorded_at = now()",
    "update audit_records set hash = sha256('x')",
    "delete from audit_records",
    "truncate audit_records",
    "drop table audit_records",
    "alter table audit_records disable trigger all",
    "insert into audit_head (singleton, position, hash, dropped_position, dropped_hash) values (true, 0, '', 0, '')",
    "update audit_head set position = 0",
    "update audit_head set dropped_position = position, dropped_hash = hash",
    "delete from audit_head",
    "update audit_pending set outcome = '{}'",
    "update audit_pending set entry = '{}'",
    "delete from audit_pending",
    "truncate audit_pending",
    "select * from audit_settings",
    "insert into audit_settings (retention_days) values (1)",
    "update audit_settings set retention_days = 1",
    "delete from audit_settings",
    "select * from audit_strays",
    "delete from audit_strays",
    "insert into audit_strays (found_at, recorded_at, record) values (now(), now(), '{}')",
    "select * from audit_refusals",
    "delete from audit_refusals",
    "update audit_refusals set count = 0",
    "select audit_append(now(), 1, 0)",
    "select audit_delete_expired(1000000, now() + interval '100 years')",
    "select audit_set_aside_entry(now())",
    "select audit_set_aside_refusals(now() + interval '100 years')",
    "select audit_end_refusals(now() + interval '100 years')",
    "select audit_count_refusal('{}', '{}', 'x', now(), now())",
    "select audit_own_text('audit.dropped', 'x', '{}', now())",
    "select audit_text('{}', now(), null, '{}')",
    "alter function audit_chain(timestamptz) security invoker",
    "create or replace function audit_chain(at timestamptz) returns void language sql as 'select'",
    "drop function audit_chain(timestamptz)",
    "grant all on audit_settings to public",
];

#[tokio::test]
async fn a_restricted_role_cannot_change_what_is_recorded() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let (owner, now) = (freehold.pool(), freehold.clock.now());
    audit::set_retention(owner, 100).await.expect("a retention");
    audit::note(owner, &audit_entry(), None, &done(), now).await.expect("an entry");
    audit::advance(owner, now).await.expect("a chain");
    let before = texts(owner).await;
    for role in ["audit_test_api", "audit_test_worker"] {
        let pool = restricted_pool(&freehold.database, role).await;
        for statement in REFUSED {
            let error = execute(&pool, statement).await.expect_err(statement);
            let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
            assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}: {error}");
        }
        assert!(matches!(audit::set_retention(&pool, 1).await, Err(DbError::Sql(_))));
    }
    assert_eq!(texts(owner).await, before);
    assert_eq!(REFUSED.len(), 38);
}

#[tokio::test]
async fn an_outcome_is_written_once() {
    let freehold = Freehold::instant().await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let open = audit::begin(pool, &audit_entry(), None, now).await.expect("an entry");
    assert!(audit::end(pool, open, &AuditOutcome::of(AuditResult::Failed)).await.expect("an answer"));
    assert!(!audit::end(pool, open, &done()).await.expect("an answer"), "the outcome was replaced");
    audit::advance(pool, now).await.expect("a chain");
    assert!(texts(pool).await[0].contains(r#""result": "failed""#));
}

#[tokio::test]
async fn temporary_tables_of_the_caller_are_ignored() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let (owner, now) = (freehold.pool(), freehold.clock.now());
    let pool = restricted_pool(&freehold.database, "audit_test_api").await;
    audit::note(owner, &audit_entry(), None, &done(), now).await.expect("an entry");
    let mut connection = pool.acquire().await.expect("a connection");
    let shadow = "create temporary table audit_settings as select true as singleton, 1 as retention_days;
        create temporary table installation as select 'sandbox' as kind;
        create temporary table audit_records (position bigint, recorded_at timestamptz, record json, hash bytea);
        create temporary table audit_head as select 77::bigint as position, sha256('x') as hash;
        create function pg_temp.sha256(bytea) returns bytea language sql as 'select null::bytea'";
    sqlx::raw_sql(shadow).execute(&mut *connection).await.expect("temporary tables");
    let chain = "select head_position, chained from audit_chain($1)";
    let (position, chained): (i64, i32) =
        sqlx::query_as(chain).bind(now).fetch_one(&mut *connection).await.expect("a chain");
    assert_eq!((position, chained), (1, 1));
    assert_eq!(texts(owner).await.len(), 1);
}

#[tokio::test]
async fn a_future_time_does_not_end_the_retention_early() {
    let database = Database::new().await;
    database.do_not_reuse();
    let clock = freehold_tenancy::Clock::real();
    let account = "111122223333".parse().expect("an account id");
    installation::ensure(&database.pool, InstallationKind::Real, &account, None, clock.now()).await.expect("a row");
    audit::set_retention(&database.pool, 30).await.expect("a retention");
    let pool = restricted_pool(&database, "audit_test_worker").await;
    for at in [clock.now(), clock.now() + TimeDelta::days(3650), clock.now() - TimeDelta::days(3650)] {
        audit::note(&pool, &audit_entry(), None, &done(), clock.now()).await.expect("an entry");
        audit::advance(&pool, at).await.expect("a chain");
    }
    audit::advance(&pool, clock.now() + TimeDelta::hours(2)).await.expect("a chain");
    let records = audit::list(&pool, &AuditFilter::default(), 0, 10).await.expect("the trail");
    assert_eq!(records.len(), 3, "records were deleted");
    for record in &records {
        let difference = record.recorded_at - clock.now();
        assert!(difference.abs() <= TimeDelta::minutes(61), "{difference}");
    }
    for time in ["null", "'infinity'", "'-infinity'"] {
        let chain = format!("select audit_chain({time})");
        execute(&pool, &chain).await.expect_err(&chain);
    }
}

#[tokio::test]
async fn records_beyond_the_head_are_not_served_and_do_not_stop_the_chain() {
    let freehold = Freehold::instant().await;
    let api = freehold_tests::api_fixture::ApiFixture::of(&freehold, freehold_tests::fixture::CONFIG).await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    for _ in 0..2 {
        audit::note(pool, &audit_entry(), None, &done(), now).await.expect("an entry");
    }
    audit::advance(pool, now).await.expect("a chain");
    let (log, _guard) = LogCapture::start();
    execute(
        pool,
        "insert into audit_records select position + 2, recorded_at, json_build_object('forged', true), hash
            from audit_records",
    )
    .await
    .expect("forged records");
    assert_eq!(texts(pool).await.len(), 2, "a forged record was listed");
    audit::note(pool, &audit_entry(), None, &done(), now).await.expect("an entry");
    assert_eq!(audit::advance(pool, now).await.expect("a chain").position, 4);
    assert_eq!(log.containing("2 rows in the audit tables were not written by Freehold").len(), 1);
    let listed = api.get("/v1/audit-events").await.json();
    let listed: Vec<_> = listed["audit_events"].as_array().expect("records").iter().collect();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|event| event["record"].get("forged").is_none()), "{listed:?}");
    assert_eq!((&listed[3]["record"]["kind"], &listed[3]["record"]["count"]), (&"audit.strays".into(), &2.into()));
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("freehold_audit_strays 2"), "{metrics}");
    assert!(metrics.contains("freehold_audit_pending_age_seconds 0"), "{metrics}");
    audit::begin(pool, &audit_entry(), None, now).await.expect("an entry");
    freehold.clock.advance(Duration::from_secs(40));
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("freehold_audit_pending_age_seconds 40"), "{metrics}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_stored_does_not_stop_the_chain() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    execute(pool, "alter table audit_records add check (record ->> 'action' <> 'poison')").await.expect("a check");
    for number in 0..40 {
        let mut entry = audit_entry();
        if number == 13 || number == 27 {
            entry.action = "poison".to_owned();
        }
        audit::note(pool, &entry, None, &done(), now).await.expect("an entry");
    }
    audit::advance(pool, now).await.expect("a chain");
    let records = texts(pool).await;
    assert_eq!(records.iter().filter(|text| text.contains("audit.strays")).count(), 2);
    assert_eq!(records.len(), 40, "38 entries and two records about the others");
    assert_eq!(audit::status(pool).await.expect("the status").strays, 2);
}

#[tokio::test]
async fn texts_of_any_length_do_not_stop_the_chain() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let (owner, now) = (freehold.pool(), freehold.clock.now());
    let pool = restricted_pool(&freehold.database, "audit_test_api").await;
    // Repeated text would be compressed.
    let long: String = (0..300).map(|_| uuid::Uuid::now_v7().simple().to_string()).collect();
    let entry = json!(audit_entry());
    let refused = json!({ "result": "refused", "code": "tenant_not_found" });
    let insert = "insert into audit_pending (started_at, entry, outcome) values ($1, $2, $3)";
    let write = async |change: serde_json::Value, outcome: &serde_json::Value, at: DateTime<Utc>| {
        let mut entry = entry.clone();
        entry.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        sqlx::query(insert).bind(at).bind(entry).bind(outcome).execute(&pool).await.map(drop)
    };
    for field in ["request_id", "operation_id"] {
        for _ in 0..2 {
            let change = json!({ "kind": "api.call", field: &long });
            write(change, &refused, now).await.expect("an entry");
        }
    }
    let aws = json!({ "result": "succeeded", "aws_request_id": &long });
    write(json!({ "kind": "aws.call" }), &aws, now).await.expect("an entry");
    let actor = json!({ "actor": { "issuer": "a", "subject": &long, "client": &long } });
    write(actor, &json!(done()), now).await.expect("an entry");
    audit::advance(owner, now).await.expect("a chain");
    audit::advance(owner, now + TimeDelta::hours(2)).await.expect("a chain");
    assert_eq!(audit::status(owner).await.expect("the status").strays, 5, "entries that Freehold did not write");
    let filter = AuditFilter { actor: Some(long.clone()), client: Some(long.clone()), ..AuditFilter::default() };
    assert_eq!(audit::list(owner, &filter, 0, 10).await.expect("the trail").len(), 1);
    let filter = AuditFilter { actor: Some(long[..300].to_owned()), ..AuditFilter::default() };
    assert_eq!(audit::list(owner, &filter, 0, 10).await.expect("the trail").len(), 0, "another actor");

    let large: String = long.repeat(20);
    for (change, outcome) in [(json!({ "note": &large }), json!(done())), (json!({}), json!({ "note": &large }))] {
        let error = write(change, &outcome, now).await.expect_err("a large entry");
        assert_eq!(
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
            Some("23514"),
            "{error}"
        );
    }
    let infinite = "insert into audit_pending (started_at, entry) values ('infinity', '{}')";
    execute(&pool, infinite).await.expect_err("an entry without a time");
}

#[tokio::test]
async fn a_refusal_that_cannot_be_stored_does_not_stop_the_chain() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let note = async |action: &str, result, at| {
        let mut entry = audit_entry();
        entry.kind = AuditKind::ApiCall;
        entry.action = action.to_owned();
        audit::note(pool, &entry, None, &AuditOutcome::of(result), at).await.expect("an entry");
    };
    for _ in 0..3 {
        note("refusedAction", AuditResult::Refused, now).await;
    }
    audit::advance(pool, now).await.expect("a chain");
    execute(pool, "update audit_refusals set record = 'not an object' where count > 0").await.expect("a change");
    let later = now + TimeDelta::hours(2);
    for _ in 0..3 {
        note("acceptedAction", AuditResult::Succeeded, later).await;
    }
    audit::advance(pool, later).await.expect("a chain");
    let records = texts(pool).await;
    assert_eq!(records.iter().filter(|text| text.contains("acceptedAction")).count(), 3, "{records:#?}");
    assert_eq!(records.iter().filter(|text| text.contains("audit.strays")).count(), 1, "{records:#?}");
    let kept: String =
        sqlx::query_scalar("select record::text from audit_strays").fetch_one(pool).await.expect("a row");
    assert!(kept.contains("not an object") && kept.contains("\"refusals\" : 2"), "{kept}");
}

#[tokio::test]
async fn a_lock_of_the_head_is_reported_as_an_error() {
    let freehold = Freehold::instant().await;
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    audit::note(pool, &audit_entry(), None, &done(), now).await.expect("an entry");
    let mut lock = pool.begin().await.expect("a transaction");
    sqlx::query("select from audit_head for update").execute(&mut *lock).await.expect("a lock");
    let error = audit::advance(pool, now).await.expect_err("an answer in spite of the lock");
    assert!(error.to_string().contains("lock timeout"), "{error}");
    lock.rollback().await.expect("the end of the lock");
    assert_eq!(audit::advance(pool, now).await.expect("a chain").position, 1);
}
