//! Counts language faults in the code; the counts must not rise.
//!
//! `language.toml` contains the allowed counts. After a count has fallen, lower the allowed count:
//! `FREEHOLD_UPDATE_COUNTS=1 cargo test --workspace --test main -- tidy::language`.
//! Each run lists all faults, with file and line, in `target/tmp/language.txt`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{root, sources};

const CRATES: &[&str] = &["api", "cli", "fuzz", "sandbox", "tenancy", "tests", "worker"];

/// Path of this file. Person words in this file are not counted, because it contains the list of these words.
const THIS_FILE: &str = "tests/tests/tidy/language.rs";

const WH_WORDS: &[&str] =
    &["what", "who", "whose", "whom", "where", "when", "why", "how", "which", "that", "whoever", "whatever"];
const PERSON_WORDS: &[&str] = &["whoever", "whatever", "nobody", "somebody", "anybody"];

const MAX_WORDS_OF_SHORT_COMMENT: usize = 3;
const MAX_LINE_LENGTH: usize = 120;
const MAX_TEST_NAME_LENGTH: usize = 70;

/// Keys of an OpenAPI document with data, not human-readable texts, as their values.
const OPENAPI_DATA: &[&str] = &["example", "examples", "default", "enum", "const"];

const HEADER: &str = "# Allowed counts of language faults. They may only fall; tests/tests/tidy/language.rs counts.\n";

/// Maximum acceptable number of faults.
enum Goal {
    Count(usize),
    /// Percentage of the examined places.
    Share(usize),
}

struct Fault {
    name: &'static str,
    /// Location and text of each occurrence of the fault.
    found: Vec<String>,
    examined: usize,
    goal: Goal,
}

impl Fault {
    fn meets_goal(&self) -> bool {
        match self.goal {
            Goal::Count(most) => self.found.len() <= most,
            Goal::Share(percent) => self.found.len() * 100 <= percent * self.examined,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, found, examined, .. } = self;
        let count = found.len();
        match self.goal {
            Goal::Count(most) => write!(f, "{name} = {count} (goal: at most {most})"),
            Goal::Share(percent) => {
                let tenths = count * 1000 / examined.max(&1);
                let (whole, tenth) = (tenths / 10, tenths % 10);
                write!(f, "{name} = {count} of {examined}, {whole}.{tenth} % (goal: at most {percent} %)")
            }
        }
    }
}

/// Consecutive `///` or `//!` lines.
struct DocComment {
    line: usize,
    text: String,
}

fn doc_comments(source: &str) -> Vec<DocComment> {
    let mut comments: Vec<DocComment> = Vec::new();
    let mut open = None;
    for (line, text) in (1..).zip(source.lines()) {
        let text = text.trim_start();
        let marker = ["///", "//!"].into_iter().find(|marker| text.starts_with(marker) && !text.starts_with("////"));
        if let Some(marker) = marker {
            let text = text[marker.len()..].trim();
            match comments.last_mut().filter(|_| open == Some(marker)) {
                Some(comment) => comment.text = format!("{} {text}", comment.text),
                None => comments.push(DocComment { line, text: text.to_owned() }),
            }
        }
        open = marker;
    }
    comments
}

fn opens_with_wh_word(text: &str) -> bool {
    // A quoted identifier is not a wh-word.
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '`');
    let first = text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    WH_WORDS.contains(&first.to_lowercase().as_str())
}

fn is_short(text: &str) -> bool {
    text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count() <= MAX_WORDS_OF_SHORT_COMMENT
}

/// Splits a line into words in lower case. Identifiers in snake_case and CamelCase are also split.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for c in line.chars() {
        if !c.is_alphabetic() || (previous.is_lowercase() && c.is_uppercase()) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().expect("the first word").extend(c.to_lowercase());
        }
        previous = c;
    }
    words
}

/// Returns the line and the name of each function under `#[test]`, `#[tokio::test]` or another attribute that ends in
/// `test`.
fn test_names(source: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut is_test = false;
    for (number, line) in (1..).zip(source.lines()) {
        let line = line.trim_start();
        if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next();
            is_test |= path.is_some_and(|path| path.ends_with("test"));
        } else if is_test && !line.starts_with("//") {
            let function = line.strip_prefix("fn ").or_else(|| line.split_once(" fn ").map(|(_, name)| name));
            if let Some(name) = function.and_then(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next())
            {
                names.push((number, name));
                is_test = false;
            }
        }
    }
    names
}

/// Returns the descriptions and summaries of an OpenAPI document, each with its JSON pointer.
fn openapi_texts(value: &Value, pointer: &str, texts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                match member.as_str() {
                    Some(text) if ["description", "summary"].contains(&key.as_str()) => {
                        texts.push((pointer, text.to_owned()));
                    }
                    _ if OPENAPI_DATA.contains(&key.as_str()) => {}
                    _ => openapi_texts(member, &pointer, texts),
                }
            }
        }
        Value::Array(members) => {
            for (index, member) in members.iter().enumerate() {
                openapi_texts(member, &format!("{pointer}/{index}"), texts);
            }
        }
        _ => {}
    }
}

