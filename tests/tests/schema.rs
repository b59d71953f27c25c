//! Tests of the constraints, migrations, roles and privileges of the database.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod expand;
mod history;
mod privileges;
mod roles;

use freehold_tenancy::db::DbError;
use freehold_tests::database::Database;
use freehold_tests::fixture::Freehold;

/// Runs a statement that violates a constraint, and returns the name of the constraint.
async fn violated_constraint(freehold: &Freehold, statement: &'static str) -> String {
    let error = sqlx::query(statement).execute(freehold.pool()).await.expect_err("a rejected statement");
    let error = error.into_database_error().expect("an error of the database");
    error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned)
}

#[tokio::test]
async fn the_database_rejects_invalid_rows() {
    let freehold = Freehold::instant().await;
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.sign_up("Another", "eu-central-1", "standard").await;
    let pool = freehold.pool();
    sqlx::query("update tenants set external_id = 'customer-1' where company_name = 'Example'")
        .execute(pool)
        .await
        .unwrap();
    let mapping = "insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
        select gen_random_uuid(), tenant_id, id, '001122223333', created_at from environments order by id limit 1";
    sqlx::query(mapping).execute(pool).await.unwrap();

    for (statement, constraint) in [
        (
            "insert into operations (id, tenant_id, environment_id, kind, requested_by, created_at, state, wake_at,
                updated_at)
             select gen_random_uuid(), tenant_id, environment_id, kind, requested_by, created_at, 'pending', wake_at,
                 updated_at
             from operations limit 1",
            "operations_unique_open",
        ),
        (
            "insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
             select gen_random_uuid(), tenant_id, id, '001122223333', created_at
                 from environments order by id desc limit 1",
            "account_mappings_unique_current_account",
        ),
        (
            "insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
             select gen_random_uuid(), tenant_id, id, '444455556666', created_at from environments order by id limit 1",
            "account_mappings_unique_current_environment",
        ),
        ("update account_mappings set aws_account_id = '1122223333'", "account_mappings_aws_account_id_check"),
        ("delete from account_mappings", "a row of account_mappings is not changed or deleted"),
        ("update events set data = '{}'", "a row of events is not changed or deleted"),
        ("delete from events", "a row of events is not changed or deleted"),
        ("update tenants set external_id = 'customer-1' where company_name = 'Another'", "tenants_unique_external_id"),
        ("update operations set state = 'lost'", "operations_state_check"),
        ("update operations set state = 'needs_attention'", "attention_fields_match_state"),
        ("update operations set wake_at = null", "open_has_wake_at"),
        ("update operations set state = 'succeeded', wake_at = null", "final_state_has_finished_at"),
        ("update environments set state = 'ready'", "ready_has_ready_at"),
        ("update environments set state = 'lost'", "environments_state_check"),
        (
            "insert into installation select gen_random_uuid(), true, 'real', '111122223333', null, null, null,
            created_at from installation",
            "installation_singleton_key",
        ),
        ("update installation set kind = 'real'", "clock_fields_match_kind"),
    ] {
        assert_eq!(violated_constraint(&freehold, statement).await, constraint, "{statement}");
    }

    // The external id of an offboarded tenant can be used again.
    sqlx::query("update tenants set offboarded_at = created_at where company_name = 'Example'")
        .execute(pool)
        .await
        .unwrap();
    let again = "update tenants set external_id = 'customer-1' where company_name = 'Another'";
    sqlx::query(again).execute(pool).await.unwrap();
}

#[tokio::test]
async fn a_pooler_that_does_not_keep_sessions_is_reported_with_the_fix() {
    let database = Database::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    // With transaction pooling, two clients prepare the same name in one session.
    for (statement, is_refused) in
        [("prepare a as select 1", false), ("prepare a as select 1", true), ("execute b", true)]
    {
        let error = sqlx::raw_sql(statement).execute(&mut *connection).await.err().map(DbError::from);
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(text.contains("set pool_mode = session in PgBouncer"), is_refused, "{statement}: {text}");
    }
}
