//! How the API itself is doing.

use freehold_tests::api_fixture::{Served, send, signup};
use reqwest::Method;

#[tokio::test]
async fn the_api_is_ready_while_its_database_is() {
    let mut api = Served::new().await;
    api.database.spoil();
    let ask = async |path: &str| send(api.bare(Method::GET, path)).await.outcome();
    assert_eq!(ask("/livez").await.0, 200);
    assert_eq!(ask("/readyz").await.0, 200);

    let latest = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    sqlx::query(latest).execute(&api.database.pool).await.unwrap();
    assert_eq!(ask("/readyz").await, (503, "database_not_migrated".into()));

    api.database.pool.close().await;
    assert_eq!(ask("/readyz").await, (503, "database_unavailable".into()));
    assert_eq!(ask("/livez").await.0, 200);
    let signup = send(api.signup("7f3a", &signup())).await;
    assert_eq!(signup.outcome(), (503, "database_unavailable".into()));
    assert_ne!(signup.header("retry-after"), "");
    assert_eq!(ask("/metrics").await.0, 200, "how requests fare is worth knowing all the more");
}

#[tokio::test]
async fn requests_and_operations_are_counted() {
    let api = Served::new().await;
    api.signed_up(&signup()).await;
    api.get("/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b").await;
    api.get("/v1/nothing").await;
    let answered = send(api.bare(Method::GET, "/metrics")).await;
    assert!(answered.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"http_server_request_duration_seconds_count{http_request_method="POST",http_route="/v1/tenants",http_response_status_code="202"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/v1/tenants/{id}",http_response_status_code="404"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="none",http_response_status_code="404"} 1"#,
        r#"freehold_operations{state="pending"} 1"#,
        r#"freehold_operations{state="succeeded"} 0"#,
        r#"freehold_findings{severity="critical"} 0"#,
    ] {
        assert!(answered.text.lines().any(|found| found == line), "{line} is not in\n{}", answered.text);
    }
}

#[tokio::test]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let api = Served::new().await;
    let page = send(api.bare(Method::GET, "/docs/")).await;
    assert_eq!(page.status, 200);
    let addresses: Vec<_> =
        page.text.split(['"', '\'']).filter(|text| text.starts_with("http") || text.starts_with("//")).collect();
    assert_eq!(addresses, [""; 0]);
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(send(api.bare(Method::GET, &format!("/docs/{file}"))).await.status, 200, "{file}");
    }
    assert_eq!(send(api.bare(Method::GET, "/openapi.json")).await.text, freehold_api::openapi_json());
}
