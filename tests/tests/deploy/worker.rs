//! Tests of the health checks and metrics of a worker.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{ApiClient, Infrastructure, Processes};
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
