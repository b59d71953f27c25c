//! Tests that `freehold audit verify` detects every manipulation of the trail and of its anchors, by an attacker with
//! all rights in the database.

mod manipulations;

use std::path::Path;
use std::time::Duration;

use freehold_tenancy::InstallationId;
use freehold_tenancy::audit::{AnchorFile, AuditOutcome, AuditResult, ChainHead, Signer};
use freehold_tenancy::db::{PgPool, audit};
use freehold_tests::fixture::Freehold;

use self::manipulations::{MANIPULATIONS, REHASH};
use super::SIGNING_KEY;
use super::verify::{OTHER_KEY, verify};

const RECORDS: i64 = 8;

async fn execute(pool: &PgPool, statements: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(pool).await.expect(statements);
}

/// Copies of the tables that a manipulation changes.
const BACKED_UP: [&str; 4] = ["audit_records", "audit_head", "installation", "audit_pending"];

async fn restore(pool: &PgPool) {
    execute(pool, "delete from audit_strays; delete from audit_settings").await;
    for table in BACKED_UP {
        let columns = if table == "audit_pending" { "overriding system value" } else { "" };
        execute(pool, &format!("delete from {table}; insert into {table} {columns} table backup_{table}")).await;
    }
}

/// Creates a trail of [`RECORDS`] records, with anchors of the empty trail and of the third and each later record.
async fn create_trail(freehold: &Freehold, file: &AnchorFile) {
    let signer = Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key");
    let (pool, clock) = (freehold.pool(), &freehold.clock);
    for position in 0..=RECORDS {
        let (mut head, _) = audit::chain_ends(pool).await.expect("the head");
        if position > 0 {
            let done = AuditOutcome::of(AuditResult::Succeeded);
            audit::note(pool, &freehold_tests::signup::audit_entry(), None, &done, clock.now())
                .await
                .expect("an entry");
            head = audit::advance(pool, clock.now()).await.expect("a chain");
        }
        assert_eq!(head.position, position);
        if position == 0 || position >= 3 {
            file.append(&signer.sign(freehold.installation.id, head, clock.now())).expect("an anchor");
        }
        clock.advance(Duration::from_hours(24));
    }
}

#[tokio::test]
async fn each_manipulation_of_the_database_is_detected() {
    let freehold = Freehold::instant().await;
    freehold.database.do_not_reuse();
    let directory = tempfile::tempdir().expect("a directory");
    create_trail(&freehold, &AnchorFile::new(&directory.path().join("anchors.jsonl"))).await;
    let pool = freehold.pool();
    for table in BACKED_UP {
        execute(pool, &format!("create table backup_{table} as table {table}")).await;
    }
    let (valid, output) = verify(&freehold, directory.path());
    assert!(valid && output.contains("from 1 to 8, anchored up to 8"), "{output}");
    let mut undetected = Vec::new();
    for (name, change, is_rehashed, message) in MANIPULATIONS {
        execute(pool, change).await;
        if *is_rehashed {
            execute(pool, REHASH).await;
        }
        let (valid, output) = verify(&freehold, directory.path());
        if valid || !output.contains(message) {
            undetected.push(format!("{name}: {output}"));
        }
        restore(pool).await;
        let (valid, output) = verify(&freehold, directory.path());
        assert!(valid, "after {name}: {output}");
    }
    assert!(undetected.is_empty(), "{undetected:#?}");
    assert_eq!(MANIPULATIONS.len(), 41);
}

/// Manipulations of the anchor file: name, change of its lines, and a part of the message.
fn anchor_manipulations(freehold: &Freehold) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let at = freehold.clock.now();
    let line = |key: &str, installation, position, hash| {
        Signer::new(&key.to_owned().into()).expect("a key").sign(installation, ChainHead { position, hash }, at).line()
    };
    let (own, other) = (freehold.installation.id, InstallationId::new(at));
    vec![
        ("no anchor", vec![], "no anchor covers the trail"),
        ("anchor of another installation", vec![line(SIGNING_KEY, other, 0, [0; 32])], "belongs to installation"),
        (
            "anchors of two installations",
            vec![line(SIGNING_KEY, own, 0, [0; 32]), line(SIGNING_KEY, other, 0, [0; 32])],
            "belongs to installation",
        ),
        ("anchor of another trail", vec![line(SIGNING_KEY, own, 5, [7; 32])], "was rewritten"),
        ("anchor of another empty trail", vec![line(SIGNING_KEY, own, 0, [7; 32])], "was rewritten"),
        ("anchor beyond the trail", vec![line(SIGNING_KEY, own, 9, [7; 32])], "its end was removed"),
        ("anchor signed with another key", vec![line(OTHER_KEY, own, 0, [0; 32])], "was not signed with"),
        ("not an anchor", vec!["{}".to_owned(), line(SIGNING_KEY, own, 0, [0; 32])], "line 1 of"),
        (
            "cut in the middle",
            vec![line(SIGNING_KEY, own, 0, [0; 32])[..50].to_owned(), line(SIGNING_KEY, own, 0, [0; 32])],
            "is not an anchor",
        ),
        ("not an anchor in the last line", vec![line(SIGNING_KEY, own, 0, [0; 32]), "{}".to_owned()], "line 2 of"),
    ]
}

fn write_lines(path: &Path, lines: &[String]) {
    std::fs::write(path, lines.join("\n") + "\n").expect("anchors");
}

#[tokio::test]
async fn each_manipulation_of_the_anchors_is_detected() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("anchors.jsonl");
    create_trail(&freehold, &AnchorFile::new(&path)).await;
    let genuine = std::fs::read_to_string(&path).expect("anchors");
    let genuine: Vec<String> = genuine.lines().map(str::to_owned).collect();
    let mut cases = anchor_manipulations(&freehold);
    // Each field of each anchor is signed, except the public key, which is a hint for the reader.
    for field in ["installation", "position", "hash", "at", "signature"] {
        let mut lines = genuine.clone();
        let mut anchor: serde_json::Value = serde_json::from_str(&lines[2]).expect("JSON");
        anchor[field] = match field {
            "installation" => serde_json::json!(InstallationId::new(freehold.clock.now())),
            "position" => serde_json::json!(5),
            "hash" => serde_json::json!("07".repeat(32)),
            "at" => serde_json::json!("2026-01-01T00:00:00.000000Z"),
            _ => serde_json::json!("AAAA"),
        };
        lines[2] = anchor.to_string();
        cases.push((field, lines, "line 3 of"));
    }
    for (name, lines, message) in &cases {
        write_lines(&path, lines);
        let (valid, output) = verify(&freehold, directory.path());
        assert!(!valid && output.contains(message), "{name}: {output}");
    }
    write_lines(&path, &genuine);
    let (valid, output) = verify(&freehold, directory.path());
    assert!(valid, "{output}");
    assert_eq!(cases.len(), 15);
}
