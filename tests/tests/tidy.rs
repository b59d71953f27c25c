//! Tests of the invariants in ARCHITECTURE.md, for example that SQL is used only in `tenancy`.

mod dependencies;
mod habits;
mod imports;
mod language;
mod lock_files;
mod security;
mod stored_names;

use std::fs;
use std::path::{Path, PathBuf};

use freehold_tests::database::Database;

/// Maximum length of a file in lines.
const MAX_FILE_LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Returns the path and the text of each Rust file in the folders and their subfolders.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            // Skip symbolic links, because their targets are listed anyway.
            if entry.is_symlink() {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let path = entry.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((path, fs::read_to_string(&entry).expect("a source file")));
            }
        }
    }
    found.sort();
    found
}

/// Returns the lines that contain one of the words outside comments, in files for which `applies` returns true.
fn offenders(folders: &[&str], words: &[&str], applies: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, text) in sources(folders).into_iter().filter(|(path, _)| applies(path)) {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                offenders.push(format!("{path}:{number}: {code}"));
            }
        }
    }
    offenders
}

#[test]
fn sql_is_used_only_in_tenancy() {
    let sql = ["sqlx::query", "query!(", "query_as!(", "query_scalar!("];
    assert_eq!(offenders(&["api/src", "worker/src", "cli/src"], &sql, |_| true), [""; 0]);
}

#[test]
fn the_aws_sdk_is_used_only_in_the_aws_module_of_the_worker() {
    let sdk = ["aws_sdk_", "aws_config", "aws_smithy", "aws_sigv4", "aws_credential_types"];
    assert_eq!(offenders(&["api/src", "tenancy/src", "cli/src"], &sdk, |_| true), [""; 0]);
    assert_eq!(offenders(&["worker/src"], &sdk, |path| !path.starts_with("worker/src/aws")), [""; 0]);
}

#[test]
fn the_time_is_read_only_from_the_clock() {
    let wall = ["Utc::now(", "SystemTime::now(", "Local::now(", "OffsetDateTime::now"];
    let crates = ["api/src", "worker/src", "tenancy/src", "sandbox/src", "cli/src"];
    assert_eq!(offenders(&crates, &wall, |path| path != "tenancy/src/clock.rs"), [""; 0]);
    let sql = ["now()", "current_timestamp", "clock_timestamp"];
    // `clock.now()` and the monotonic `Instant::now()` are allowed.
    let in_sql: Vec<_> = offenders(&["tenancy/src/db"], &sql, |_| true)
        .into_iter()
        .filter(|line| ![".now()", "Instant::now()", "fn now()"].iter().any(|allowed| line.contains(allowed)))
        .collect();
    assert_eq!(in_sql, [""; 0]);
    for migration in fs::read_dir(root().join("migrations")).expect("migrations") {
        let path = migration.expect("a migration").path();
        let text = fs::read_to_string(&path).expect("a text").to_lowercase();
        // The audit functions limit the time that a caller passes, so that it cannot end the retention early
        // (docs/decisions/0045-audit-functions.md).
        let text =
            if path.ends_with("0011_audit_functions.sql") { text.replacen("clock_timestamp()", "", 3) } else { text };
        assert!(sql.iter().all(|word| !text.contains(word)), "{} uses the time of PostgreSQL", path.display());
    }
}

#[test]
fn every_file_has_at_most_400_lines() {
    let long: Vec<_> = sources(&["api", "cli", "sandbox", "tenancy", "tests", "worker"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .collect();
    assert!(long.is_empty(), "longer than {MAX_FILE_LINES} lines: {long:?}");
}

#[tokio::test]
async fn every_column_has_a_comment() {
    let database = Database::new().await;
    let uncommented: Vec<String> = sqlx::query_scalar(
        "select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
         join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
           and c.relname not like '\\_sqlx%' and col_description(a.attrelid, a.attnum) is null order by 1",
    )
    .fetch_all(&database.pool)
    .await
    .expect("an answer");
    assert_eq!(uncommented, [""; 0], "columns without a comment");
}
