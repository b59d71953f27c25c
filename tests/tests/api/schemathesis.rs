//! The API against its own description, asked by somebody who has read nothing else (https://schemathesis.io): whatever is sent,
//! the answer is one that is described, and never a failure of ours.

use std::path::Path;

use freehold_tenancy::db::installation::InstallationKind;
use freehold_tests::api_fixture::EVERY_SCOPE;
use freehold_tests::webhook_fixture::{KEY, WebhookFixture};
use tokio::process::Command;

use crate::conformance::venv;

/// How many examples each route is asked, beside those of its description, its coverage and the ways from one to another.
/// `FREEHOLD_EXAMPLES` asks more.
const EXAMPLES: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_the_answer_is_one_that_is_described() {
    let examples = std::env::var("FREEHOLD_EXAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(EXAMPLES);
    let config = format!("requests_per_minute = 0\nsignups_per_day = 0\n[secrets]\nkey = \"{KEY}\"");
    // No name has an address, and no address is on this machine: no URL that it makes up is sent anything.
    let hooks = WebhookFixture::of(InstallationKind::Real, &config).await;
    hooks.sign_up_tenant().await;
    let [python, program] = venv::program("schemathesis");
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(python)
        .arg(program)
        .arg("--config-file")
        .arg(settings.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", hooks.api.url)])
        .args(["--header", &format!("Authorization: Bearer {}", hooks.api.issuer.token(EVERY_SCOPE))])
        // The events of an operation come until that has ended.
        .args(["--exclude-path-regex", "^/v1/operations/.*/events$"])
        .args(["--checks", "all", "--max-examples", &examples.to_string(), "--request-timeout", "30"])
        .args(["--seed", "1", "--generation-deterministic", "--no-color"])
        .env("SCHEMATHESIS_HOOKS", settings.join("hooks.py"))
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(directory.path())
        .output()
        .await
        .expect("schemathesis");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let cases = told.lines().skip_while(|line| !line.starts_with("Test cases:")).nth(1);
    eprintln!("{}", cases.unwrap_or_default().trim());
}
