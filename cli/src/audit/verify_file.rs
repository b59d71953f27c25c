//! `freehold audit verify --file`: verify an export of the audit trail without the database.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::audit::{ChainDefect, ChainHead, Hash, Record, Verifier, chain_hash};
use serde::Deserialize;

use crate::exit::Exit;
use crate::output;

/// Separator between the other fields of a line and the exact text of the record.
const RECORD_FIELD: &str = ",\"record\":";

/// Fields of a line before the record.
#[derive(Deserialize)]
struct LineHead {
    position: i64,
    recorded_at: DateTime<Utc>,
    previous_hash: Option<String>,
    hash: String,
}

pub(super) fn run(path: &Path, filtered: bool) -> anyhow::Result<Exit> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut verifier = FileVerifier { filtered, ..FileVerifier::default() };
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("cannot read line {number} of {shown}"))?;
        let (record, previous) = parse(&line).with_context(|| {
            format!("line {number} of {shown} must be a line of `freehold audit list --output ndjson`")
        })?;
        if let Err(defect) = verifier.next(&record, previous) {
            output::print_line(format!("the export is NOT intact: {defect}"))?;
            return Ok(Exit::Failure);
        }
    }
    let Some((first, last)) = verifier.first.zip(verifier.last) else {
        return Err(Exit::Failure.error(format!("{shown} contains no records")));
    };
    let count = verifier.count;
    let gaps = if filtered { ", with gaps that were not verified" } else { "" };
    output::print_line(format!(
        "the export is intact: {count} records from {first} to {}{gaps}; hash at {} {}",
        last.position,
        last.position,
        last.hash_text()
    ))?;
    if first > 1 {
        output::print_note(format!(
            "the export starts at {first}: compare its first previous_hash with the one before"
        ));
    }
    Ok(Exit::Success)
}

/// Verifier of the records of a file.
#[derive(Default)]
struct FileVerifier {
    /// Whether positions may be missing.
    filtered: bool,
    chain: Option<Verifier>,
    first: Option<i64>,
    last: Option<ChainHead>,
    count: u64,
}

impl FileVerifier {
    fn next(&mut self, record: &Record, previous: Option<Hash>) -> Result<(), ChainDefect> {
        let last_position = self.last.map_or(record.position - 1, |last| last.position);
        if self.filtered {
            let hash = previous.map(|hash| chain_hash(&hash, record.position, record.recorded_at, &record.text));
            if hash != Some(record.hash) {
                return Err(ChainDefect::Edited(record.position));
            }
            if self.last.is_some() && record.position <= last_position {
                return Err(ChainDefect::Missing(record.position, last_position));
            }
        } else {
            let start = ChainHead { position: record.position - 1, hash: previous.unwrap_or_default() };
            self.chain.get_or_insert_with(|| Verifier::new(start, TimeDelta::zero(), Vec::new())).next(record)?;
            // The first record can be verified only with the hash before it, which each line contains.
            if previous.is_some_and(|previous| self.last.is_some_and(|last| last.hash != previous)) {
                return Err(ChainDefect::Edited(record.position));
            }
        }
        self.first.get_or_insert(record.position);
        self.last = Some(ChainHead { position: record.position, hash: record.hash });
        self.count += 1;
        Ok(())
    }
}

/// Parses a line. Returns the record and the hash of the record before it.
fn parse(line: &str) -> anyhow::Result<(Record, Option<Hash>)> {
    let (head, text) = line.split_once(RECORD_FIELD).context("the field `record` is missing")?;
    let text = text.strip_suffix('}').context("the line is incomplete")?;
    let head: LineHead = serde_json::from_str(&format!("{head}}}"))?;
    // A text with line breaks is exported as a string.
    let text = if text.starts_with('"') { serde_json::from_str(text)? } else { text.to_owned() };
    let previous = head.previous_hash.as_deref().map(parse_hash).transpose()?;
    let record = Record { position: head.position, recorded_at: head.recorded_at, text, hash: parse_hash(&head.hash)? };
    Ok((record, previous))
}

fn parse_hash(text: &str) -> anyhow::Result<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(text, &mut hash).context("a hash must have 64 hexadecimal digits")?;
    Ok(hash)
}
