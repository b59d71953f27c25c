//! Tests of `freehold audit verify`: the trails that it accepts, and the source of the id of the installation.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use freehold_tenancy::audit::{AnchorFile, Signer};
use freehold_tenancy::db::audit;
use freehold_tests::database::Database;
use freehold_tests::fixture::{CONFIG, Freehold};
use serde_json::json;

use super::SIGNING_KEY;
use crate::cli::process::{freehold, text};

/// Key that signs the anchors of no installation of these tests.
pub(super) const OTHER_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// Runs `freehold audit verify` for the installation, with anchors.jsonl in `directory`. Returns whether the command
/// succeeded, and its output.
pub(super) fn verify(freehold: &Freehold, directory: &Path) -> (bool, String) {
    let audit = format!("installation_id = {}", json!(freehold.installation.id));
    verify_with(freehold, directory, &audit, &[])
}

/// Runs `freehold audit verify --sandbox` with the lines `audit` in the section `[audit]` and more arguments.
pub(super) fn verify_with(freehold: &Freehold, directory: &Path, audit: &str, arguments: &[&str]) -> (bool, String) {
    run_verify(freehold, directory, audit, &[&["--sandbox"], arguments].concat())
}

fn run_verify(freehold: &Freehold, directory: &Path, audit: &str, arguments: &[&str]) -> (bool, String) {
    let config = directory.join("freehold.toml");
    let anchors = directory.join("anchors.jsonl");
    let text =
        format!("{CONFIG}\n[audit]\nsigning_key = {}\nanchor_file = {}\n{audit}\n", json!(SIGNING_KEY), json!(anchors));
    std::fs::write(&config, text).expect("a configuration");
    let output = Command::new(env!("CARGO_BIN_EXE_freehold-under-test"))
        .args(["audit", "verify", "--config", config.to_str().expect("text")])
        .args(["--database-url", &freehold.database.worker_url])
        .args(arguments)
        .output()
        .expect("the program");
    let output_text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output_text}");
    (output.status.success(), output_text)
}

#[tokio::test]
async fn a_forged_start_of_the_retained_trail_is_detected() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (pool, clock) = (freehold.pool(), &freehold.clock);
    let signer = Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key");
    let file = AnchorFile::new(&directory.path().join("anchors.jsonl"));
    let entry = freehold_tests::signup::audit_entry();
    let done = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    let chain = async || {
        let head = audit::advance(pool, clock.now()).await.expect("a chain");
        file.append(&signer.sign(freehold.installation.id, head, clock.now())).expect("an anchor");
    };
    for _ in 0..3 {
        audit::note(pool, &entry, None, &done, clock.now()).await.expect("an audit entry");
        chain().await;
    }
    // An incomplete last line, as after a full disk, does not invalidate the other anchors. The next anchor replaces
    // it.
    let path = directory.path().join("anchors.jsonl");
    let mut lines = std::fs::read_to_string(&path).expect("anchors");
    lines.truncate(lines.len() - 20);
    std::fs::write(&path, lines).expect("a torn line");
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(valid && output_text.contains("line 3 of") && output_text.contains("anchored up to 2"), "{output_text}");
    audit::note(pool, &entry, None, &done, clock.now()).await.expect("an audit entry");
    chain().await;
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(valid && output_text.contains("from 1 to 4, anchored up to 4"), "{output_text}");
    assert!(!output_text.contains("line 3 of"), "{output_text}");

    // Freehold does not chain an entry that claims a deletion.
    sqlx::raw_sql(
        r#"update audit_head set dropped_position = 3, dropped_hash = (select hash from audit_records
            where position = 3);
        delete from audit_records where position <= 3;
        insert into audit_pending (started_at, entry, outcome)
        select now(), jsonb_build_object('kind', 'audit.dropped', 'action', 'dropAuditRecords',
            'actor', '{"process": "freehold"}'::jsonb, 'through', 3, 'hash', encode(dropped_hash, 'hex')),
            '{"result": "succeeded"}'
        from audit_head"#,
    )
    .execute(pool)
    .await
    .expect("a forgery");
    chain().await;
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(!valid && output_text.contains("no record says that the records before it"), "{output_text}");
    assert!(output_text.contains("1 rows that it did not write"), "{output_text}");
}

