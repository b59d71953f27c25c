//! Inserts ready environments for tests and benchmarks that need many of them, but no accounts.

use chrono::{DateTime, Utc};
use freehold_tenancy::ReleaseId;
use freehold_tenancy::db::PgPool;

/// SQL that inserts `$1` tenants with one ready environment each, which has the release `$2`.
const FLEET: &str = "
    with numbers as (
        select gen_random_uuid() as tenant, gen_random_uuid() as environment, gen_random_uuid() as operation
        from generate_series(1, $1)
    ),
    tenant as (
        insert into tenants (id, created_at, company_name, tier, updated_at)
        select tenant, $3, 'Acme', 'standard', $3 from numbers
    ),
    environment as (
        insert into environments (id, tenant_id, name, residency, home_region, created_at, state, ready_at, updated_at)
        select environment, tenant, 'production', 'eu', 'eu-central-1', $3, 'ready', $3, $3 from numbers
    ),
    operation as (
        insert into operations (id, tenant_id, environment_id, kind, requested_by, created_at, state, finished_at,
            updated_at)
        select operation, tenant, environment, 'onboard', '{}', $3, 'succeeded', $3, $3 from numbers
    )
    insert into environment_stacks (environment_id, kind, region, slot, stack_name, stack_id, state, operation_id,
        intended_at, changed_at, release_id, parameters)
    select environment, 'tenant', 'eu-central-1', 0, 'freehold-tenant', 'arn', 'present', operation, $3, $3, $2, '{}'
    from numbers";

/// Inserts `count` tenants with one ready environment each, which has the release.
pub async fn insert(pool: &PgPool, count: i32, release: ReleaseId, now: DateTime<Utc>) {
    let query = sqlx::query(FLEET).bind(count).bind(release.as_uuid()).bind(now);
    query.execute(pool).await.expect("ready environments");
}
