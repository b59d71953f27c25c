//! Tests that `freehold audit verify` detects every manipulation of the audit trail.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::audit::{AnchorFile, Signer};
use freehold_tenancy::db::{PgPool, audit};
use freehold_tests::fixture::{CONFIG, Freehold};
use serde_json::json;

use super::SIGNING_KEY;

/// Runs `freehold audit verify`. Returns whether the command succeeded, and its output.
fn verify(freehold: &Freehold, directory: &Path) -> (bool, String) {
    let config = directory.join("freehold.toml");
    let anchors = directory.join("anchors.jsonl");
    let text = format!("{CONFIG}\n[audit]\nsigning_key = {}\nanchor_file = {}\n", json!(SIGNING_KEY), json!(anchors));
    std::fs::write(&config, text).expect("a configuration");
    let output = Command::new(env!("CARGO_BIN_EXE_freehold-under-test"))
        .args(["audit", "verify", "--config", config.to_str().expect("text")])
        .args(["--database-url", &freehold.database.worker_url])
        .output()
        .expect("the program");
    let output_text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), output_text)
}

async fn execute(pool: &PgPool, statement: &'static str) {
    sqlx::raw_sql(statement).execute(pool).await.expect("a change");
}

#[tokio::test]
async fn edited_removed_reordered_and_truncated_records_are_detected() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    let pool = freehold.pool();
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(30)).await;
    let head = audit::advance(pool, TimeDelta::days(1), freehold.clock.now()).await.expect("a chain");
    assert!(head.position > 5, "{head:?}");
    let signer = Signer::new(&SIGNING_KEY.to_owned().into()).expect("a key");
    let file = AnchorFile::new(&directory.path().join("anchors.jsonl"));
    file.append(&signer.sign(freehold.installation.id, head, freehold.clock.now())).expect("an anchor");
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(
        valid && output_text.contains(&format!("from 1 to {0}, anchored up to {0}", head.position)),
        "{output_text}"
    );

    execute(pool, "create table backup as table audit_records; create table backup_head as table audit_head").await;
    let rehash = "update audit_head set position = r.position, hash = r.hash
        from (select position, hash from audit_records order by position desc limit 1) r";
    for (what, change, message) in [
        (
            "edited",
            "update audit_records set record = replace(record::text, 'worker-1', 'worker-2')::json
            where position = 3",
            "the record at 3 was edited",
        ),
        (
            "backdated",
            "update audit_records set recorded_at = recorded_at - interval '1 hour' where position = 3",
            "the record at 3 was edited",
        ),
        ("removed", "delete from audit_records where position = 3", "position 4 directly follows position 2"),
        ("start removed", "delete from audit_records where position = 1", "position 2 directly follows position 0"),
        (
            "reordered",
            "update audit_records set position = -position where position in (3, 4);
            update audit_records set position = 7 + position where position < 0",
            "the record at 3 was edited",
        ),
        (
            "truncated",
            "delete from audit_records where position = (select max(position) from audit_records)",
            "its end was removed",
        ),
        ("truncated with its head", "delete from audit_records where position > 3", "its end was removed"),
        (
            "deleted before the end of retention",
            "update audit_head set dropped_position = 2,
            dropped_hash = (select hash from audit_records where position = 2);
            delete from audit_records where position <= 2",
            "no record says that the records before it were deleted",
        ),
        ("emptied", "delete from audit_records", "its end was removed"),
    ] {
        let unchecked = "alter table audit_records drop constraint if exists audit_records_position_check";
        execute(pool, unchecked).await;
        execute(pool, change).await;
        if what == "truncated with its head" {
            execute(pool, rehash).await;
        }
        let (valid, output_text) = verify(&freehold, directory.path());
        assert!(!valid && output_text.contains(message), "{what}: {output_text}");
        execute(
            pool,
            "delete from audit_records; insert into audit_records table backup; delete
            from audit_head; insert into audit_head table backup_head",
        )
        .await;
        assert!(verify(&freehold, directory.path()).0, "{what}");
    }

    // The chain of a fully rewritten trail is consistent; the anchor reveals the change.
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 1000).await.expect("the trail");
    execute(pool, "delete from audit_records").await;
    let mut hash = [0; 32];
    for record in records {
        let text = record.text.replace("worker-1", "worker-2");
        hash = freehold_tenancy::audit::chain_hash(&hash, record.position, record.recorded_at, &text);
        sqlx::query("insert into audit_records (position, recorded_at, record, hash) values ($1, $2, $3::json, $4)")
            .bind(record.position)
            .bind(record.recorded_at)
            .bind(text)
            .bind(hash.as_slice())
            .execute(pool)
            .await
            .expect("a record");
    }
    execute(pool, rehash).await;
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(!valid && output_text.contains("was rewritten"), "{output_text}");

    // An anchor that is signed with another key is invalid.
    let other = Signer::new(&"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=".to_owned().into()).expect("a key");
    file.append(&other.sign(freehold.installation.id, head, freehold.clock.now())).expect("an anchor");
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(!valid && output_text.contains("was not signed with the configured key"), "{output_text}");
    execute(pool, "drop table backup; drop table backup_head; alter table audit_records add constraint audit_records_position_check check (position > 0)").await;
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
        let head = audit::advance(pool, TimeDelta::days(1), clock.now()).await.expect("a chain");
        file.append(&signer.sign(freehold.installation.id, head, clock.now())).expect("an anchor");
    };
    for _ in 0..3 {
        audit::note(pool, &entry, None, &done, clock.now()).await.expect("an audit entry");
        chain().await;
    }
    // An incomplete line, as after a full disk, does not invalidate the other anchors.
    let path = directory.path().join("anchors.jsonl");
    let mut lines = std::fs::read_to_string(&path).expect("anchors");
    lines.truncate(lines.len() - 20);
    std::fs::write(&path, lines).expect("a torn line");
    audit::note(pool, &entry, None, &done, clock.now()).await.expect("an audit entry");
    chain().await;
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(
        valid && output_text.contains("from 1 to 4, anchored up to 4") && output_text.contains("line 3 of"),
        "{output_text}"
    );

    // Freehold itself chains and signs the inserted rows.
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
    assert!(!valid && output_text.contains("records before 4 were deleted too early"), "{output_text}");
}

