//! Reading the trail from its beginning to its end, and saying where it is not as it was written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Anchor, AuditKind, Hash, Head, Record, chained};

/// Where the trail is not as it was written, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
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
    CutOff(i64, i64),
    /// Another record stood there when the head was anchored.
    #[error("the record at {0} is not the one that was there when this was anchored: the trail was written anew")]
    Rewritten(i64),
    /// The beginning is missing, though it need not.
    #[error("the trail begins at {0}, and no record says that what came before was dropped because its time was over")]
    Beheaded(i64),
}

/// Goes over the records in order.
#[derive(Debug)]
pub struct Verifier {
    last: Head,
    dropped: Head,
    drop_recorded: bool,
    anchors: BTreeMap<i64, Hash>,
}

impl Verifier {
    /// Begins after what was `dropped`, and compares with what was anchored.
    pub fn new(dropped: Head, anchors: &[Anchor]) -> Self {
        let anchors = anchors.iter().filter(|anchor| anchor.head.position > dropped.position);
        let anchors = anchors.map(|anchor| (anchor.head.position, anchor.head.hash)).collect();
        Self { last: dropped, dropped, drop_recorded: dropped.position == 0, anchors }
    }

    /// Takes the next record.
    pub fn next(&mut self, record: &Record) -> Result<(), Flaw> {
        if record.position != self.last.position + 1 {
            return Err(Flaw::Missing(record.position, self.last.position));
        }
        if chained(&self.last.hash, record.position, record.recorded_at, &record.text) != record.hash {
            return Err(Flaw::Edited(record.position));
        }
        if self.anchors.get(&record.position).is_some_and(|anchored| *anchored != record.hash) {
            return Err(Flaw::Rewritten(record.position));
        }
        self.drop_recorded |= self.tells_of_the_drop(&record.text);
        self.last = Head { position: record.position, hash: record.hash };
        Ok(())
    }

    /// There are no more; `head` is where the trail says that it ends.
    pub fn end(self, head: Head) -> Result<Head, Flaw> {
        let anchored = self.anchors.last_key_value().map_or(0, |(position, _)| *position);
        let known = anchored.max(head.position);
        if self.last.position < known {
            return Err(Flaw::CutOff(self.last.position, known));
        }
        if self.last != head {
            return Err(Flaw::Rewritten(head.position));
        }
        if !self.drop_recorded {
            return Err(Flaw::Beheaded(self.dropped.position + 1));
        }
        Ok(self.last)
    }

    fn tells_of_the_drop(&self, text: &str) -> bool {
        let Ok(record) = serde_json::from_str::<Value>(text) else { return false };
        record["kind"] == AuditKind::Dropped.as_str()
            && record["through"] == self.dropped.position
            && record["hash"] == hex::encode(self.dropped.hash)
    }
}
