//! Many who write into the feed at once, some of whom are slow to commit, and those who read it meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::feed::{self, FeedFilter, ReadResult};
use freehold_tenancy::db::{PgPool, account_mappings};
use freehold_tenancy::feed::{Entry, FeedType};
use freehold_tenancy::{AwsAccountId, EnvironmentId, MappingId, OperationId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Which account is whose, as somebody believes.
pub type AccountMap = BTreeMap<EnvironmentId, String>;

/// When the first account was assigned.
const BEGINNING: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Assigns an account to an environment and takes it back, over and over, until that has made `events` events; each commit
/// is late by up to `late`.
pub async fn write(
    pool: &PgPool,
    environment: EnvironmentId,
    operation: OperationId,
    events: u32,
    late: Duration,
    seed: u64,
) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut at = BEGINNING;
    for number in 0..events {
        at += TimeDelta::seconds(1);
        let account = format!("{:04}{:08}", seed % 10_000, number / 2);
        let mut tx = pool.begin().await.expect("a transaction");
        let told = if number % 2 == 0 {
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
            sqlx::query(release).bind(environment.as_uuid()).bind(at).execute(&mut *tx).await.expect("its end");
            FeedType::AccountReleased
        };
        let tell = "with operation as (
                update operations set last_seq = last_seq + 1 where id = $1 returning id, tenant_id, environment_id, last_seq
            )
            insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
            select id, last_seq, tenant_id, environment_id, $2, jsonb_build_object('aws_account_id', $3::text), $4 from operation";
        sqlx::query(tell)
            .bind(operation.as_uuid())
            .bind(told.as_str())
            .bind(&account)
            .bind(at)
            .execute(&mut *tx)
            .await
            .expect("an event");
        tokio::time::sleep(late.mul_f64(rng.random_range(0.0..1.0))).await;
        tx.commit().await.expect("a commit");
    }
}

/// Everything that comes into the feed after `after`, until `last` says of a look that nothing more will come before it.
pub async fn tail(pool: &PgPool, mut after: i64, last: impl Fn() -> bool) -> Vec<Entry> {
    let mut seen = Vec::new();
    loop {
        let is_last = last();
        feed::advance(pool, BEGINNING).await.expect("a position");
        loop {
            match feed::read(pool, &FeedFilter::default(), Some(after), 200).await.expect("an answer") {
                ReadResult::Page(page) => {
                    after = page.next_after;
                    seen.extend(page.entries);
                    if !page.has_more {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        if is_last {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What the mappings say, read page by page at one position of the feed.
pub async fn snapshot(pool: &PgPool) -> (i64, AccountMap) {
    let snapshot = account_mappings::snapshot(pool, BEGINNING).await.expect("a position");
    let (mut book, mut after) = (AccountMap::new(), None);
    loop {
        let page = account_mappings::list(pool, &snapshot, after, 7).await.expect("a page");
        let Some(last) = page.last() else { return (snapshot.position, book) };
        after = Some(last.id);
        for mapping in page {
            let taken = book.insert(mapping.environment_id, mapping.aws_account_id.into());
            assert_eq!(taken, None, "an environment with two accounts at a time");
        }
    }
}

/// What becomes of a book when the feed tells what has changed; each change must fit what the book says.
pub fn apply_events(book: &mut AccountMap, entries: &[Entry]) {
    for entry in entries {
        let Some(of) = entry.operation.filter(|_| entry.data.get("aws_account_id").is_some()) else { continue };
        let account: AwsAccountId =
            entry.data["aws_account_id"].as_str().and_then(|id| id.parse().ok()).expect("an account");
        match entry.feed_type {
            FeedType::AccountAssigned => {
                let before = book.insert(of.environment_id, account.into());
                assert_eq!(before, None, "assigned, and the book knows one already: {entry:?}");
            }
            FeedType::AccountReleased => {
                let before = book.remove(&of.environment_id);
                assert_eq!(before, Some(String::from(account)), "released, and the book knows another: {entry:?}");
            }
            _ => {}
        }
    }
}

/// How many events of each operation are missing or out of order.
pub fn count_missing_and_reordered(entries: &[Entry], expected: &BTreeMap<OperationId, u32>) -> (u32, u32) {
    let mut latest: BTreeMap<OperationId, (u32, i64)> = BTreeMap::new();
    let mut reordered = 0;
    for (before, entry) in entries.iter().zip(entries.iter().skip(1)) {
        reordered += u32::from(entry.position != before.position + 1);
    }
    let of_accounts = entries.iter().filter(|entry| entry.data.get("aws_account_id").is_some());
    for of in of_accounts.filter_map(|entry| entry.operation) {
        let (count, seq) = latest.entry(of.operation_id).or_insert((0, 0));
        reordered += u32::from(of.seq <= *seq);
        (*count, *seq) = (*count + 1, of.seq);
    }
    let missing = expected.iter().map(|(id, count)| count - latest.get(id).map_or(0, |(count, _)| *count).min(*count));
    (missing.sum(), reordered)
}