fn count(sources: &[(String, String)], openapi: &Value) -> Vec<Fault> {
    let mut faults = [
        ("doc_comments_opening_with_a_wh_word", Goal::Share(3)),
        ("doc_comments_of_three_words_or_fewer", Goal::Share(4)),
        ("person_words", Goal::Count(25)),
        ("openapi_texts_opening_with_a_wh_word", Goal::Share(2)),
        ("lines_over_120_columns", Goal::Count(40)),
        ("test_names_over_70_characters", Goal::Count(0)),
    ]
    .map(|(name, goal)| Fault { name, found: Vec::new(), examined: 0, goal });
    let [wh_comments, short_comments, person_words, wh_texts, long_lines, long_names] = &mut faults;

    for (path, source) in sources {
        for DocComment { line, text } in doc_comments(source) {
            for (fault, is_fault) in
                [(&mut *wh_comments, opens_with_wh_word(&text)), (&mut *short_comments, is_short(&text))]
            {
                fault.examined += 1;
                fault.found.extend(is_fault.then(|| format!("{path}:{line}: {text}")));
            }
        }
        for (number, line) in (1..).zip(source.lines()) {
            let place = || format!("{path}:{number}: {}", line.trim());
            if path != THIS_FILE {
                let words = words(line).into_iter().filter(|word| PERSON_WORDS.contains(&word.as_str()));
                person_words.found.extend(words.map(|_| place()));
            }
            long_lines.found.extend((line.chars().count() > MAX_LINE_LENGTH).then(place));
        }
        for (line, name) in test_names(source) {
            long_names.found.extend((name.len() > MAX_TEST_NAME_LENGTH).then(|| format!("{path}:{line}: {name}")));
        }
    }

    let mut texts = Vec::new();
    openapi_texts(openapi, "", &mut texts);
    wh_texts.examined = texts.len();
    wh_texts.found.extend(
        texts
            .iter()
            .filter(|(_, text)| opens_with_wh_word(text))
            .map(|(pointer, text)| format!("openapi/openapi.json#{pointer}: {text}")),
    );
    faults.into()
}

fn count_repository() -> Vec<Fault> {
    let sources: Vec<_> = sources(CRATES).into_iter().filter(|(path, _)| !path.starts_with("fuzz/target/")).collect();
    let openapi = fs::read_to_string(root().join("openapi/openapi.json")).expect("the OpenAPI document");
    count(&sources, &serde_json::from_str(&openapi).expect("JSON"))
}

fn write_list(faults: &[Fault]) -> PathBuf {
    let mut list = String::new();
    for fault in faults {
        writeln!(list, "# {fault}").expect("a formatted line");
        for place in &fault.found {
            writeln!(list, "{}: {place}", fault.name).expect("a string takes everything");
        }
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language.txt");
    fs::write(&path, list).expect("the list of faults");
    path
}

#[test]
fn language_fault_counts_do_not_rise() {
    let faults = count_repository();
    let list = write_list(&faults);
    let path = root().join("tests/tests/tidy/language.toml");
    let allowed = fs::read_to_string(&path).expect("language.toml");
    let mut allowed: BTreeMap<String, usize> = toml::from_str(&allowed).expect("a count for each fault");

    let mut risen = Vec::new();
    let mut lowered = HEADER.to_owned();
    for fault in &faults {
        let allowed = allowed.remove(fault.name).unwrap_or_else(|| panic!("language.toml has no {}", fault.name));
        if fault.found.len() > allowed {
            risen.push(format!("{fault}: allowed are {allowed}"));
        }
        writeln!(lowered, "{} = {}", fault.name, fault.found.len().min(allowed)).expect("a string takes everything");
        eprintln!("{fault}, allowed: {allowed}");
    }
    assert!(allowed.is_empty(), "language.toml has counts of unknown faults: {allowed:?}");
    if std::env::var_os("FREEHOLD_UPDATE_COUNTS").is_some() {
        fs::write(&path, lowered).expect("language.toml");
    }
    assert!(risen.is_empty(), "{}\nAll places: {}", risen.join("\n"), list.display());
}

#[test]
fn language_fault_counts_are_within_their_goals() {
    let faults = count_repository();
    let list = write_list(&faults);
    let unmet: Vec<_> = faults.iter().filter(|fault| !fault.meets_goal()).map(ToString::to_string).collect();
    assert!(unmet.is_empty(), "{}\nAll places: {}", unmet.join("\n"), list.display());
}

#[test]
fn each_language_fault_is_counted() {
    let long = "x".repeat(71);
    let source = [
        "//! Where it is.",
        "/// Returns the id of a tenant,",
        "/// what else.",
        "fn nobody_cares() { NobodyCares; somebodyelse; }",
        "    /// Short.",
        "//// What is no doc comment.",
        "/// `what` is quoted and longer",
        "#[tokio::test(start_paused = true)]",
        &format!("async fn {long}() {{}}"),
        &format!("fn {long}() {{}}"),
        &format!("const LONG: &str = \"{long}{long}\";"),
    ]
    .join("\n");
    let openapi = serde_json::json!({
        "description": "Whatever it says.",
        "summary": "Another text",
        "properties": { "description": { "description": "How it is.", "example": { "summary": "Why" } } },
    });
    let faults = count(&[("lib.rs".to_owned(), source)], &openapi);
    let counts: Vec<_> = faults.iter().map(|fault| (fault.found.len(), fault.examined)).collect();
    assert_eq!(counts, [(1, 4), (2, 4), (2, 0), (2, 3), (1, 0), (1, 0)]);
}
