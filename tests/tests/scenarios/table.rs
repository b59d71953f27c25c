//! Tests that the table of scenarios is complete, refers to existing tests, and matches docs/scenarios.md.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use freehold_tests::scenarios::{self, AWS_CODES, SCENARIOS};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Returns the paths of all tests: `module::…::name` in tests/tests, `crate::module::name` in the other crates.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join("tests/tests"), root().join("worker/src"), root().join("api/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).expect("a source file");
                let path = entry.strip_prefix(root()).expect("below the root").with_extension("");
                let mut parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                parts.retain(|part| part != "src" && part != "tests");
                let mut is_test = false;
                for line in text.lines().map(str::trim_start) {
                    if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                        is_test = true;
                    } else if let Some(name) = line.trim_start_matches("async ").strip_prefix("fn ")
                        && std::mem::take(&mut is_test)
                    {
                        let name = name.split('(').next().unwrap_or_default();
                        names.insert(format!("{}::{name}", parts.join("::")));
                    }
                }
            }
        }
    }
    names
}

#[test]
fn every_scenario_is_listed_with_existing_tests() {
    let excluded = [43, 44, 48, 49];
    let expected: BTreeSet<u8> = (1..=73).filter(|number| !excluded.contains(number)).collect();
    let numbers: Vec<u8> = SCENARIOS.iter().map(|scenario| scenario.number).collect();
    assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert!(numbers.is_sorted());
    let tests = tests();
    assert!(tests.len() > 150, "only {} tests were found", tests.len());
    let missing: Vec<_> = SCENARIOS
        .iter()
        .flat_map(|scenario| scenario.tests.iter().map(|test| (scenario.number, *test)))
        .filter(|(_, test)| !tests.contains(*test))
        .collect();
    assert_eq!(missing, [], "names without a test");
    assert!(SCENARIOS.iter().all(|scenario| !scenario.tests.is_empty()), "a scenario without a test");
}

/// Returns the AWS error codes in the worker's tables. For a row with a failure reason or a part of a message, the
/// result contains that text instead.
fn worker_table_codes() -> BTreeSet<String> {
    let read = |path: &str| std::fs::read_to_string(root().join("worker/src").join(path)).expect("a table");
    let texts = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut codes = BTreeSet::new();
    for row in read("aws/errors.rs").lines().filter_map(|line| line.trim_start().strip_prefix("row(")) {
        let status =
            row.split_once("Status(").or_else(|| row.split_once("From(")).and_then(|(_, it)| it.split_once(')'));
        codes.extend(status.map(|(status, _)| format!("HTTP {status}")).or_else(|| texts(row).pop()));
    }
    // A refusal of Freehold itself has a constant as its code.
    let is_of_aws = |row: &&str| row.contains(" code: \"");
    for row in read("attention_codes.rs").split("\n    Row {").skip(1).filter(is_of_aws) {
        let (code, says) = match &texts(row)[..] {
            [_service, code, says, ..] => (code.clone(), says.clone()),
            other => panic!("{other:?} is not a row"),
        };
        codes.insert(if says.is_empty() { code } else { says });
    }
    let failures = read("steps/shared/failure_tables.rs");
    for row in failures.split("\n    creation(").skip(1).chain(failures.split("{ words:").skip(1)) {
        codes.extend(texts(row).first().cloned());
    }
    for row in failures.split("\n        words:").skip(1) {
        codes.extend(texts(row).first().cloned());
    }
    codes
}

#[test]
fn every_aws_code_that_the_worker_knows_has_a_test() {
    let (known, tests) = (worker_table_codes(), tests());
    let listed: BTreeSet<String> = AWS_CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(known.difference(&listed).collect::<Vec<_>>(), [""; 0], "codes without a row in aws_codes.rs");
    assert_eq!(listed.difference(&known).collect::<Vec<_>>(), [""; 0], "codes that no table of the worker knows");
    for (code, provoked_by) in AWS_CODES {
        assert!(!provoked_by.is_empty(), "{code} has no test");
        let missing: Vec<_> = provoked_by.iter().filter(|test| !tests.contains(**test)).collect();
        assert_eq!(missing, [&""; 0], "tests of {code} that do not exist");
    }
}

#[test]
fn scenarios_md_matches_the_table_of_scenarios() {
    let (path, expected) = (root().join("docs/scenarios.md"), scenarios::document());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the document");
    }
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        document, expected,
        "regenerate it: UPDATE_DOCS=1 cargo test --workspace --test main -- scenarios::table"
    );
}

#[test]
fn every_test_named_in_the_lessons_exists() {
    let tests = tests();
    let text = std::fs::read_to_string(root().join("docs/lessons.md")).expect("the lessons");
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
    assert!(named.len() > 15, "only {} tests are named", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !tests.contains(*name)).collect();
    assert_eq!(missing, [""; 0], "names without a test");
}
