//! Brings a restored database up to date with AWS, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::attention::recompute_attention;
use super::cancel::{cancel_operation, mark_canceled};
use super::finish::finish_successfully;
use super::open_operation::open_operation;
use super::queries::open;
use crate::db::recovery::{self, KnownState};
use crate::db::{PgPool, Result, environment_replicas, events, finish_transaction, map_constraint_violation};
use crate::event::{EventType, NewEvent};
use crate::operation::{OperationKind, Requester};
use crate::recovery::{Change, LostEnvironment, LostTenant, SKIPPED_POSITIONS};
use crate::replica::Replica;
use crate::{AwsAccountId, EnvironmentId, MappingId, OperationId};

/// Result of [`recover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoverResult {
    /// All changes were made.
    Recovered,
    /// The database has changed since `known` was read. Nothing was written.
    DatabaseChanged,
    /// Workers are connected to the database. Nothing was written.
    WorkersConnected(i64),
}

/// Makes all `changes` of the database and skips feed positions, or makes none of them. `identity` is the identity of
/// the database, and `known` is the state from which the changes were derived.
///
/// Fails with [`crate::db::DbError::AccountTaken`], [`crate::db::DbError::ExternalIdTaken`] or
/// [`crate::db::DbError::EnvironmentExists`].
pub async fn recover(
    pool: &PgPool,
    changes: &[Change],
    known: &KnownState,
    identity: &str,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RecoverResult> {
    let mut tx = pool.begin().await?;
    let result = recover_in_tx(&mut tx, changes, known, identity, by, now).await;
    finish_transaction(tx, result, |result| *result == RecoverResult::Recovered).await
}

async fn recover_in_tx(
    tx: &mut PgConnection,
    changes: &[Change],
    known: &KnownState,
    identity: &str,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<RecoverResult> {
    // Checked before the locks too, because a running worker and the locks could wait for each other.
    let workers = recovery::count_workers(&mut *tx).await?;
    if workers > 0 {
        return Ok(RecoverResult::WorkersConnected(workers));
    }
    // A worker or an API process that starts now waits until the transaction ends.
    sqlx::query!("/* db::lifecycle::recover */ lock table tenants, environments, operations in exclusive mode")
        .execute(&mut *tx)
        .await?;
    let workers = recovery::count_workers(&mut *tx).await?;
    if workers > 0 {
        return Ok(RecoverResult::WorkersConnected(workers));
    }
    if recovery::state(&mut *tx).await? != *known {
        return Ok(RecoverResult::DatabaseChanged);
    }
    skip_positions(&mut *tx, identity, by, now).await?;
    for change in changes {
        make_change(&mut *tx, change, by, now).await?;
    }
    Ok(RecoverResult::Recovered)
}

/// Skips positions of the feed and event numbers of open operations. Consumers have seen events beyond the restored
/// ones, and drop an event whose id they know. The fence rises too, so that no worker from before the restore writes.
async fn skip_positions(tx: &mut PgConnection, identity: &str, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::skip_positions */
        with head as (
            update feed_head set position = position + $1 returning position
        )
        insert into recoveries (feed_position, previous_feed_position, recovered_at, recovered_by, database_identity)
        select position, position - $1, $2, $3, $4 from head"#,
        SKIPPED_POSITIONS,
        now,
        json!(by),
        identity,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::lifecycle::skip_positions */
        update operations set last_seq = last_seq + $1, fence = fence + $1 where finished_at is null"#,
        SKIPPED_POSITIONS,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn make_change(tx: &mut PgConnection, change: &Change, by: &Requester, now: DateTime<Utc>) -> Result<()> {
    match change {
        Change::Recreate { tenant, environment, kind } => {
            if let Some(tenant) = tenant {
                insert_tenant(tx, tenant, environment.created_at, now).await?;
            }
            insert_environment(tx, environment, now).await?;
            open_operation(tx, *kind, environment.id, &json!({ "recovered": true }), by, now, now).await?;
        }
        Change::RestoreRequest { environment, intent, requested_at } => {
            if let Some(open) = open(tx, *environment).await? {
                restore_request(tx, open.id, intent, *requested_at, now).await?;
            }
        }
        Change::MapAccount { environment, account, name, valid_from } => {
            if let Some(open) = open(tx, *environment).await? {
                map_account(tx, open.id, account, name, *valid_from, now).await?;
            }
        }
        Change::Offboard(environment) => match open(tx, *environment).await? {
            Some(open) if open.kind == OperationKind::Offboard => {}
            Some(open) => {
                if let Some(offboarding) = cancel_operation(tx, *environment, &open, by, now).await? {
                    mark_recovered(tx, offboarding).await?;
                }
            }
            None => {
                let input = json!({ "recovered": true });
                _ = open_operation(tx, OperationKind::Offboard, *environment, &input, by, now, now).await?;
            }
        },
        Change::Restore(environment) => {
            if let Some(open) = open(tx, *environment).await?.filter(|open| open.kind == OperationKind::Offboard) {
                let from = mark_canceled(tx, &open, by, now).await?;
                open_operation(tx, OperationKind::Restore, *environment, &json!({}), by, now, from).await?;
            }
        }
        Change::RecordClosure(environment) => record_closure(tx, *environment, by, now).await?,
    }
    Ok(())
}

/// Marks an operation whose environment has a history that the database does not know.
async fn mark_recovered(tx: &mut PgConnection, id: OperationId) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::mark_recovered */
        update operations set input = input || '{"recovered": true}' where id = $1"#,
        id.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_tenant(
    tx: &mut PgConnection,
    tenant: &LostTenant,
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::insert_tenant */
        insert into tenants (id, created_at, company_name, admin_email, tier, external_id, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7)"#,
        tenant.id.as_uuid(),
        created_at,
        tenant.company_name.as_str(),
        tenant.admin_email.as_ref().map(crate::EmailAddress::as_str),
        tenant.tier.as_str(),
        tenant.external_id.as_ref().map(crate::ExternalId::as_str),
        now,
    )
    .execute(tx)
    .await
    .map_err(map_constraint_violation)?;
    Ok(())
}

async fn insert_environment(tx: &mut PgConnection, environment: &LostEnvironment, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::insert_environment */
        insert into environments (id, tenant_id, name, residency, home_region, created_at, state, updated_at)
        values ($1, $2, $3, $4, $5, $6, 'onboarding', $7)"#,
        environment.id.as_uuid(),
        environment.tenant_id.as_uuid(),
        environment.name.as_str(),
        environment.residency.as_str(),
        environment.home_region.as_str(),
        environment.created_at,
        now,
    )
    .execute(&mut *tx)
    .await
    .map_err(map_constraint_violation)?;
    let replicas = Replica::of_new_environment(&environment.replica_regions, now);
    environment_replicas::insert(tx, environment.id, &replicas).await
}

/// Writes the intent of an account request, as if the response to the request had been lost. The worker then searches
/// for the request and the account before it requests another.
async fn restore_request(
    tx: &mut PgConnection,
    id: OperationId,
    intent: &Value,
    requested_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::restore_request */
        insert into operation_steps (operation_id, name, position, after, state, intent, intent_at)
        values ($1, 'request-account', 0, '{}', 'pending', $2, $3)
        on conflict (operation_id, name) do update set state = 'pending', intent = excluded.intent,
            intent_at = excluded.intent_at, waits_for = null, check_at = null, last_error = null,
            last_error_aws_request_id = null, attention = null, attempts_without_progress = 0, blocked_since = null,
            finished_at = null, skip_reason = null"#,
        id.as_uuid(),
        intent,
        requested_at,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::lifecycle::restore_request */ update operations set wake_at = $2, updated_at = $2 where id = $1"#,
        id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    recompute_attention(tx, id, now).await
}

async fn map_account(
    tx: &mut PgConnection,
    id: OperationId,
    account: &AwsAccountId,
    name: &str,
    valid_from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::map_account */
        insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from, account_name)
        select $2, tenant_id, environment_id, $3, $4, $5 from operations where id = $1"#,
        id.as_uuid(),
        MappingId::new(now).as_uuid(),
        account.as_str(),
        valid_from,
        name,
    )
    .execute(&mut *tx)
    .await
    .map_err(map_constraint_violation)?;
    let data = json!({ "aws_account_id": account });
    events::append(tx, id, &[NewEvent { event_type: EventType::AccountAssigned, data }], now).await
}

/// Replaces the open operation by an offboarding that has succeeded, and ends the mapping of the account.
async fn record_closure(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<()> {
    if let Some(open) = open(tx, environment).await? {
        mark_canceled(tx, &open, by, now).await?;
        let slots = sqlx::query!(
            "/* db::lifecycle::record_closure */ delete from slots where operation_id = $1",
            open.id.as_uuid(),
        );
        slots.execute(&mut *tx).await?;
    }
    let input = json!({ "close_account": true, "account_closed": true });
    let id = open_operation(tx, OperationKind::Offboard, environment, &input, by, now, now).await?;
    finish_successfully(tx, id, now).await
}
