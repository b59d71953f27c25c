//! Tests of the privileges of API and worker: each object has declared ones, and an attacker with the login of a
//! process cannot do more than the process.

use std::collections::BTreeSet;

use freehold_tenancy::config;
use freehold_tenancy::db::migration::{MigrationReport, grants};
use freehold_tenancy::db::{self, PgPool};
use freehold_tests::database::Database;
use freehold_tests::fixture::Freehold;

/// SQLSTATE `insufficient_privilege` (PostgreSQL, "Error Codes").
const REFUSED: &str = "42501";

/// Statements that neither process may execute.
const REFUSED_FOR_BOTH: &[&str] = &[
    // Evidence.
    "update audit_records set record = '{}'",
    "update audit_records set hash = decode(repeat('00', 32), 'hex')",
    "truncate audit_records",
    "delete from audit_records",
    "insert into audit_records values (1, now(), '{}', decode(repeat('00', 32), 'hex'))",
    "update audit_head set position = 0",
    "update audit_pending set outcome = null",
    "delete from audit_pending",
    "insert into audit_pending (id, started_at, entry) overriding system value values (1, now(), '{}')",
    "update audit_settings set retention_days = 1",
    "select * from audit_strays",
    "delete from audit_refusals",
    "select audit_append(now(), 1, 0)",
    "update access_grants set tenant_id = gen_random_uuid()",
    "delete from access_grants",
    "update audit_pending set entry = '{}'",
    "update audit_pending set tenant_id = null",
    "update events set data = '{}'",
    "delete from events",
    "update feed set data = '{}'",
    "insert into recoveries values (2, 1, now(), '{}', 'another')",
    "update feed_head set singleton = true",
    // Identity of the installation, ownership of accounts.
    "insert into installation select gen_random_uuid(), true, 'real', '111122223333', null, null, null, now()",
    "update installation set id = gen_random_uuid()",
    "update installation set management_account_id = '999999999999'",
    "delete from installation",
    "delete from account_mappings",
    "truncate account_mappings",
    "update account_mappings set aws_account_id = '999999999999'",
    "update account_mappings set tenant_id = gen_random_uuid()",
    "update account_mappings set environment_id = gen_random_uuid()",
    "delete from released_accounts",
    "update released_accounts set aws_account_id = '999999999999'",
    "update environments set tenant_id = gen_random_uuid()",
    "update environments set residency = 'us', home_region = 'us-east-1'",
    "delete from environments",
    "update operations set requested_by = '{}'",
    "update operations set tenant_id = gen_random_uuid()",
    "update operations set kind = 'offboard'",
    "delete from operations",
    "delete from operation_steps",
    "update tenants set id = gen_random_uuid()",
    "delete from tenants",
    // Approvals.
    "insert into approvals (id, operation_id, action, step, request, request_hash, requested_by, requested_at, state,
        decided_by, decided_at)
     select gen_random_uuid(), id, 'close', 'close-account', '{}', repeat('0', 64), requested_by, now(), 'approved',
        '{\"subject\": \"another\"}', now() from operations",
    "update approvals set request = '{}'",
    "update approvals set request_hash = repeat('0', 64)",
    "update approvals set requested_by = '{\"subject\": \"another\"}'",
    "delete from approvals",
    "delete from findings",
    "update residency_proofs set conforms = true",
    "update residency_proofs set jws = 'forged'",
    "delete from residency_proofs",
    // The schema.
    "alter table tenants add column backdoor text",
    "alter table audit_records disable trigger all",
    "alter table account_mappings disable trigger account_mappings_are_never_deleted",
    "drop trigger events_are_append_only on events",
    "alter table audit_records owner to current_user",
    "drop table audit_records",
    "drop view degraded_environments",
    "create table backdoor (id int)",
    "create temporary table audit_pending (id int)",
    "create schema backdoor",
    "create view backdoor as select * from tenants",
    "create function backdoor() returns int language sql as 'select 1'",
    "create or replace function refuse_change() returns trigger language plpgsql as 'begin return old; end'",
    "alter function refuse_change() rename to backdoor",
    "create trigger backdoor before insert on events for each row execute function refuse_change()",
    "create publication backdoor for table audit_records",
    "lock table tenants in access exclusive mode",
    "update _sqlx_migrations set success = false",
    // Other roles, and the server.
    "set role freehold_owner",
    "create role backdoor superuser",
    "alter role freehold_owner login password 'backdoor'",
    "alter role current_user superuser",
    "grant freehold_owner to current_user",
    "set session_replication_role = replica",
    "select * from pg_authid",
    "select pg_read_file('/etc/passwd')",
    "copy (select 1) to '/dev/null'",
    "copy (select 1) to program 'true'",
];

