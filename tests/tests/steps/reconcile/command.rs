//! Test of `freehold reconcile` as a process.

use freehold_tenancy::db::audit::{self, AuditFilter};
use freehold_tests::fixture::{CONFIG, Freehold};

use super::{create_ready_tenants, make_ten_changes};
use crate::cli::process::{freehold as program, text};

/// Runs `freehold reconcile` for this installation. Returns the exit code and the printed report.
async fn reconcile(freehold: &Freehold, more: &[&str]) -> (Option<i32>, String) {
    let files = tempfile::tempdir().expect("a directory");
    let config = files.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).expect("a configuration");
    let (url, database) = (freehold.world.base_url().expect("a served world"), freehold.database.url.clone());
    let config = config.to_str().expect("a UTF-8 path").to_owned();
    let mut arguments: Vec<String> =
        ["reconcile", "--sandbox", &url, "--database-url", &database, "--config", &config].map(str::to_owned).into();
    arguments.extend(more.iter().map(ToString::to_string));
    // This runtime serves the simulated AWS, so the command must not block it.
    let running =
        tokio::task::spawn_blocking(move || program(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    let result = running.await.expect("a finished process");
    assert_eq!(text(&result.stderr), "");
    (result.status.code(), text(&result.stdout))
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "with --nocapture it shows the report")]
async fn the_command_prints_findings_and_sets_the_exit_code() {
    let (freehold, tenants) = create_ready_tenants(8).await;
    let (code, output) = reconcile(&freehold, &[]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("0 findings"), "{output}");

    let expected = make_ten_changes(&freehold, &tenants).await;
    let (code, output) = reconcile(&freehold, &[]).await;
    println!("{output}");
    assert_eq!(code, Some(1), "{output}");
    for (kind, severity, _) in &expected {
        let line = |line: &str| line.contains(kind) && line.trim_start().starts_with(severity);
        assert!(output.lines().any(line), "{severity} {kind} is not in\n{output}");
    }
    assert!(output.contains("10 findings, 10 of them new"), "{output}");

    let (code, output) = reconcile(&freehold, &["--output", "json"]).await;
    assert_eq!(code, Some(1), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(report["clean"], false);
    let findings = report["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 10);
    assert!(findings.iter().all(|one| one["new"] == false && one["state"] == "open"), "{output}");
    // A reconcile without repairs is not audited; the start of a repair is audited.
    let filter = AuditFilter { action: Some("reconcile --repair".to_owned()), ..AuditFilter::default() };
    let recorded = async || audit::list(freehold.pool(), &filter, 0, 10).await.expect("the trail");
    assert!(recorded().await.is_empty());
    let (code, output) = reconcile(&freehold, &["--repair"]).await;
    assert_eq!(code, Some(1), "{output}");
    let records = recorded().await;
    assert_eq!(records.len(), 1);
    assert!(records[0].text.contains(r#""outcome": {"result": "succeeded"}"#), "{}", records[0].text);
}
