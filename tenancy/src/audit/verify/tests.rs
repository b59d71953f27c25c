use super::super::{Hash, Signer};
use super::*;
use crate::InstallationId;

const RETENTION: TimeDelta = TimeDelta::days(10);

fn day(number: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(number * 86_400, 0).unwrap()
}

/// Audit trail in memory, with the anchors of its heads.
struct Trail {
    records: Vec<Record>,
    anchors: Vec<Anchor>,
    signer: Signer,
}

impl Trail {
    fn new() -> Self {
        let signer = Signer::new(&"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned().into()).unwrap();
        Self { records: Vec::new(), anchors: Vec::new(), signer }
    }

    fn hash(&self, position: i64) -> Hash {
        let record = self.records.iter().find(|record| record.position == position);
        record.map_or([0; 32], |record| record.hash)
    }

    fn head(&self) -> ChainHead {
        self.records.last().map_or(ChainHead { position: 0, hash: [0; 32] }, |last| ChainHead {
            position: last.position,
            hash: last.hash,
        })
    }

    fn add(&mut self, at: DateTime<Utc>, text: &str) {
        let position = self.head().position + 1;
        let hash = chain_hash(&self.head().hash, position, at, text);
        self.records.push(Record { position, recorded_at: at, text: text.to_owned(), hash });
    }

    fn sign(&mut self, at: DateTime<Utc>) {
        self.anchors.push(self.signer.sign(InstallationId::new(at), self.head(), at));
    }

    /// Creates a trail with one record per day and one anchor 20 hours after each record.
    fn with_daily_records(days: std::ops::RangeInclusive<i64>) -> Self {
        let mut trail = Self::new();
        for number in days {
            trail.add(day(number), "{}");
            trail.sign(day(number) + TimeDelta::hours(20));
        }
        trail
    }

    /// Deletes the records before the position `from` and adds a record at `at` that documents the deletion.
    fn drop_before(&mut self, from: i64, at: DateTime<Utc>) -> ChainHead {
        let dropped = ChainHead { position: from - 1, hash: self.hash(from - 1) };
        let hash = hex::encode(dropped.hash);
        let text = serde_json::json!({
            "kind": "audit.dropped", "through": dropped.position, "hash": hash, "retention_days": 5,
        })
        .to_string();
        self.add(at, &text);
        self.records.retain(|record| record.position >= from);
        dropped
    }

    fn verify(&self, dropped: ChainHead, now: DateTime<Utc>) -> Result<(ChainHead, Option<i64>), ChainDefect> {
        self.verify_with(dropped, now, None)
    }

    fn verify_with(
        &self,
        dropped: ChainHead,
        now: DateTime<Utc>,
        former: Option<u32>,
    ) -> Result<(ChainHead, Option<i64>), ChainDefect> {
        let mut verifier = Verifier::new(dropped, RETENTION, self.anchors.clone()).with_former_retention_days(former);
        for record in &self.records {
            verifier.next(record)?;
        }
        verifier.end(self.head(), now)
    }
}

#[test]
fn deletion_after_the_retention_period_is_accepted() {
    let mut trail = Trail::with_daily_records(1..=20);
    let dropped = trail.drop_before(10, day(20));
    trail.sign(day(20));
    assert_eq!(trail.verify(dropped, day(21)), Ok((trail.head(), Some(21))));
}

#[test]
fn deletion_within_the_retention_period_is_detected() {
    let mut trail = Trail::with_daily_records(1..=20);
    let dropped = trail.drop_before(15, day(20));
    trail.sign(day(20));
    let early = ChainDefect::DroppedEarly { from: 15, after: day(13) + TimeDelta::hours(20), days: 10 };
    assert_eq!(trail.verify(dropped, day(21)), Err(early.clone()));

    // A record with a date in the future does not hide the deletion, whether or not an anchor covers it.
    for signed in [false, true] {
        let mut trail = Trail::with_daily_records(1..=20);
        let dropped = trail.drop_before(15, day(400));
        if signed {
            trail.sign(day(20));
        }
        assert_eq!(trail.verify(dropped, day(21)), Err(early.clone()));
    }
}

#[test]
fn a_former_period_is_accepted_if_the_record_and_the_operator_name_it() {
    let mut trail = Trail::with_daily_records(1..=20);
    let dropped = trail.drop_before(15, day(20));
    trail.sign(day(20));
    assert!(trail.verify_with(dropped, day(21), Some(5)).is_ok());
    for former in [None, Some(3), Some(9)] {
        let result = trail.verify_with(dropped, day(21), former);
        assert!(matches!(result, Err(ChainDefect::DroppedEarly { .. })), "{former:?}");
    }
    // Only the period that the record names is accepted.
    let mut trail = Trail::with_daily_records(1..=20);
    let dropped = trail.drop_before(18, day(20));
    trail.sign(day(20));
    assert!(matches!(trail.verify_with(dropped, day(21), Some(5)), Err(ChainDefect::DroppedEarly { .. })));
}

#[test]
fn deletion_beyond_the_last_anchor_is_detected() {
    let mut trail = Trail::with_daily_records(1..=20);
    trail.add(day(20), "{}");
    trail.add(day(20), "{}");
    let dropped = trail.drop_before(23, day(20));
    assert!(matches!(trail.verify(dropped, day(21)), Err(ChainDefect::DroppedEarly { from: 23, .. })));
}

#[test]
fn the_last_deleted_hash_is_compared_with_the_anchors() {
    let mut trail = Trail::with_daily_records(1..=20);
    let mut dropped = trail.drop_before(6, day(20));
    dropped.hash = [7; 32];
    trail.records.clear();
    trail.add(day(20), "{}");
    let verifier = Verifier::new(dropped, RETENTION, trail.anchors.clone());
    assert_eq!(verifier.compare_with_anchors(dropped), Err(ChainDefect::Rewritten(5)));
}

#[test]
fn different_anchors_at_one_position_are_detected() {
    let mut trail = Trail::with_daily_records(1..=3);
    trail.records.pop();
    trail.add(day(3), r#"{"forged":true}"#);
    trail.sign(day(4));
    assert_eq!(trail.verify(ChainHead { position: 0, hash: [0; 32] }, day(5)), Err(ChainDefect::Rewritten(3)));
}
