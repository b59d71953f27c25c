//! Compares a frozen file, after applying the renames, with the current state, and prints the differences.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use super::renames::{Renames, folder};

pub(super) type Lines = BTreeSet<String>;

/// Maximum number of differences that are printed.
const MAX_PRINTED: usize = 80;

/// Joins names and values into one line of a frozen file.
pub(super) fn line(parts: &[&str]) -> String {
    serde_json::to_string(parts).expect("JSON")
}

fn parts(line: &str) -> Vec<String> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line} is not a line of a frozen file: {error}"))
}

/// Reads a file of the folder `frozen/`, which contains snapshots that never change.
pub(super) fn read_frozen_file(file: &str) -> String {
    fs::read_to_string(folder().join("frozen").join(file)).unwrap_or_else(|error| panic!("frozen/{file}: {error}"))
}

/// Asserts that the lines of a frozen file, after `rename` was applied to each, are still contained in `now`, the lines
/// of the current state.
pub(super) fn assert_unchanged(file: &str, now: &Lines, rename: impl Fn(&Renames, Vec<String>) -> Vec<String>) {
    let path = folder().join("frozen").join(file);
    if !path.exists() && std::env::var_os("FREEZE_RECORD").is_some() {
        let text: String = now.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        fs::write(&path, text).expect("a frozen file");
    }
    let renames = Renames::read();
    let frozen = read_frozen_file(file);
    let renamed = frozen.lines().map(|line| {
        let parts = rename(&renames, parts(line));
        serde_json::to_string(&parts).expect("JSON")
    });
    assert_no_differences(file, &renames, &renamed.collect(), now);
}

/// Panics if a line of `before` is missing in `now` and `renames.toml` does not accept that. Lines may be added,
/// because an addition does not break existing clients or stored data.
pub(super) fn assert_no_differences(file: &str, renames: &Renames, before: &Lines, now: &Lines) {
    let accepted: Vec<_> = renames.accepted.iter().filter(|one| one.file == file).collect();
    for one in &accepted {
        let applies = before.difference(now).any(|line| line.starts_with(&one.at));
        assert!(applies, "[[accepted]] at {:?} of {file} leaves nothing out: remove it from renames.toml", one.at);
    }
    let counts = |line: &&String| !accepted.iter().any(|one| line.starts_with(&one.at));
    let missing: Vec<_> = before.difference(now).filter(counts).collect();
    if missing.is_empty() {
        return;
    }
    let added: Vec<_> = now.difference(before).collect();
    let mut diff = String::new();
    let marked = missing.iter().map(|line| (line, '-')).chain(added.iter().map(|line| (line, '+')));
    let mut marked: Vec<_> = marked.collect();
    marked.sort();
    if marked.len() > MAX_PRINTED {
        marked.sort_by_key(|(_, mark)| *mark == '+');
    }
    for (line, mark) in marked.iter().take(MAX_PRINTED) {
        writeln!(diff, "{mark} {line}").expect("a text");
    }
    if marked.len() > MAX_PRINTED {
        writeln!(diff, "… and {} more", marked.len() - MAX_PRINTED).expect("a text");
    }
    panic!(
        "frozen/{file} has lines that the present state lacks (- frozen, with renames.toml applied; + added since):\n\n{diff}\n\
         A renamed public name needs a line in tests/tests/freeze/renames.toml, whose header explains the sections. \
         Everything else is a change of behaviour: undo it. Do not change the files in tests/tests/freeze/frozen.\n"
    );
}

/// Adds a line for every leaf of a JSON value to `lines`. A line consists of the JSON pointer and the value of the
/// leaf. The order of array elements is ignored unless they are objects.
pub(super) fn flatten(value: &Value, pointer: &str, lines: &mut Lines) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, one) in fields {
                flatten(one, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), lines);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (index, one) in values.iter().enumerate() {
                let key = if one.is_object() { index.to_string() } else { "-".to_owned() };
                flatten(one, &format!("{pointer}/{key}"), lines);
            }
        }
        leaf => {
            lines.insert(format!("{pointer}/ {leaf}"));
        }
    }
}
