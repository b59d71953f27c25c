//! Runs Schemathesis (https://schemathesis.io), which generates requests from the OpenAPI description and checks that
//! every response is described and no response is a server error.

use std::path::Path;

use freehold_tenancy::db::installation::InstallationKind;
use freehold_tests::api_fixture::ALL_SCOPES;
use freehold_tests::webhook_fixture::{SECRETS_KEY, WebhookFixture};
use tokio::process::Command;

use crate::conformance::venv;

/// Number of randomly generated requests per route, in addition to the other test phases of Schemathesis. The
/// environment variable `FREEHOLD_EXAMPLES` overrides the number.
const DEFAULT_EXAMPLES: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_requests_get_described_responses() {
    let examples =
        std::env::var("FREEHOLD_EXAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_EXAMPLES);
    let config = format!("requests_per_minute = 0\nsignups_per_day = 0\n[secrets]\nkey = \"{SECRETS_KEY}\"");
    // DNS resolves no name, and loopback addresses are rejected, so no generated webhook URL is called.
    let hooks = WebhookFixture::with_config(InstallationKind::Real, &config).await;
    hooks.sign_up_tenant().await;
    let [python, program] = venv::program("schemathesis");
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(python)
        .arg(program)
        .arg("--config-file")
        .arg(settings.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", hooks.api.url)])
        .args(["--header", &format!("Authorization: Bearer {}", hooks.api.issuer.token(ALL_SCOPES))])
        // The event stream of an open operation never ends.
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
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    let cases = report.lines().skip_while(|line| !line.starts_with("Test cases:")).nth(1);
    eprintln!("{}", cases.unwrap_or_default().trim());
}
