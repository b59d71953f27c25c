//! Tests of the health checks and metrics of the API.

use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
use reqwest::Method;

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

    api.database.pool.close().await;
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
