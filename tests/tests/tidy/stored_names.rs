//! Test that the step and quota names in SQL texts are defined in the code.

use std::path::{Path, PathBuf};

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            found.push(path);
        }
    }
}

/// Returns the literals that the SQL in `text` compares with `column`, as in `name = 'a'`, `s.name <> 'a'` and `name in
/// ('a', 'b')`.
fn literals<'a>(text: &'a str, column: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(column) {
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        if text[..at].ends_with(is_word) {
            continue;
        }
        let rest = text[at + column.len()..].trim_start();
        let compared = ["= '", "<> '"].iter().find_map(|operator| rest.strip_prefix(operator));
        if let Some(literal) = compared {
            found.extend(literal.split('\'').next());
        } else if let Some(list) = rest.strip_prefix("in (") {
            let list = list.split(')').next().unwrap_or_default();
            found.extend(list.split('\'').skip(1).step_by(2));
        }
    }
    found
}

#[test]
fn sql_names_only_known_steps_and_quotas() {
    let mut paths = Vec::new();
    files(&root().join("tenancy/src/db"), &mut paths);
    files(&root().join("migrations"), &mut paths);
    let (mut steps, mut quotas) = (0, 0);
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a file");
        for name in ["name", "step"].into_iter().flat_map(|column| literals(&text, column)) {
            assert!(name.parse::<StepName>().is_ok(), "{}: {name} is no step", path.display());
            steps += 1;
        }
        for name in literals(&text, "quota") {
            assert!(name.parse::<Quota>().is_ok(), "{}: {name} is no quota", path.display());
            quotas += 1;
        }
    }
    assert!(steps >= 12 && quotas >= 1, "only {steps} steps and {quotas} quotas were found");
}