/// Statements that only a worker may execute.
const REFUSED_FOR_API: &[&str] = &[
    "set role freehold_worker",
    "insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
     select gen_random_uuid(), tenant_id, id, '999999999999', now() from environments",
    "update account_mappings set valid_to = now()",
    "insert into released_accounts values ('999999999999', 'closed', now(), now())",
    "insert into operation_steps (operation_id, name, position, after, state)
     select id, 'close-account', 0, '{}', 'pending' from operations",
    "insert into slots (quota, operation_id, step, requested_at) select 'a', id, 'b', now() from operations",
    "update findings set resolved_at = now()",
    "insert into fleet_holds (quota, kind, started_at, probe_at)
     values ('account-creations', 'account_quota_reached', now(), now())",
    "update aws_call_rates set next_at = now()",
    "update workers set aws_error = null",
    "delete from workers",
    "update webhook_cursor set position = 1",
    "delete from webhook_deliveries",
    "update webhook_deliveries set fence = fence + 1",
    "insert into webhook_attempts (delivery_id, number, started_at, duration_ms, message)
     select id, 1, now(), 0, 'forged' from webhook_deliveries",
    "update reconciler set due_at = now()",
    "update access_grants set ended_at = now()",
    "insert into residency_proofs (operation_id, environment_id, observed_at, conforms, key_id, jws)
     select id, environment_id, now(), true, 'a', 'forged' from operations",
];

/// Statements that only the API may execute.
const REFUSED_FOR_WORKER: &[&str] = &[
    "set role freehold_api",
    "update approvals set state = 'approved'",
    "update operations set approval_required = false",
    "insert into operations (id, tenant_id, environment_id, kind, requested_by, created_at, state, updated_at,
        approval_required)
     select gen_random_uuid(), tenant_id, environment_id, kind, requested_by, now(), state, now(), false
     from operations",
    "insert into operations (id, tenant_id, environment_id, kind, requested_by, created_at, state, updated_at,
        started_by_tenant)
     select gen_random_uuid(), tenant_id, environment_id, 'offboard', requested_by, now(), state, now(), true
     from operations",
    "update tenants set suspended_at = null, suspension_reason = null, suspended_by = null",
    "insert into accepted_accounts values ('a', 'b', '', '{}')",
    "update approvals set decided_by = '{}', decided_at = now()",
    "insert into tenants (id, created_at, company_name, tier, updated_at)
     values (gen_random_uuid(), now(), 'Forged', 'standard', now())",
    "update tenants set legal_hold_at = null, legal_hold_reason = null",
    "update tenants set company_name = 'Forged'",
    "update tenants set tier = 'enterprise'",
    "insert into environments (id, tenant_id, name, residency, home_region, created_at, state, updated_at)
     select gen_random_uuid(), id, 'forged', 'eu', 'eu-central-1', now(), 'onboarding', now() from tenants",
    "select key from idempotency_keys",
    "select request_hash from idempotency_keys",
    "insert into idempotency_keys (issuer, client, route, key, request_hash, created_at)
     values ('a', 'b', 'c', 'd', decode(repeat('00', 32), 'hex'), now())",
    "update webhook_endpoints set url = 'https://attacker.example.com'",
    "update webhook_endpoints set types = null",
    "delete from webhook_endpoints",
    "delete from vending_pause",
    "insert into vending_pause (reason, paused_by, paused_at) values ('forged', '{}', now())",
    "update webhook_cursor set singleton = true",
];

/// Executes a statement in a transaction that is rolled back, and returns the SQLSTATE of its error or an empty string.
async fn attempt(pool: &PgPool, statement: &'static str) -> String {
    let mut tx = pool.begin().await.unwrap();
    let result = sqlx::raw_sql(statement).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    let code = |error: sqlx::Error| error.as_database_error().unwrap().code().unwrap().into_owned();
    result.err().map(code).unwrap_or_default()
}

#[tokio::test]
async fn a_process_cannot_execute_the_statements_of_an_attacker() {
    let freehold = Freehold::instant().await;
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    let database = &freehold.database;
    // A copy of a database does not have the privileges on the database itself.
    db::migrate(&database.pool, &config::Database::default()).await.unwrap();
    let of_api =
        REFUSED_FOR_BOTH.iter().chain(REFUSED_FOR_API).map(|statement| ("API", &database.api_pool, *statement));
    let of_worker = REFUSED_FOR_BOTH
        .iter()
        .chain(REFUSED_FOR_WORKER)
        .map(|statement| ("worker", &database.worker_pool, *statement));
    let mut permitted = Vec::new();
    for (process, pool, statement) in of_api.chain(of_worker) {
        let code = attempt(pool, statement).await;
        if code != REFUSED {
            permitted.push(format!("{process} {code}: {statement}"));
        }
    }
    assert!(permitted.is_empty(), "not refused:\n{}", permitted.join("\n"));
    // The statements are valid: a superuser fails at most because of a constraint, or because the server forbids it.
    for statement in REFUSED_FOR_BOTH.iter().chain(REFUSED_FOR_API).chain(REFUSED_FOR_WORKER) {
        let code = attempt(freehold.pool(), statement).await;
        assert!(!code.starts_with("42"), "{code}: {statement}");
    }
    for (process, other, statements) in
        [("worker", &database.worker_pool, REFUSED_FOR_API), ("API", &database.api_pool, REFUSED_FOR_WORKER)]
    {
        for statement in statements.iter().filter(|statement| !statement.starts_with("set role")) {
            // A lock or a column that only the other process needs.
            let code = attempt(other, statement).await;
            let is_of_neither = statement.contains("singleton") || statement.contains("update workers");
            assert!(code != REFUSED || is_of_neither, "the {process} needs: {statement}");
        }
    }
}

