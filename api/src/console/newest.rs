//! Lists that the API returns in the order of their positions, read from the newest entry on.

use std::ops::Range;

use crate::problem::ApiError;

/// Number of entries that a read requests: the maximum of the API.
pub(super) const READ_SIZE: usize = 1000;

/// Maximum number of reads for a page. A page that finds too few entries is shorter, and the next one continues.
const MAX_READS: usize = 24;

/// Factor by which a read covers more positions than the one before, to find rare entries.
const GROWTH: i64 = 4;

/// Entries after a position, as the API returns them: at most [`READ_SIZE`], with their positions.
pub(super) struct Entries<T> {
    pub(super) list: Vec<(i64, T)>,
    /// Position up to which the API has searched.
    pub(super) searched: i64,
    pub(super) has_more: bool,
}

/// Page of a list, the newest entry first.
pub(super) struct NewestPage<T> {
    pub(super) rows: Vec<(i64, T)>,
    /// Position before which the next page starts; `None` on the last page.
    pub(super) next_before: Option<i64>,
}

/// List of the API in the order of its positions.
pub(super) trait PositionList {
    type Entry;

    /// Maximum number of positions that one read searches.
    const MAX_WIDTH: i64;

    /// Reads the entries after a position.
    fn read(&self, after: i64) -> impl Future<Output = Result<Entries<Self::Entry>, ApiError>> + Send;
}

/// Returns the newest `limit` entries whose positions are in `positions`.
pub(super) async fn newest_first<L: PositionList>(
    list: &L,
    positions: Range<i64>,
    limit: usize,
) -> Result<NewestPage<L::Entry>, ApiError> {
    let min_width = i64::try_from(limit).unwrap_or(L::MAX_WIDTH);
    let (mut rows, mut end, mut width) = (Vec::new(), positions.end, min_width);
    for _ in 0..MAX_READS {
        if rows.len() >= limit || end <= positions.start {
            break;
        }
        let start = (end - width).max(positions.start);
        let found = list.read(start - 1).await?;
        let is_complete = !found.has_more || found.searched >= end - 1;
        if !is_complete && width > min_width {
            width = (width / GROWTH).max(min_width);
            continue;
        }
        rows.extend(found.list.into_iter().filter(|(position, _)| *position < end).rev());
        end = start;
        width = width.saturating_mul(GROWTH).min(L::MAX_WIDTH);
    }
    let has_older = rows.len() > limit || end > positions.start;
    rows.truncate(limit);
    let last = if rows.len() == limit { rows.last().map(|(position, _)| *position) } else { None };
    Ok(NewestPage { rows, next_before: has_older.then(|| last.unwrap_or(end)) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// List with an entry at each position that is a multiple of `step`.
    struct Multiples<const WIDTH: i64> {
        latest: i64,
        step: i64,
        reads: AtomicU32,
    }

    impl<const WIDTH: i64> PositionList for Multiples<WIDTH> {
        type Entry = ();

        const MAX_WIDTH: i64 = WIDTH;

        async fn read(&self, after: i64) -> Result<Entries<()>, ApiError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let until = self.latest.min(after.saturating_add(WIDTH));
            let found = (after + 1..=until).filter(|position| position % self.step == 0);
            let entries: Vec<_> = found.take(READ_SIZE).map(|position| (position, ())).collect();
            let searched = if entries.len() == READ_SIZE { entries[READ_SIZE - 1].0 } else { until };
            Ok(Entries { has_more: searched < self.latest, searched, list: entries })
        }
    }

    /// Checks at most 20 pages of 10 entries. Returns the highest number of reads for a page.
    async fn check_pages<const WIDTH: i64>(latest: i64, step: i64) -> u32 {
        let (mut found, mut before, mut max_reads) = (Vec::new(), latest + 1, 0);
        for _ in 0..20 {
            let list = Multiples::<WIDTH> { latest, step, reads: AtomicU32::new(0) };
            let page = newest_first(&list, 1..before, 10).await.unwrap();
            max_reads = max_reads.max(list.reads.into_inner());
            assert!(page.rows.len() <= 10);
            found.extend(page.rows.iter().map(|(position, ())| *position));
            let Some(next) = page.next_before else { break };
            before = next;
        }
        let expected: Vec<_> = (1..=latest).rev().filter(|position| position % step == 0).collect();
        assert_eq!(found, expected[..expected.len().min(200)], "{latest} {step}");
        max_reads
    }

    #[tokio::test]
    async fn pages_start_with_the_newest_entry_and_end_with_the_oldest() {
        check_pages::<1000>(25, 1).await;
        check_pages::<10>(0, 1).await;
        check_pages::<{ i64::MAX }>(300_000, 7).await;
        check_pages::<10_000>(300_000, 29_000).await;
    }

    #[tokio::test]
    async fn rare_entries_are_found_with_few_reads() {
        let reads = check_pages::<{ i64::MAX }>(1_000_000, 499_000).await;
        assert!(reads < 12, "{reads}");
    }
}