#[tokio::test]
async fn abandoned_entries_become_unknown_and_old_records_are_deleted() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (pool, clock) = (freehold.pool(), &freehold.clock);
    audit::set_retention(pool, 10).await.expect("a retention");
    let advance = async || audit::advance(pool, clock.now()).await.expect("a chain");
    let entry = freehold_tests::signup::audit_entry();
    let open_entry = audit::begin(pool, &entry, None, clock.now()).await.expect("an audit entry");
    assert_eq!(advance().await.position, 0, "an open entry was chained");
    clock.advance(Duration::from_secs(61));
    assert_eq!(advance().await.position, 1);
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    assert!(records[0].text.contains(r#""outcome": {"result": "unknown"}"#), "{}", records[0].text);
    // A result that arrives later is ignored.
    let outcome = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    assert!(!audit::end(pool, open_entry, &outcome).await.expect("an answer"));

    for _ in 0..3 {
        clock.advance(Duration::from_hours(5 * 24));
        audit::note(pool, &entry, None, &outcome, clock.now()).await.expect("an audit entry");
        advance().await;
    }
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    let positions: Vec<_> = records.iter().map(|record| record.position).collect();
    assert_eq!(positions, [2, 3, 4, 5], "the first is fifteen days old");
    assert!(records[3].text.contains("audit.dropped"), "{}", records[3].text);

    let signer = Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key");
    let (head, _) = audit::chain_ends(pool).await.expect("the head");
    let file = AnchorFile::new(&directory.path().join("anchors.jsonl"));
    file.append(&signer.sign(freehold.installation.id, head, clock.now())).expect("an anchor");
    let id = freehold.installation.id;
    let retention = format!("installation_id = \"{id}\"\nretention_days = 10");
    let (valid, output_text) = verify_with(&freehold, directory.path(), &retention, &[]);
    assert!(valid && output_text.contains("from 2 to 5, anchored up to 5"), "{output_text}");
    // A shorter retention in the database than in the configuration is a manipulation.
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(!valid && output_text.contains("deletes records after 10 days, not after 2562"), "{output_text}");
}

#[tokio::test]
async fn the_installation_to_verify_is_never_taken_from_the_database() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let none = directory.path().join("anchors.jsonl");
    let id = freehold.installation.id.to_string();
    let other = freehold_tenancy::InstallationId::new(freehold.clock.now()).to_string();
    let configured = format!("installation_id = \"{id}\"");
    let run = |audit: &str, arguments: &[&str]| verify_with(&freehold, directory.path(), audit, arguments);

    std::fs::write(&none, "").expect("an empty file of anchors");
    let (valid, output_text) = run("", &[]);
    assert!(!valid && output_text.contains("installation to verify is not known"), "{output_text}");
    let (valid, output_text) = run(&configured, &[]);
    assert!(!valid && output_text.contains("no anchor covers the trail"), "{output_text}");

    let signer = Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key");
    let (head, _) = audit::chain_ends(freehold.pool()).await.expect("the head");
    let anchor = signer.sign(freehold.installation.id, head, freehold.clock.now());
    AnchorFile::new(&none).append(&anchor).expect("an anchor");
    for (audit, arguments) in [("", &[][..]), (configured.as_str(), &[]), ("", &["--installation", &id])] {
        let (valid, output_text) = run(audit, arguments);
        assert!(valid && output_text.contains("from 1 to 0, anchored up to 0"), "{output_text}");
    }
    // The database of a real installation that claims to be a sandbox could hide an early deletion.
    let (valid, output_text) = run_verify(&freehold, directory.path(), &configured, &[]);
    assert!(!valid && output_text.contains("says that it belongs to a sandbox"), "{output_text}");
    let (valid, output_text) = run(&configured, &["--installation", &other]);
    assert!(!valid && output_text.contains(&format!("belongs to installation {id}, not to {other}")), "{output_text}");
}

#[tokio::test]
async fn migrate_anchors_the_empty_trail_and_refuses_another_installation() {
    let database = Database::new().await;
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("freehold.toml");
    let anchors = directory.path().join("anchors.jsonl");
    let run = |command: &[&str], audit: &str| {
        let keys = format!("signing_key = {}\nanchor_file = {}", json!(SIGNING_KEY), json!(anchors));
        std::fs::write(&config, format!("{CONFIG}\n[audit]\n{keys}\n{audit}\n")).expect("a configuration");
        let options = ["--config", config.to_str().expect("text"), "--database-url", &database.url];
        let output = freehold(&[command, &options].concat());
        (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    let (code, output) = run(&["migrate"], "");
    assert!(code == Some(0) && output.contains("first anchor of the audit trail: {"), "{output}");
    let line = std::fs::read_to_string(&anchors).expect("an anchor");
    let anchor: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    let id = anchor["installation"].as_str().expect("an id");
    assert_eq!(anchor["position"], 0);
    assert!(output.contains(&format!("set audit.installation_id = \"{id}\"")), "{output}");

    let configured = format!("installation_id = \"{id}\"");
    let (code, output) = run(&["migrate"], &configured);
    assert!(code == Some(0) && !output.contains("anchor"), "{output}");
    let (code, output) = run(&["audit", "verify"], &configured);
    assert!(code == Some(0) && output.contains("from 1 to 0, anchored up to 0"), "{output}");
    // A change of the retention is on record.
    let (code, output) = run(&["migrate"], &format!("{configured}\nretention_days = 10"));
    assert_eq!(code, Some(0), "{output}");
    let (code, output) = run(&["audit", "verify"], &format!("{configured}\nretention_days = 10"));
    assert!(code == Some(0) && output.contains("from 1 to 1, anchored up to 0"), "{output}");
    let records = audit::list(&database.pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    assert!(
        records[0].text.contains(r#""changes": {"retention_days": {"new": 10, "old": 2562}}"#),
        "{}",
        records[0].text
    );

    let other = format!("installation_id = \"ins_{}\"", "0".repeat(26));
    let (code, output) = run(&["migrate"], &other);
    assert!(code != Some(0) && output.contains(&format!("the database belongs to installation {id}")), "{output}");
    let (code, output) = run(&["migrate"], "installation_id = \"ten_1\"");
    assert!(code != Some(0) && output.contains("`ten_1` must be an id: ins_"), "{output}");
}
