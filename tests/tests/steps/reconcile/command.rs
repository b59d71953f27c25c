//! `freehold reconcile`, as a process beside the simulated AWS.

use freehold_tenancy::db::audit::{self, AuditFilter};
use freehold_tests::fixture::{CONFIG, Freehold};

use super::{break_ten_things, ready};
use crate::cli::process::{freehold as program, text};

/// Runs the command against this installation and answers exit code and report.
async fn reconcile(freehold: &Freehold, more: &[&str]) -> (Option<i32>, String) {
    let files = tempfile::tempdir().expect("a directory");
    let config = files.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).expect("a configuration");
    let (url, database) = (freehold.world.base_url().expect("a served world"), freehold.database.url.clone());
    let config = config.to_str().expect("a path of text").to_owned();
    let mut arguments: Vec<String> =
        ["reconcile", "--sandbox", &url, "--database-url", &database, "--config", &config].map(str::to_owned).into();
    arguments.extend(more.iter().map(ToString::to_string));
    // The world is served by this very runtime.
    let running =
        tokio::task::spawn_blocking(move || program(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    let ended = running.await.expect("the end of the program");
    assert_eq!(text(&ended.stderr), "");
    (ended.status.code(), text(&ended.stdout))
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "with --nocapture it shows the report")]
async fn the_command_tells_what_is_wrong_and_its_exit_code_says_whether_anything_is() {
    let (freehold, tenants) = ready(8).await;
    let (code, told) = reconcile(&freehold, &[]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("0 findings"), "{told}");

    let expected = break_ten_things(&freehold, &tenants).await;
    let (code, told) = reconcile(&freehold, &[]).await;
    println!("{told}");
    assert_eq!(code, Some(1), "{told}");
    for (kind, severity, _) in &expected {
        let line = |line: &str| line.contains(kind) && line.trim_start().starts_with(severity);
        assert!(told.lines().any(line), "{severity} {kind} is not in\n{told}");
    }
    assert!(told.contains("10 findings, 10 of them new"), "{told}");

    let (code, told) = reconcile(&freehold, &["--output", "json"]).await;
    assert_eq!(code, Some(1), "{told}");
    let report: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(report["clean"], false);
    let findings = report["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 10);
    assert!(findings.iter().all(|one| one["new"] == false && one["state"] == "open"), "{told}");
    // Who only looks is not on record; whoever begins repairs is.
    let filter = AuditFilter { action: Some("reconcile --repair".to_owned()), ..AuditFilter::default() };
    let recorded = async || audit::list(freehold.pool(), &filter, 0, 10).await.expect("the trail");
    assert!(recorded().await.is_empty());
    let (code, told) = reconcile(&freehold, &["--repair"]).await;
    assert_eq!(code, Some(1), "{told}");
    let records = recorded().await;
    assert_eq!(records.len(), 1);
    assert!(records[0].text.contains(r#""outcome":{"result":"succeeded"}"#), "{}", records[0].text);
}
