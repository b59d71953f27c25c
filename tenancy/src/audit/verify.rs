//! Verification of the audit trail: hashes, positions, anchors and retention.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Anchor, AuditKind, ChainHead, Record, chain_hash};

/// Maximum difference between the clocks of the processes that write records and sign anchors.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// Defect of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainDefect {
    /// The hash of a record does not match its contents.
    #[error("the record at {0} was edited or moved: its hash does not match its contents")]
    Edited(i64),
    /// Records are missing between two records.
    #[error("position {0} directly follows position {1}: the records between them were removed")]
    Missing(i64, i64),
    /// Records are missing at the end of the trail.
    #[error("the trail ends at {0} but had reached {1}: its end was removed")]
    Truncated(i64, i64),
    /// A record differs from the record that was anchored.
    #[error("the record at {0} differs from the anchored one: the trail was rewritten")]
    Rewritten(i64),
    /// Records are missing at the start, and no record documents their deletion.
    #[error("the trail starts at {0}, but no record says that the records before it were deleted")]
    StartMissing(i64),
    /// Records were deleted before the end of their retention period.
    #[error(
        "records before {from} were deleted too early: some were written after {after} and must be kept for {days} \
         days (audit.retention_days, or --former-retention-days if the period was shorter before)"
    )]
    DroppedEarly {
        /// Position of the oldest record that still exists.
        from: i64,
        /// Time of an anchor. Some of the deleted records were written after this time.
        after: DateTime<Utc>,
        /// Retention period in days.
        days: i64,
    },
}

/// Verifier of an audit trail, which reads the records in order.
#[derive(Debug)]
pub struct Verifier {
    last: ChainHead,
    dropped: ChainHead,
    retention: TimeDelta,
    /// Former, shorter retention. It applies to a deletion whose record names it.
    former_retention_days: Option<u32>,
    /// Position and time of the record that documents the deletion of old records.
    deletion_record: Option<(i64, DateTime<Utc>)>,
    /// Anchors sorted by position; several anchors may have the same position.
    anchors: Vec<Anchor>,
}

impl Verifier {
    /// Creates a verifier of a trail whose records up to `dropped` were deleted.
    pub fn new(dropped: ChainHead, retention: TimeDelta, mut anchors: Vec<Anchor>) -> Self {
        anchors.sort_by_key(|anchor| (anchor.head.position, anchor.at));
        Self { last: dropped, dropped, retention, former_retention_days: None, deletion_record: None, anchors }
    }

    /// Accepts a deletion after this period, if the record about the deletion names the same one.
    #[must_use]
    pub fn with_former_retention_days(self, days: Option<u32>) -> Self {
        Self { former_retention_days: days, ..self }
    }

    /// Verifies the next record against the previous one and the anchors.
    pub fn next(&mut self, record: &Record) -> Result<(), ChainDefect> {
        if record.position != self.last.position + 1 {
            return Err(ChainDefect::Missing(record.position, self.last.position));
        }
        if chain_hash(&self.last.hash, record.position, record.recorded_at, &record.text) != record.hash {
            return Err(ChainDefect::Edited(record.position));
        }
        self.last = ChainHead { position: record.position, hash: record.hash };
        self.compare_with_anchors(self.last)?;
        if self.deletion_record.is_none()
            && let Some(deletion) = self.retention_record(&record.text)
        {
            self.deletion_record = Some((record.position, record.recorded_at));
            let named = deletion["retention_days"].as_u64();
            if let Some(days) = self.former_retention_days.filter(|days| named == Some(u64::from(*days))) {
                self.retention = self.retention.min(TimeDelta::days(days.into()));
            }
        }
        Ok(())
    }

    /// Completes the verification at the end of the trail, where `head` is the head stored in the database. Returns the
    /// verified head and the position of the last anchor. The position is `None` if no anchor covers the remaining
    /// records.
    pub fn end(self, head: ChainHead, now: DateTime<Utc>) -> Result<(ChainHead, Option<i64>), ChainDefect> {
        let has_anchors = !self.anchors.is_empty();
        let anchored = self.anchors.last().map_or(0, |anchor| anchor.head.position);
        let expected = anchored.max(head.position);
        if self.last.position < expected {
            return Err(ChainDefect::Truncated(self.last.position, expected));
        }
        if self.last != head {
            return Err(ChainDefect::Rewritten(head.position));
        }
        self.compare_with_anchors(self.dropped)?;
        self.check_retention_drop(now)?;
        Ok((self.last, (has_anchors && anchored >= self.dropped.position).then_some(anchored)))
    }

    /// Compares a head with all anchors at its position. An anchor with a different head proves that the trail was
    /// rewritten.
    fn compare_with_anchors(&self, head: ChainHead) -> Result<(), ChainDefect> {
        let from = self.anchors.partition_point(|anchor| anchor.head.position < head.position);
        let here = self.anchors[from..].iter().take_while(|anchor| anchor.head.position == head.position);
        if here.map(|anchor| anchor.head).all(|anchored| anchored == head) {
            Ok(())
        } else {
            Err(ChainDefect::Rewritten(head.position))
        }
    }

    /// Checks that the deleted records were older than the retention period. An attacker can change the times in the
    /// database, but an anchor proves that all later records were written after the anchor.
    fn check_retention_drop(&self, now: DateTime<Utc>) -> Result<(), ChainDefect> {
        let from = self.dropped.position + 1;
        if self.dropped.position == 0 {
            return Ok(());
        }
        let Some((recorded_position, recorded_at)) = self.deletion_record else {
            return Err(ChainDefect::StartMissing(from));
        };
        let later_anchors = self.anchors.iter().filter(|anchor| anchor.head.position >= recorded_position);
        let dropped_at = later_anchors.map(|anchor| anchor.at).chain([recorded_at, now]).min().unwrap_or(now);
        let earlier_anchors = self.anchors.iter().filter(|anchor| anchor.head.position < self.dropped.position);
        match earlier_anchors.map(|anchor| anchor.at).max() {
            Some(after) if after > dropped_at - self.retention + CLOCK_SKEW => {
                Err(ChainDefect::DroppedEarly { from, after, days: self.retention.num_days() })
            }
            _ => Ok(()),
        }
    }

    /// Returns the record if it documents the deletion of the records up to `self.dropped`.
    fn retention_record(&self, text: &str) -> Option<Value> {
        let record: Value = serde_json::from_str(text).ok()?;
        let is_about_it = record["kind"] == AuditKind::Dropped.as_str()
            && record["through"] == self.dropped.position
            && record["hash"] == hex::encode(self.dropped.hash);
        is_about_it.then_some(record)
    }
}

#[cfg(test)]
mod tests;
