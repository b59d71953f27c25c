//! Appends the events of an operation under its row lock, and reads them in order.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{PgPool, Result};
use crate::event::{Event, EventType, NewEvent};
use crate::feed::FeedType;
use crate::{EnvironmentId, OperationId, TenantId};

/// Field of a `step.succeeded` event whose step was skipped. Such an event is read as [`EventType::StepSkipped`]: the
/// previous version, which does not know that type, reads it too.
pub(super) const SKIP_REASON_FIELD: &str = "reason";

/// Appends events. The caller must have locked the operation.
pub(super) async fn append(
    tx: &mut PgConnection,
    id: OperationId,
    news: &[NewEvent],
    now: DateTime<Utc>,
) -> Result<()> {
    if news.is_empty() {
        return Ok(());
    }
    let types: Vec<String> = news.iter().map(|event| event.event_type.to_string()).collect();
    let data: Vec<Value> = news.iter().map(|event| event.data.clone()).collect();
    sqlx::query!(
        r#"/* db::events::append */
        with operation as (
            update operations set last_seq = last_seq + cardinality($2::text[]), updated_at = $4
            where id = $1 returning id, tenant_id, environment_id, last_seq - cardinality($2::text[]) as seen
        )
        insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
        select o.id, o.seen + news.n, o.tenant_id, o.environment_id, news.type, news.data, $4
        from operation o, unnest($2::text[], $3::jsonb[]) with ordinality as news (type, data, n)
        -- They come into the feed in the order in which they are written.
        order by news.n"#,
        id.as_uuid(),
        &types,
        &data,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends an event that belongs to no tenant, such as an event of a release, to the feed. `data` must have the fields
/// [`FeedType::data_fields`] of its type.
pub(super) async fn append_fleet_event(
    tx: &mut PgConnection,
    feed_type: FeedType,
    data: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::events::append_fleet_event */
        insert into feed_pending (type, data, occurred_at) values ($1, $2, $3)"#,
        feed_type.as_str(),
        data,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends an event of an environment itself, which belongs to no operation, to the feed.
pub(super) async fn append_environment_event(
    tx: &mut PgConnection,
    feed_type: FeedType,
    tenant: TenantId,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::events::append_environment_event */
        insert into feed_pending (tenant_id, environment_id, type, data, occurred_at) values ($1, $2, $3, '{}', $4)"#,
        tenant.as_uuid(),
        environment.as_uuid(),
        feed_type.as_str(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns whether an operation has no event of the type `event_type`. The caller must have locked the operation.
pub(super) async fn has_none(tx: &mut PgConnection, id: OperationId, event_type: EventType) -> Result<bool> {
    let none = sqlx::query_scalar!(
        r#"/* db::events::has_none */
        select not exists (select from events where operation_id = $1 and type = $2) as "none!""#,
        id.as_uuid(),
        event_type.as_str(),
    );
    Ok(none.fetch_one(tx).await?)
}

/// Returns at most `limit` events of an operation with a `seq` above `after`.
pub async fn after(pool: &PgPool, id: OperationId, after: i64, limit: i64) -> Result<Vec<Event>> {
    let rows = sqlx::query!(
        r#"/* db::events::after */
        select seq, tenant_id, environment_id, type as "event_type: EventType", data, occurred_at
        from events where operation_id = $1 and seq > $2 order by seq limit $3"#,
        id.as_uuid(),
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Event {
            operation_id: id,
            seq: row.seq,
            tenant_id: row.tenant_id.into(),
            environment_id: row.environment_id.into(),
            event_type: public_type(row.event_type, &row.data),
            data: row.data,
            occurred_at: row.occurred_at,
        })
        .collect())
}

fn public_type(stored: EventType, data: &Value) -> EventType {
    match stored {
        EventType::StepSucceeded if data.get(SKIP_REASON_FIELD).is_some() => EventType::StepSkipped,
        stored => stored,
    }
}

/// New events of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvents {
    pub operation_id: OperationId,
    pub events: Vec<Event>,
    /// Whether the operation has finished and `events` contains its last event or is empty.
    pub finished: bool,
    /// False if the event after `events` has a type that only a newer version supports.
    pub is_readable: bool,
}

/// Returns the new events of several operations, at most `limit` in total. Each operation is given with the `seq` of
/// the latest known event. An operation without a new event is returned only if it has finished.
pub async fn after_all(pool: &PgPool, known: &[(OperationId, i64)], limit: i64) -> Result<Vec<NewEvents>> {
    let (ids, seqs): (Vec<_>, Vec<_>) = known.iter().map(|(id, seq)| (id.as_uuid(), *seq)).unzip();
    let rows = sqlx::query!(
        r#"/* db::events::after_all */
        select o.id as operation_id, o.tenant_id, o.environment_id, o.last_seq, o.finished_at is not null as "finished!",
            e.seq as "seq?", e.type as "event_type?", e.data as "data?", e.occurred_at as "occurred_at?"
        from unnest($1::uuid[], $2::bigint[]) as known (id, seq)
            join operations o on o.id = known.id and (o.last_seq > known.seq or o.finished_at is not null)
            left join events e on e.operation_id = o.id and e.seq > known.seq
        order by o.id, e.seq limit $3"#,
        &ids,
        &seqs,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let mut changed: Vec<NewEvents> = Vec::new();
    for row in rows {
        let operation_id = row.operation_id.into();
        if changed.last().is_none_or(|one| one.operation_id != operation_id) {
            changed.push(NewEvents { operation_id, events: Vec::new(), finished: false, is_readable: true });
        }
        let Some(one) = changed.last_mut().filter(|one| one.is_readable) else { continue };
        let event_type = match row.event_type.as_deref().map(str::parse::<EventType>) {
            Some(Err(_)) => {
                (one.is_readable, one.finished) = (false, false);
                continue;
            }
            Some(Ok(event_type)) => Some(event_type),
            None => None,
        };
        // The limit can cut off the last events of an operation.
        one.finished = row.finished && row.seq.is_none_or(|seq| seq == row.last_seq);
        if let (Some(seq), Some(stored), Some(data), Some(occurred_at)) =
            (row.seq, event_type, row.data, row.occurred_at)
        {
            one.events.push(Event {
                operation_id,
                seq,
                tenant_id: row.tenant_id.into(),
                environment_id: row.environment_id.into(),
                event_type: public_type(stored, &data),
                data,
                occurred_at,
            });
        }
    }
    Ok(changed)
}
