//! Stores the event feed: assigns positions to events and reads the events in that order.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PgPool, Result, finish_transaction};
use crate::feed::{Entry, EventNames, FeedType, OperationEventRef};
use crate::{EnvironmentId, TenantId};

/// Maximum number of positions assigned in one transaction.
const MAX_BATCH_SIZE: i64 = 1000;

/// Maximum number of positions scanned for one page, so that a filter with few matches stays cheap.
const MAX_SCANNED_POSITIONS: i64 = 10_000;

const FEED_RETENTION: TimeDelta = TimeDelta::days(366);

/// Filter for feed entries; a field that is `None` matches all entries. A filter with a tenant matches no event of the
/// fleet.
#[derive(Debug, Clone, Default)]
pub struct FeedFilter {
    pub tenant: Option<TenantId>,
    pub types: Option<Vec<FeedType>>,
}

impl FeedFilter {
    pub fn matches(&self, entry: &Entry) -> bool {
        self.tenant.is_none_or(|tenant| Some(tenant) == entry.tenant_id)
            && self.types.as_ref().is_none_or(|types| types.contains(&entry.feed_type))
    }
}

/// Page of feed entries.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    pub entries: Vec<Entry>,
    /// Position after which the next page starts.
    pub next_after: i64,
    /// Whether the feed contains more entries after this page.
    pub has_more: bool,
    /// Position of the latest entry in the feed.
    pub latest: i64,
}

/// Result of [`read`], which returns a page of the feed.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadResult {
    Page(FeedPage),
    /// Entries after the requested position have been deleted.
    Expired {
        /// Position of the oldest entry that still exists.
        first: i64,
    },
    /// The requested position is beyond the end of the feed.
    AheadOfFeed {
        latest: i64,
    },
}

/// Assigns positions to all pending events and returns the latest position.
///
/// Stops before an event of an unknown type, because only a process of the newer version that wrote it can publish it.
pub async fn advance(pool: &PgPool, now: DateTime<Utc>) -> Result<i64> {
    loop {
        let head = sqlx::query!(
            r#"/* db::feed::advance */
            select position, exists (select from feed_pending) as "pending!" from feed_head"#
        );
        let head = head.fetch_one(pool).await?;
        if !head.pending {
            return Ok(head.position);
        }
        let mut tx = pool.begin().await?;
        let assigned = assign_positions(&mut tx, now).await;
        let assigned = finish_transaction(tx, assigned, |assigned| assigned.taken > 0).await?;
        // Events that arrive during this call are processed by the next call.
        if assigned.taken < usize::try_from(MAX_BATCH_SIZE).unwrap_or(usize::MAX) {
            return Ok(assigned.latest);
        }
    }
}

/// Result of one transaction that assigns positions.
struct AssignResult {
    latest: i64,
    /// Number of processed events. Internal events get no position.
    taken: usize,
}

/// Event that has no position in the feed yet.
struct PendingEvent {
    id: i64,
    operation_id: Option<Uuid>,
    seq: Option<i64>,
    tenant_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    /// Kind of the operation that the event belongs to; `None` if the event belongs to no operation.
    kind: Option<String>,
    event_type: String,
    data: Value,
    occurred_at: DateTime<Utc>,
    external_id: Option<String>,
    environment: Option<String>,
    home_region: Option<String>,
}

impl PendingEvent {
    /// Returns the public type of the event, or `None` for an internal event. Fails if this version does not support
    /// the type.
    fn feed_type(&self) -> std::result::Result<Option<FeedType>, String> {
        match &self.kind {
            Some(kind) => Ok(FeedType::of(kind.parse()?, self.event_type.parse()?)),
            None => self.event_type.parse().map(Some),
        }
    }

    /// Returns the public data of the event.
    fn public_data(&mut self, feed_type: FeedType) -> Value {
        let names = EventNames {
            external_id: self.external_id.take(),
            environment: self.environment.take(),
            home_region: self.home_region.take(),
        };
        names.add_to(feed_type.data(&self.data))
    }
}

