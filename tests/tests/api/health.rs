//! Tests of the health checks and metrics of the API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use freehold_api::App;
use freehold_tenancy::{Clock, Config};
use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use freehold_tests::fixture::CONFIG;
use freehold_tests::tokens::Issuer;
use reqwest::Method;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::process::{freehold, text};

/// Maximum time until a changed state is visible.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Calls `/readyz` until the status is `status`.
async fn wait_until_status(api: &ApiFixture, status: u16) -> ApiResponse {
    let start = Instant::now();
    loop {
        let response = send(api.request_without_token(Method::GET, "/readyz")).await;
        if response.status == status {
            return response;
        }
        assert!(start.elapsed() < TIMEOUT, "still {}", response.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_api_without_signing_keys_is_not_ready_and_says_why() {
    let missing = "/nonexistent/jwks.json";
    let file = tempfile::NamedTempFile::new().expect("a file");
    let broken = file.path().to_str().expect("a path");
    std::fs::write(broken, r#"{"keys": "none"}"#).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refused = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
    drop(listener);
    for (jwks, words) in [
        (missing, &["the file /nonexistent/jwks.json cannot be read", "No such file"][..]),
        (broken, &["must be a JSON Web Key Set"]),
        (&refused, &["jwks.json cannot be fetched", "refused"]),
    ] {
        let api = ApiFixture::with(Issuer::new(), jwks).await;
        let start = Instant::now();
        let response = loop {
            let response = send(api.request_without_token(Method::GET, "/readyz")).await;
            assert_eq!(response.status_and_code(), (503, "signing_keys_unavailable".into()));
            if !response.text.contains("not been read yet") {
                break response;
            }
            assert!(start.elapsed() < TIMEOUT, "{}", response.text);
        };
        for word in words {
            assert!(response.text.contains(word), "{word} is not in {}", response.text);
        }
        let health = tokio::task::spawn_blocking({
            let url = format!("{}/readyz", api.url);
            move || freehold(&["health", &url])
        });
        let health = health.await.expect("an exit status");
        assert_eq!(health.status.code(), Some(1));
        assert!(text(&health.stderr).contains(words[0]), "{}", text(&health.stderr));
    }
}

#[tokio::test]
async fn an_api_becomes_ready_with_its_keys_and_keeps_them() {
    let issuer = Issuer::new();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let keys = std::fs::read_to_string(issuer.jwks()).expect("keys");
    let path = file.path().to_str().expect("a path").to_owned();
    let api = ApiFixture::with(issuer, &path).await;
    wait_until_status(&api, 503).await;
    std::fs::write(&path, keys).expect("a file");
    wait_until_status(&api, 200).await;
    drop(file);
    assert_eq!(send(api.request_without_token(Method::GET, "/readyz")).await.status, 200);
    assert_eq!(api.get("/v1/fleet-holds").await.status, 200);
}

#[tokio::test]
async fn readyz_reports_address_and_reason_of_a_missing_database() {
    let issuer = Issuer::new();
    let jwks = serde_json::json!(issuer.jwks().display().to_string());
    let config = format!("{CONFIG}\n[api]\nissuer = \"https://issuer.example.com\"\njwks = {jwks}\n");
    let config = Arc::new(Config::parse(&config).expect("a configuration"));
    // Port 1 of the loopback interface has no server.
    let pool = PgPoolOptions::new().connect_lazy("postgres://freehold@127.0.0.1:1/freehold").expect("a pool");
    let app = App::new(pool, config, Clock::real()).expect("an API");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/readyz", listener.local_addr().expect("an address"));
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(freehold_api::serve(app, listener, shutdown.clone()));
    let health = tokio::task::spawn_blocking(move || freehold(&["health", &url])).await.expect("an exit status");
    assert_eq!(health.status.code(), Some(1));
    let output = text(&health.stderr);
    assert!(output.contains("PostgreSQL at 127.0.0.1:1: Connection refused"), "{output}");
    assert!(!output.contains("timed out"), "{output}");
    shutdown.cancel();
    server.await.expect("a server").expect("a clean shutdown");
}

#[tokio::test]
async fn the_api_is_ready_while_its_database_is_reachable() {
    let api = ApiFixture::new().await;
    api.database.do_not_reuse();
    let get = async |path: &str| send(api.request_without_token(Method::GET, path)).await.status_and_code();
    assert_eq!(get("/livez").await.0, 200);
    assert_eq!(get("/readyz").await.0, 200);

    let latest = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    sqlx::query(latest).execute(&api.database.pool).await.unwrap();
    assert_eq!(get("/readyz").await, (503, "database_not_migrated".into()));

    api.database.api_pool.close().await;
    assert_eq!(get("/readyz").await, (503, "database_unavailable".into()));
    assert_eq!(get("/livez").await.0, 200);
    let signup = send(api.signup_request("7f3a", &signup_body())).await;
    assert_eq!(signup.status_and_code(), (503, "database_unavailable".into()));
    assert_ne!(signup.header("retry-after"), "");
    assert_eq!(get("/metrics").await.0, 200, "metrics stay available without the database");
}

#[tokio::test]
async fn metrics_count_requests_and_operations() {
    let api = ApiFixture::new().await;
    api.sign_up(&signup_body()).await;
    api.get("/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b").await;
    api.get("/v1/nothing").await;
    let response = send(api.request_without_token(Method::GET, "/metrics")).await;
    assert!(response.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"http_server_request_duration_seconds_count{http_request_method="POST",http_route="/v1/tenants",http_response_status_code="202"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/v1/tenants/{id}",http_response_status_code="404"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="none",http_response_status_code="404"} 1"#,
        r#"freehold_operations{state="pending"} 1"#,
        r#"freehold_operations{state="succeeded"} 0"#,
        r#"freehold_findings{severity="critical"} 0"#,
    ] {
        assert!(response.text.lines().any(|found| found == line), "{line} is not in\n{}", response.text);
    }
}

#[tokio::test]
async fn metrics_are_served_on_a_listener_of_their_own() {
    let mut api = ApiFixture::new().await;
    api.restart_with(|config| config.api.metrics_on_public_listener = false).await;
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let refused = send(api.request(method, "/metrics")).await;
        assert!([404, 405].contains(&refused.status.as_u16()), "{}", refused.text);
        assert!(!refused.text.contains("http_server_request"), "{}", refused.text);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App::new(api.database.pool.clone(), Arc::clone(&api.config), api.clock.clone()).unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(freehold_api::serve_metrics(app, listener, shutdown.clone()));
    let get = async |path: &str| reqwest::get(format!("http://{address}{path}")).await.unwrap();
    let metrics = get("/metrics").await;
    assert_eq!(metrics.status(), 200);
    assert!(metrics.text().await.unwrap().contains("freehold_operations{state=\"pending\"} 0"));
    for path in ["/", "/v1/tenants", "/livez", "/openapi.json", "/docs"] {
        assert_eq!(get(path).await.status(), 404, "{path}");
    }
    shutdown.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_other_hosts() {
    let api = ApiFixture::new().await;
    let page = send(api.request_without_token(Method::GET, "/docs/")).await;
    assert_eq!(page.status, 200);
    let addresses: Vec<_> =
        page.text.split(['"', '\'']).filter(|text| text.starts_with("http") || text.starts_with("//")).collect();
    assert_eq!(addresses, [""; 0]);
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(send(api.request_without_token(Method::GET, &format!("/docs/{file}"))).await.status, 200, "{file}");
    }
    assert_eq!(send(api.request_without_token(Method::GET, "/openapi.json")).await.text, freehold_api::openapi_json());
}