#[tokio::test]
async fn abandoned_entries_become_unknown_and_old_records_are_deleted() {
    let freehold = Freehold::instant().await;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("anchors.jsonl"), "").expect("an empty file of anchors");
    let (pool, clock) = (freehold.pool(), &freehold.clock);
    let advance = async |days| audit::advance(pool, TimeDelta::days(days), clock.now()).await.expect("a chain");
    let entry = freehold_tests::signup::audit_entry();
    let open_entry = audit::begin(pool, &entry, None, clock.now()).await.expect("an audit entry");
    assert_eq!(advance(10).await.position, 0, "an open entry was chained");
    clock.advance(Duration::from_secs(61));
    assert_eq!(advance(10).await.position, 1);
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    assert!(records[0].text.contains(r#""outcome":{"result":"unknown"}"#), "{}", records[0].text);
    // A result that arrives later is ignored.
    let outcome = freehold_tenancy::audit::AuditOutcome::of(freehold_tenancy::audit::AuditResult::Succeeded);
    audit::end(pool, open_entry, &outcome).await.expect("an answer");

    for _ in 0..3 {
        clock.advance(Duration::from_hours(5 * 24));
        audit::note(pool, &entry, None, &outcome, clock.now()).await.expect("an audit entry");
        advance(10).await;
    }
    let records = audit::list(pool, &audit::AuditFilter::default(), 0, 10).await.expect("the trail");
    let positions: Vec<_> = records.iter().map(|record| record.position).collect();
    assert_eq!(positions, [2, 3, 4, 5], "the first is fifteen days old");
    assert!(records[3].text.contains("audit.dropped"), "{}", records[3].text);
    let (valid, output_text) = verify(&freehold, directory.path());
    assert!(valid && output_text.contains("from 2 to 5, never anchored"), "{output_text}");
}
