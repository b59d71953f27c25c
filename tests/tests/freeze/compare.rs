//! Compares a frozen file, with the renames applied, with the present state, and prints what differs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use super::renames::{Renames, folder};

/// One fact per line.
pub(super) type Lines = BTreeSet<String>;

/// More differences than these are not printed.
const MOST_PRINTED: usize = 80;

/// A line of names and values.
pub(super) fn line(parts: &[&str]) -> String {
    serde_json::to_string(parts).expect("JSON")
}

/// The parts of a line.
fn parts(line: &str) -> Vec<String> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line} is not a line of a frozen file: {error}"))
}

/// The text of a frozen file.
pub(super) fn frozen(file: &str) -> String {
    fs::read_to_string(folder().join("frozen").join(file)).unwrap_or_else(|error| panic!("frozen/{file}: {error}"))
}

/// Compares the lines of a frozen file, each renamed by `rename`, with those of today.
pub(super) fn assert_same(file: &str, now: &Lines, rename: impl Fn(&Renames, Vec<String>) -> Vec<String>) {
    let path = folder().join("frozen").join(file);
    if !path.exists() && std::env::var_os("FREEZE_RECORD").is_some() {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).expect("a frozen file");
    }
    let renames = Renames::read();
    let frozen = frozen(file);
    let renamed = frozen.lines().map(|line| {
        let parts = rename(&renames, parts(line));
        serde_json::to_string(&parts).expect("JSON")
    });
    report(file, &renames, &renamed.collect(), now);
}

/// Fails where the lines differ, apart from the accepted differences.
pub(super) fn report(file: &str, renames: &Renames, before: &Lines, now: &Lines) {
    let accepted: Vec<_> = renames.accepted.iter().filter(|one| one.file == file).collect();
    for one in &accepted {
        let applies = before.symmetric_difference(now).any(|line| line.starts_with(&one.at));
        assert!(applies, "[[accepted]] at {:?} of {file} leaves nothing out: remove it from renames.toml", one.at);
    }
    let counts = |line: &&String| !accepted.iter().any(|one| line.starts_with(&one.at));
    let missing: Vec<_> = before.difference(now).filter(counts).collect();
    let added: Vec<_> = now.difference(before).filter(counts).collect();
    if missing.is_empty() && added.is_empty() {
        return;
    }
    let mut diff = String::new();
    let marked = missing.iter().map(|line| (line, '-')).chain(added.iter().map(|line| (line, '+')));
    let mut marked: Vec<_> = marked.collect();
    marked.sort();
    for (line, mark) in marked.iter().take(MOST_PRINTED) {
        writeln!(diff, "{mark} {line}").expect("a text");
    }
    if marked.len() > MOST_PRINTED {
        writeln!(diff, "… and {} more", marked.len() - MOST_PRINTED).expect("a text");
    }
    panic!(
        "frozen/{file} differs from the present state (- frozen, with renames.toml applied; + now):\n\n{diff}\n\
         A renamed public name needs a line in tests/tests/freeze/renames.toml, whose header explains the sections. \
         Everything else is a change of behaviour: undo it. Do not change the files in tests/tests/freeze/frozen.\n"
    );
}

/// Every leaf of a JSON value as a line: its pointer and the value. Elements of an array that are no objects count as a
/// set.
pub(super) fn flatten(value: &Value, pointer: &str, lines: &mut Lines) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, one) in fields {
                flatten(one, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), lines);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (index, one) in values.iter().enumerate() {
                let place = if one.is_object() { index.to_string() } else { "-".to_owned() };
                flatten(one, &format!("{pointer}/{place}"), lines);
            }
        }
        leaf => {
            lines.insert(format!("{pointer}/ {leaf}"));
        }
    }
}
