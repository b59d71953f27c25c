//! Ends account mappings, and records the state in AWS of the accounts whose mapping has ended.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::{PgPool, Result};
use crate::{AwsAccountId, OperationId};

/// Ends the current account mappings of the environment of an offboarding, and returns their accounts. Their states
/// are those that the steps of the offboarding have found.
pub(in crate::db) async fn end(
    tx: &mut PgConnection,
    operation: OperationId,
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    let accounts = sqlx::query_scalar!(
        r#"/* db::account_mappings::end */
        with ended as (
            update account_mappings m set valid_to = greatest($2, m.valid_from + interval '1 microsecond')
            from operations o where o.id = $1 and m.environment_id = o.environment_id and m.valid_to is null
            returning m.aws_account_id, o.input
        ), released as (
            insert into released_accounts (aws_account_id, state, state_since, seen_at)
            select e.aws_account_id, case
                when e.input ? 'account_closed' or exists (
                    select from operation_steps s
                    where s.operation_id = $1 and s.name = 'await-closure' and s.facts ? 'took_seconds') then 'closed'
                when exists (
                    select from operation_steps s
                    where s.operation_id = $1 and s.name = 'close-account' and s.facts ? 'left_organization')
                    then 'left_organization'
                else 'released_active' end, $2, $2
            from ended e
            on conflict (aws_account_id) do update
                set state = excluded.state, state_since = excluded.state_since, seen_at = excluded.seen_at
        )
        select aws_account_id from ended"#,
        operation.as_uuid(),
        now,
    );
    Ok(accounts.fetch_all(tx).await?)
}

/// Records the states of all accounts whose mapping has ended before `seen_at`. `seen` has each account of the
/// organisation with its state in AWS; an account that it lacks has left the organisation.
pub async fn record_states(pool: &PgPool, seen: &[(AwsAccountId, String)], seen_at: DateTime<Utc>) -> Result<()> {
    let (accounts, states): (Vec<_>, Vec<_>) =
        seen.iter().map(|(account, state)| (account.as_str().to_owned(), state.clone())).unzip();
    sqlx::query!(
        r#"/* db::account_mappings::record_states */
        insert into released_accounts as r (aws_account_id, state, state_since, seen_at)
        select m.aws_account_id, case
            when s.state = 'CLOSED' then 'closed'
            when s.state = 'PENDING_CLOSURE' then 'closing'
            when s.state is null and k.state = 'closed' then 'closed'
            when s.state is null then 'left_organization'
            -- AWS reported closed accounts as suspended before 2026-09.
            when s.state = 'SUSPENDED' and k.state = 'closed' then 'closed'
            when s.state = 'SUSPENDED' then 'suspended'
            else 'released_active' end, $3, $3
        from account_mappings m
            left join unnest($1::text[], $2::text[]) s (account, state) on s.account = m.aws_account_id
            left join released_accounts k on k.aws_account_id = m.aws_account_id
        where m.valid_to < $3 and not exists (
            select from account_mappings n where n.aws_account_id = m.aws_account_id and n.valid_to is null)
        group by m.aws_account_id, s.state, k.state
        on conflict (aws_account_id) do update
            set state = excluded.state, seen_at = excluded.seen_at,
                state_since = case when r.state = excluded.state then r.state_since else excluded.state_since end
            where r.seen_at < excluded.seen_at"#,
        &accounts,
        &states,
        seen_at,
    )
    .execute(pool)
    .await?;
    Ok(())
}
