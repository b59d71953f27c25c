//! Test data for a large installation, inserted directly by SQL.

use std::time::Instant;

use crate::fixture::Installation;

/// SQL that inserts ROWS tenants, environments, operations, account mappings and events, with creation times one second
/// apart. The ids are UUIDs of version 7: they begin with the time, so that they sort in the order of creation.
const INSERT_ROWS: &str = "
    set session_replication_role = replica;
    create temp table numbered as
        select n, timestamptz '2025-12-01 00:00:00Z' + n * interval '1 second' as at,
            lpad(to_hex(1764547200000 + n * 1000), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') as begins
        from generate_series(1, ROWS) n;
    alter table numbered add tenant uuid, add environment uuid, add operation uuid, add mapping uuid;
    update numbered set tenant = (begins || '8001' || lpad(to_hex(n), 12, '0'))::uuid,
        environment = (begins || '8002' || lpad(to_hex(n), 12, '0'))::uuid,
        operation = (begins || '8003' || lpad(to_hex(n), 12, '0'))::uuid,
        mapping = (begins || '8004' || lpad(to_hex(n), 12, '0'))::uuid;
    insert into tenants (id, created_at, company_name, admin_email, tier, external_id, updated_at)
        select tenant, at, 'Example ' || n, 'admin-' || n || '@example.com', 'standard', 'customer-' || n, at from numbered;
    insert into environments (id, tenant_id, name, residency, home_region, created_at, state, ready_at, updated_at)
        select environment, tenant, 'production', 'eu', 'eu-central-1', at, 'ready', at, at from numbered;
    insert into operations
        (id, tenant_id, environment_id, kind, requested_by, created_at, state, finished_at, updated_at)
        select operation, tenant, environment, 'onboard', '{\"issuer\": \"https://issuer.example.com\", \"subject\": \"ann\"}',
            at, 'succeeded', at, at from numbered;
    insert into account_mappings
        (id, tenant_id, environment_id, aws_account_id, valid_from, account_name, opened_at_position)
        select mapping, tenant, environment, lpad((100000000000 + n)::text, 12, '0'), at,
            'Example ' || n || ' production', n from numbered;
    insert into feed (position, operation_id, seq, tenant_id, environment_id, type, data, occurred_at, recorded_at)
        select n, operation, 1, tenant, environment, 'environment.account.assigned',
            jsonb_build_object('aws_account_id', lpad((100000000000 + n)::text, 12, '0')), at, RECORDED from numbered;
    update feed_head set position = ROWS;
    insert into search_entries (kind, id, part, content, trigrams)
        select 'tenant', tenant, part, content, search_trigrams(content)
        from numbered cross join lateral (
            select '' as part, tenant_search_content(tenant) as content
            union all select account, concat(chr(10), account, chr(10))
            from lpad((100000000000 + n)::text, 12, '0') account
        ) texts;
    drop table numbered;
    vacuum analyze";

/// Inserts `rows` rows into each table.
pub(crate) async fn insert_rows(installation: &Installation, rows: u32) {
    let started = Instant::now();
    // All statements use one connection, because the replication role and the temporary table exist per session.
    let mut connection = installation.infrastructure.pool.acquire().await.expect("a connection");
    connection.close_on_drop();
    let now = freehold_tenancy::Clock::real().now().to_rfc3339();
    let statements =
        INSERT_ROWS.replace("ROWS", &rows.to_string()).replace("RECORDED", &format!("timestamptz '{now}'"));
    for statement in statements.split(';') {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement).execute(&mut *connection).await.expect("inserted rows");
    }
    println!("{rows} account mappings and events inserted in {:.0} s", started.elapsed().as_secs_f64());
}
