//! Reading the trail from its beginning to its end, and saying where it is not as it was written.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Anchor, AuditKind, ChainHead, Record, chain_hash};

/// How far the clocks of those who write and sign may be apart.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// Where the trail is not as it was written, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainDefect {
    /// A record is not what was chained.
    #[error(
        "the record at {0} was edited, or put in the place of another: its hash is not the one that it has to have"
    )]
    Edited(i64),
    /// A position is missing.
    #[error("{0} follows {1}: what was between them was removed")]
    Missing(i64, i64),
    /// The end is missing.
    #[error("the trail ends at {0}, and was at {1} once: its end was cut off")]
    Truncated(i64, i64),
    /// Another record stood there when the head was anchored.
    #[error("the record at {0} is not the one that was there when this was anchored: the trail was written anew")]
    Rewritten(i64),
    /// The beginning is missing, though it need not.
    #[error("the trail begins at {0}, and no record says that what came before was dropped because its time was over")]
    StartMissing(i64),
    /// The beginning was dropped before its time.
    #[error(
        "what came before {from} was dropped before its time: some of it was written after {after}, and is to be kept for {days} \
         days (retention_days of [audit])"
    )]
    DroppedEarly {
        /// Where the trail begins now.
        from: i64,
        /// The trail ended before that then.
        after: DateTime<Utc>,
        /// How long records are kept.
        days: i64,
    },
}

/// Goes over the records in order.
#[derive(Debug)]
pub struct Verifier {
    last: ChainHead,
    dropped: ChainHead,
    kept_for: TimeDelta,
    /// Where and when the record stands that tells of the drop.
    drop_recorded: Option<(i64, DateTime<Utc>)>,
    /// In the order of their positions; there may be several at one.
    anchors: Vec<Anchor>,
}

impl Verifier {
    /// Begins after what was `dropped`, of a trail whose records are kept for so long, and compares with what was anchored.
    pub fn new(dropped: ChainHead, kept_for: TimeDelta, mut anchors: Vec<Anchor>) -> Self {
        anchors.sort_by_key(|anchor| (anchor.head.position, anchor.at));
        Self { last: dropped, dropped, kept_for, drop_recorded: None, anchors }
    }

    /// Takes the next record.
    pub fn next(&mut self, record: &Record) -> Result<(), ChainDefect> {
        if record.position != self.last.position + 1 {
            return Err(ChainDefect::Missing(record.position, self.last.position));
        }
        if chain_hash(&self.last.hash, record.position, record.recorded_at, &record.text) != record.hash {
            return Err(ChainDefect::Edited(record.position));
        }
        self.last = ChainHead { position: record.position, hash: record.hash };
        self.compare(self.last)?;
        if self.drop_recorded.is_none() && self.is_retention_record_for(&record.text) {
            self.drop_recorded = Some((record.position, record.recorded_at));
        }
        Ok(())
    }

    /// There are no more; `head` is where the trail says that it ends, and is `now`. Answers the head and the position of the
    /// last anchor that it was compared with.
    pub fn end(self, head: ChainHead, now: DateTime<Utc>) -> Result<(ChainHead, Option<i64>), ChainDefect> {
        let anchored = self.anchors.last().map_or(0, |anchor| anchor.head.position);
        let known = anchored.max(head.position);
        if self.last.position < known {
            return Err(ChainDefect::Truncated(self.last.position, known));
        }
        if self.last != head {
            return Err(ChainDefect::Rewritten(head.position));
        }
        self.compare(self.dropped)?;
        self.check_retention_drop(now)?;
        Ok((self.last, (anchored > 0 && anchored >= self.dropped.position).then_some(anchored)))
    }

    /// Whoever has signed another head at this position has seen another trail.
    fn compare(&self, head: ChainHead) -> Result<(), ChainDefect> {
        let from = self.anchors.partition_point(|anchor| anchor.head.position < head.position);
        let here = self.anchors[from..].iter().take_while(|anchor| anchor.head.position == head.position);
        if here.map(|anchor| anchor.head).all(|anchored| anchored == head) {
            Ok(())
        } else {
            Err(ChainDefect::Rewritten(head.position))
        }
    }

    /// Whether what is dropped was dropped because its time was over. Whoever can write to the database can say so, and when;
    /// but a trail that ended before a position when it was anchored has had that position since.
    fn check_retention_drop(&self, now: DateTime<Utc>) -> Result<(), ChainDefect> {
        let from = self.dropped.position + 1;
        if self.dropped.position == 0 {
            return Ok(());
        }
        let Some((told_at, told_time)) = self.drop_recorded else { return Err(ChainDefect::StartMissing(from)) };
        let signed_since = self.anchors.iter().filter(|anchor| anchor.head.position >= told_at).map(|anchor| anchor.at);
        let dropped_at = signed_since.chain([told_time, now]).min().unwrap_or(now);
        let ended_before = self.anchors.iter().filter(|anchor| anchor.head.position < self.dropped.position);
        match ended_before.map(|anchor| anchor.at).max() {
            Some(after) if after > dropped_at - self.kept_for + CLOCK_SKEW => {
                Err(ChainDefect::DroppedEarly { from, after, days: self.kept_for.num_days() })
            }
            _ => Ok(()),
        }
    }

    fn is_retention_record_for(&self, text: &str) -> bool {
        let Ok(record) = serde_json::from_str::<Value>(text) else { return false };
        record["kind"] == AuditKind::Dropped.as_str()
            && record["through"] == self.dropped.position
            && record["hash"] == hex::encode(self.dropped.hash)
    }
}

#[cfg(test)]
mod tests;