async fn assign_positions(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<AssignResult> {
    // The row lock serialises the assignment. A transaction that had to wait sees the committed changes in its next
    // statement.
    let head = sqlx::query_scalar!("/* db::feed::assign_positions */ select position from feed_head for no key update");
    let head = head.fetch_one(&mut *tx).await?;
    let pending = sqlx::query_as!(
        PendingEvent,
        r#"/* db::feed::assign_positions */
        select p.id, p.operation_id, p.seq, coalesce(e.tenant_id, p.tenant_id) as tenant_id,
            coalesce(e.environment_id, p.environment_id) as environment_id, o.kind as "kind?",
            coalesce(e.type, p.type) as "event_type!", coalesce(e.data, p.data) as "data!",
            coalesce(e.occurred_at, p.occurred_at) as "occurred_at!",
            (select external_id from tenants where id = coalesce(e.tenant_id, p.tenant_id)) as external_id,
            v.name as "environment?", v.home_region as "home_region?"
        from (select * from feed_pending order by id limit $1) p
            left join events e on e.operation_id = p.operation_id and e.seq = p.seq
            left join operations o on o.id = e.operation_id
            -- The limit makes the planner look up single rows, however many environments there are.
            left join lateral (
                select name, home_region from environments
                where id = coalesce(e.environment_id, p.environment_id) limit 1
            ) v on true
        order by p.id"#,
        MAX_BATCH_SIZE,
    );
    let pending = pending.fetch_all(&mut *tx).await?;
    let known = pending.into_iter().map_while(|event| Some((event.feed_type().ok()?, event)));
    let (mut taken, mut published) = (Vec::new(), Vec::new());
    for (feed_type, event) in known {
        taken.push(event.id);
        published.extend(feed_type.map(|feed_type| (feed_type, event)));
    }
    let entries: Vec<_> = (head + 1..).zip(published).collect();
    let latest = entries.last().map_or(head, |(position, _)| *position);
    if taken.is_empty() {
        return Ok(AssignResult { latest, taken: 0 });
    }
    sqlx::query!("/* db::feed::assign_positions */ delete from feed_pending where id = any($1)", &taken)
        .execute(&mut *tx)
        .await?;
    append(&mut *tx, entries, now).await?;
    set_mapping_positions(&mut *tx, head).await?;
    delete_expired(&mut *tx, now).await?;
    sqlx::query!("/* db::feed::assign_positions */ update feed_head set position = $1", latest).execute(tx).await?;
    Ok(AssignResult { latest, taken: taken.len() })
}

async fn append(
    tx: &mut PgConnection,
    entries: Vec<(i64, (FeedType, PendingEvent))>,
    now: DateTime<Utc>,
) -> Result<()> {
    let (mut positions, mut operations, mut seqs, mut tenants) = (vec![], vec![], vec![], vec![]);
    let (mut environments, mut types, mut data, mut times) = (vec![], vec![], vec![], vec![]);
    for (position, (feed_type, mut event)) in entries {
        positions.push(position);
        operations.push(event.operation_id);
        seqs.push(event.seq);
        tenants.push(event.tenant_id);
        environments.push(event.environment_id);
        types.push(feed_type.to_string());
        data.push(event.public_data(feed_type));
        times.push(event.occurred_at);
    }
    sqlx::query!(
        r#"/* db::feed::append */
        insert into feed (position, operation_id, seq, tenant_id, environment_id, type, data, occurred_at, recorded_at)
        select *, $9 from unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[],
            $7::jsonb[],
            $8::timestamptz[])"#,
        &positions,
        &operations as &[Option<Uuid>],
        &seqs as &[Option<i64>],
        &tenants as &[Option<Uuid>],
        &environments as &[Option<Uuid>],
        &types,
        &data,
        &times,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the feed positions of the events that started and ended each account mapping.
async fn set_mapping_positions(tx: &mut PgConnection, after: i64) -> Result<()> {
    sqlx::query!(
        r#"/* db::feed::set_mapping_positions */
        update account_mappings m set opened_at_position = f.position from feed f
        where f.position > $1 and f.type = $2 and m.environment_id = f.environment_id
            and m.aws_account_id = f.data ->> 'aws_account_id' and m.opened_at_position is null"#,
        after,
        FeedType::AccountAssigned.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"/* db::feed::set_mapping_positions */
        update account_mappings m set closed_at_position = f.position from feed f
        where f.position > $1 and f.type = $2 and m.environment_id = f.environment_id
            and m.aws_account_id = f.data ->> 'aws_account_id' and m.valid_to is not null
            and m.closed_at_position is null"#,
        after,
        FeedType::AccountReleased.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a batch of expired entries.
async fn delete_expired(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::feed::delete_expired */
        delete from feed f using (select position from feed order by position limit $2) oldest
        where f.position = oldest.position and f.recorded_at < $1
            -- Usually the oldest row is young enough, and no other row is read.
            and (select recorded_at from feed order by position limit 1) < $1"#,
        now - FEED_RETENTION,
        2 * MAX_BATCH_SIZE,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the reference to an operation event, or `None` if the event belongs to no operation.
pub(super) fn operation_event(operation_id: Option<Uuid>, seq: Option<i64>) -> Option<OperationEventRef> {
    Some(OperationEventRef { operation_id: operation_id?.into(), seq: seq? })
}

/// Returns at most `limit` entries after the position `after`. Starts with the oldest entry if `after` is `None`.
pub async fn read(pool: &PgPool, filter: &FeedFilter, after: Option<i64>, limit: i64) -> Result<ReadResult> {
    let known = sqlx::query!(
        r#"/* db::feed::read */
        select position as latest, coalesce((select min(position) from feed), position + 1) as "first!",
            (select min(position) from feed where position > $1) as next
        from feed_head"#,
        after.unwrap_or(-1),
    );
    let known = known.fetch_one(pool).await?;
    let after = after.unwrap_or(known.first - 1);
    if after > known.latest {
        return Ok(ReadResult::AheadOfFeed { latest: known.latest });
    }
    if after < known.first - 1 {
        return Ok(ReadResult::Expired { first: known.first });
    }
    // A recovery skips positions, which need not be scanned.
    let scanned_after = known.next.map_or(known.latest, |next| after.max(next - 1));
    let until = known.latest.min(scanned_after + MAX_SCANNED_POSITIONS);
    let types: Option<Vec<String>> = filter.types.as_ref().map(|types| types.iter().map(ToString::to_string).collect());
    let rows = sqlx::query!(
        r#"/* db::feed::read */
        select position, operation_id, seq, tenant_id, environment_id, type as feed_type, data, occurred_at
        from feed
        where position > $1 and position <= $2 and ($3::uuid is null or tenant_id = $3)
            and ($4::text[] is null or type = any($4))
        order by position limit $5"#,
        after,
        until,
        filter.tenant.map(TenantId::as_uuid),
        types.as_deref(),
        limit,
    )
    .fetch_all(pool)
    .await?;
    // Entries that were deleted during the query are missing from its result, so the oldest position is checked again.
    let oldest = sqlx::query_scalar!(
        r#"/* db::feed::read */ select coalesce(min(position), $1::bigint + 1) as "first!" from feed"#,
        known.latest,
    );
    let first = oldest.fetch_one(pool).await?;
    if after < first - 1 {
        return Ok(ReadResult::Expired { first });
    }
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next_after = if is_full { rows.last().map_or(until, |row| row.position) } else { until };
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        // Only a newer version supports the type of this entry, so the page ends before it.
        let Ok(feed_type) = row.feed_type.parse() else {
            let (next_after, latest) = (row.position - 1, known.latest);
            return Ok(ReadResult::Page(FeedPage { entries, next_after, has_more: false, latest }));
        };
        entries.push(Entry {
            position: row.position,
            tenant_id: row.tenant_id.map(TenantId::from),
            environment_id: row.environment_id.map(EnvironmentId::from),
            operation: operation_event(row.operation_id, row.seq),
            feed_type,
            data: row.data,
            occurred_at: row.occurred_at,
        });
    }
    Ok(ReadResult::Page(FeedPage { entries, next_after, has_more: next_after < known.latest, latest: known.latest }))
}