#[tokio::test]
async fn every_object_has_declared_privileges() {
    let database = Database::new().await;
    let existing: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
         union select proname::text from pg_proc where pronamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let declared: BTreeSet<String> = grants::object_names().into_iter().collect();
    for name in &existing {
        assert!(
            declared.contains(name),
            "`{name}` has no declared privileges: add a line to tenancy/src/db/migration/grants/table.rs, such as\n    \
             (\"{name}\", \"select, insert\", \"select\"),    // privileges of the API, privileges of the worker"
        );
    }
    let unknown: Vec<_> = declared.iter().filter(|name| !existing.contains(name)).collect();
    assert!(
        unknown.is_empty(),
        "tenancy/src/db/migration/grants/table.rs declares objects that do not exist: {unknown:?}"
    );
}

#[tokio::test]
async fn a_second_migration_changes_nothing_and_repairs_privileges() {
    let database = Database::new().await;
    database.do_not_reuse();
    let config = config::Database::default();
    // The first migration sets the privileges on the database itself, which a copy of the template does not have.
    db::migrate(&database.pool, &config).await.unwrap();
    let report = db::migrate(&database.pool, &config).await.unwrap();
    assert_eq!(report, MigrationReport::default());

    let changes = "grant update on audit_records to freehold_api; grant delete on tenants to public;
        grant update (url) on webhook_endpoints to freehold_worker; grant truncate on feed to freehold_worker;
        revoke insert (outcome) on audit_pending from freehold_api; revoke select on feed from freehold_worker;
        grant execute on function refuse_change() to public; grant select on audit_head to freehold_worker
        with grant option; grant usage, update on sequence audit_pending_id_seq to freehold_api;
        set role freehold_worker; grant select on audit_head to public; reset role";
    sqlx::raw_sql(changes).execute(&database.pool).await.unwrap();
    assert_eq!(
        attempt(&database.worker_pool, "update webhook_endpoints set url = 'https://attacker.example.com'").await,
        ""
    );
    let report = db::migrate(&database.pool, &config).await.unwrap();
    assert!(report.privileges >= 9, "{report:?}");
    for (pool, statement) in [
        (&database.api_pool, "update audit_records set record = '{}'"),
        (&database.api_pool, "delete from tenants"),
        (&database.worker_pool, "update webhook_endpoints set url = 'https://attacker.example.com'"),
        (&database.worker_pool, "truncate feed"),
    ] {
        assert_eq!(attempt(pool, statement).await, REFUSED, "{statement}");
    }
    let entry = "insert into audit_pending (started_at, entry, outcome) values (now(), '{}', '{}')";
    assert_eq!(attempt(&database.api_pool, entry).await, "");
    assert_eq!(attempt(&database.worker_pool, "select * from feed").await, "");
    let surplus: bool = sqlx::query_scalar(
        "select has_table_privilege('freehold_worker', 'audit_head', 'select with grant option')
            or has_sequence_privilege('freehold_api', 'audit_pending_id_seq', 'usage, update')
            or exists (select from pg_class, aclexplode(relacl) a where relname = 'audit_head' and a.grantee = 0)",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert!(!surplus, "a grant option, or a privilege on a sequence, remains");
    let report = db::migrate(&database.pool, &config).await.unwrap();
    assert_eq!(report, MigrationReport::default());
}

#[tokio::test]
async fn a_worker_cannot_end_a_suspension() {
    let freehold = Freehold::instant().await;
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    let suspend = "update tenants set suspended_at = now(), suspension_reason = 'abuse', suspended_by = '{}'";
    sqlx::raw_sql(suspend).execute(freehold.pool()).await.unwrap();
    let worker = &freehold.database.worker_pool;
    sqlx::raw_sql("update environments set state = 'offboarded', offboarded_at = now()").execute(worker).await.unwrap();
    let close = "select c.is_closed from tenants t, close_tenant(t.id, now()) c";
    let is_closed = async || -> bool { sqlx::query_scalar(close).fetch_one(worker).await.unwrap() };
    assert!(!is_closed().await, "an environment whose onboarding has not finished");
    let count = "select count(*) from tenants where suspended_at is not null and offboarded_at is null";
    let suspended: i64 = sqlx::query_scalar(count).fetch_one(freehold.pool()).await.unwrap();
    assert_eq!(suspended, 1, "suspended tenants");
}
