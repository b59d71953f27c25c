//! Load generator for the event feed: concurrent writers, some with slow commits, and concurrent readers.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::feed::{self, FeedFilter, ReadResult};
use freehold_tenancy::db::{PgPool, account_mappings};
use freehold_tenancy::feed::{Entry, FeedType};
use freehold_tenancy::{AwsAccountId, EnvironmentId, MappingId, OperationId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Account of each environment according to the events that a reader has received.
pub type AccountMap = BTreeMap<EnvironmentId, String>;

/// Time of the first event.
const START_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Writes `events` events, which alternately map an account to the environment and end the mapping. Each commit is
/// delayed by a random time of at most `max_delay`.
pub async fn write(
    pool: &PgPool,
    environment: EnvironmentId,
    operation: OperationId,
    events: u32,
    max_delay: Duration,
    seed: u64,
) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut at = START_TIME;
    for number in 0..events {
        at += TimeDelta::seconds(1);
        let account = format!("{:04}{:08}", seed % 10_000, number / 2);
        let mut tx = pool.begin().await.expect("a transaction");
        let feed_type = if number % 2 == 0 {
            let assign = "insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
                select $1, tenant_id, id, $3, $4 from environments where id = $2";
            sqlx::query(assign)
                .bind(MappingId::new(at).as_uuid())
                .bind(environment.as_uuid())
                .bind(&account)
                .bind(at)
                .execute(&mut *tx)
                .await
                .expect("a mapping");
            FeedType::AccountAssigned
        } else {
            let release = "update account_mappings set valid_to = $2 where environment_id = $1 and valid_to is null";
            sqlx::query(release)
                .bind(environment.as_uuid())
                .bind(at)
                .execute(&mut *tx)
                .await
                .expect("a released mapping");
            FeedType::AccountReleased
        };
        let insert_event = "with operation as (
                update operations set last_seq = last_seq + 1 where id = $1 returning id, tenant_id, environment_id,
                    last_seq
            )
            insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
            select id, last_seq, tenant_id, environment_id, $2, jsonb_build_object('aws_account_id', $3::text),
                $4 from operation";
        sqlx::query(insert_event)
            .bind(operation.as_uuid())
            .bind(feed_type.as_str())
            .bind(&account)
            .bind(at)
            .execute(&mut *tx)
            .await
            .expect("an event");
        tokio::time::sleep(max_delay.mul_f64(rng.random_range(0.0..1.0))).await;
        tx.commit().await.expect("a commit");
    }
}

/// Reads the feed after position `after` until `is_finished` reports that all writers have finished. `is_finished` is
/// called before each read, so that the last read returns all remaining events.
pub async fn read_feed(pool: &PgPool, mut after: i64, is_finished: impl Fn() -> bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let is_last = is_finished();
        feed::advance(pool, START_TIME).await.expect("a position");
        loop {
            match feed::read(pool, &FeedFilter::default(), Some(after), 200).await.expect("a page") {
                ReadResult::Page(page) => {
                    after = page.next_after;
                    entries.extend(page.entries);
                    if !page.has_more {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        if is_last {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Reads all account mappings page by page at one feed position; returns the position and the mappings.
pub async fn snapshot(pool: &PgPool) -> (i64, AccountMap) {
    let snapshot = account_mappings::snapshot(pool, START_TIME).await.expect("a position");
    let (mut accounts, mut after) = (AccountMap::new(), None);
    loop {
        let page = account_mappings::list(pool, &snapshot, after, 7).await.expect("a page");
        let Some(last) = page.last() else { return (snapshot.position, accounts) };
        after = Some(last.id);
        for mapping in page {
            let previous = accounts.insert(mapping.environment_id, mapping.aws_account_id.into());
            assert_eq!(previous, None, "an environment has two accounts");
        }
    }
}

/// Applies events to a map of accounts; panics if an event contradicts the map.
pub fn apply_events(accounts: &mut AccountMap, entries: &[Entry]) {
    for entry in entries {
        let Some(environment) = entry.environment_id.filter(|_| entry.data.get("aws_account_id").is_some()) else {
            continue;
        };
        let account: AwsAccountId =
            entry.data["aws_account_id"].as_str().and_then(|id| id.parse().ok()).expect("an account");
        match entry.feed_type {
            FeedType::AccountAssigned => {
                let previous = accounts.insert(environment, account.into());
                assert_eq!(previous, None, "assigned although the environment has an account: {entry:?}");
            }
            FeedType::AccountReleased => {
                let previous = accounts.remove(&environment);
                assert_eq!(
                    previous,
                    Some(String::from(account)),
                    "released an account that is not assigned: {entry:?}"
                );
            }
            _ => {}
        }
    }
}

/// Returns the number of missing events, and the number of events that are out of order.
pub fn count_missing_and_reordered(entries: &[Entry], expected: &BTreeMap<OperationId, u32>) -> (u32, u32) {
    let mut latest: BTreeMap<OperationId, (u32, i64)> = BTreeMap::new();
    let mut reordered = 0;
    for (previous, entry) in entries.iter().zip(entries.iter().skip(1)) {
        reordered += u32::from(entry.position != previous.position + 1);
    }
    let account_events = entries.iter().filter(|entry| entry.data.get("aws_account_id").is_some());
    for operation in account_events.filter_map(|entry| entry.operation) {
        let (count, seq) = latest.entry(operation.operation_id).or_insert((0, 0));
        reordered += u32::from(operation.seq <= *seq);
        (*count, *seq) = (*count + 1, operation.seq);
    }
    let missing = expected.iter().map(|(id, count)| count - latest.get(id).map_or(0, |(count, _)| *count).min(*count));
    (missing.sum(), reordered)
}
