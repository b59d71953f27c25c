//! Tests of the health checks and metrics of a worker.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{ApiClient, Infrastructure, Processes};
use freehold_tests::database::Database;
use freehold_tests::fixture::CONFIG;
use nix::sys::signal::Signal;

use crate::cli::process::{freehold, text};

const TIMEOUT: Duration = Duration::from_mins(1);

async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < TIMEOUT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_serves_health_and_metrics() {
    let infrastructure = Infrastructure::start(Settings::instant(), 20.0).await;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let program = Path::new(env!("CARGO_BIN_EXE_freehold-under-test"));
    let mut processes =
        Processes::new(program, &infrastructure, 1, None).with_arguments(1, &["--metrics-listen", &address]);
    processes.start(0);
    processes.start(1);
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    wait_until("the API is ready", async || client.is_ready().await).await;
    client.sign_up_until_accepted(1).await;
    let done = "select count(*) from operations where state = 'succeeded'";
    let succeeded = async || sqlx::query_scalar::<_, i64>(done).fetch_one(&infrastructure.pool).await.unwrap() == 1;
    wait_until("the tenant is ready", succeeded).await;

    for path in ["livez", "readyz"] {
        let health = freehold(&["health", &format!("http://{address}/{path}")]);
        assert_eq!(health.status.code(), Some(0), "{path}: {}", text(&health.stderr));
    }
    let metrics = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    for line in [
        r#"freehold_operation_duration_seconds_count{kind="onboard"} 1"#,
        r#"freehold_operation_duration_seconds_bucket{kind="onboard",le="604800"} 1"#,
        r#"freehold_aws_calls_total{service="organizations",operation="CreateAccount",outcome="ok"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    processes.signal(1, Signal::SIGTERM);
    let start = Instant::now();
    while processes.take_exit_status(1).is_none() {
        assert!(start.elapsed() < TIMEOUT, "the worker did not stop in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let health = freehold(&["health", &format!("http://{address}/livez")]);
    assert_eq!(health.status.code(), Some(1), "{}", text(&health.stderr));
    drop(processes);
    infrastructure.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_aws_credentials_is_not_ready_and_says_why() {
    let database = Database::new().await;
    database.do_not_reuse();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = ["--config", config.to_str().unwrap()];
    let migrated = freehold(&[&["migrate", "--database-url", &database.url][..], &config].concat());
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));

    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_freehold-under-test"));
    let worker = worker.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let worker = worker.env("HOME", directory.path()).env("AWS_REGION", "eu-central-1");
    // The credentials source must not ask the metadata service of the machine.
    let worker = worker.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null()).stderr(log);
    let worker = worker
        .args(["worker", "--database-url", &database.worker_url])
        .args(config)
        .args(["--metrics-listen", &address]);
    let mut worker = worker.spawn().unwrap();

    let health = async || {
        let url = format!("http://{address}/readyz");
        tokio::task::spawn_blocking(move || freehold(&["health", &url])).await.unwrap()
    };
    let is_explained = async || text(&health().await.stderr).contains("the worker has no AWS credentials");
    wait_until("the worker reports its missing credentials", is_explained).await;
    assert_eq!(health().await.status.code(), Some(1));
    let metrics = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("freehold_worker_aws_access 0"), "{metrics}");
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
    let warning = log.lines().find(|line| line.contains("cannot call AWS and claims no operations"));
    assert!(warning.is_some_and(|line| line.contains("WARN") && line.contains("AWS_PROFILE")), "{log}");
    let shown: String = sqlx::query_scalar("select aws_error from workers").fetch_one(&database.pool).await.unwrap();
    assert!(shown.contains("no AWS credentials"), "{shown}");
    worker.kill().unwrap();
    worker.wait().unwrap();
}
