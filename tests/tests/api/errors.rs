//! Tests of invalid requests and their error responses.

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn assert_problem(response: &ApiResponse, status: u16, code: &str) {
    assert_eq!(response.status_and_code(), (status, code.to_owned()), "{}", response.text);
    assert_eq!(response.header("content-type"), "application/problem+json");
    let problem = response.json();
    assert_eq!(problem["type"], format!("urn:freehold:problem:{code}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], response.header("x-request-id"));
    for field in ["title", "detail", "request_id"] {
        assert_ne!(problem[field].as_str().unwrap_or_default(), "", "{field}");
    }
}

#[tokio::test]
async fn a_signup_without_a_valid_key_is_rejected() {
    let api = ApiFixture::new().await;
    let without = send(api.request(Method::POST, "/v1/tenants").json(&signup_body())).await;
    assert_problem(&without, 400, "idempotency_key_required");
    for key in ["", "\"\"", "a b", &"x".repeat(256)] {
        assert_problem(&send(api.signup_request(key, &signup_body())).await, 400, "idempotency_key_invalid");
    }
    let two = api.signup_request("one", &signup_body()).header("Idempotency-Key", "two");
    assert_problem(&send(two).await, 400, "idempotency_key_invalid");
    assert_eq!(api.row_counts().await, [0; 5]);
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_rejected() {
    let api = ApiFixture::new().await;
    let post = || api.request(Method::POST, "/v1/tenants").header("Idempotency-Key", "7f3a");
    for (content_type, body, status, code) in [
        ("text/plain", signup_body().to_string(), 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", "company_name=Example".to_owned(), 415, "unsupported_media_type"),
        ("application/json", String::new(), 400, "invalid_json"),
        ("application/json", "{\"company_name\":".to_owned(), 400, "invalid_json"),
        ("application/json", "[".repeat(10_000), 400, "invalid_json"),
        ("application/json; charset=utf-8", "[]".to_owned(), 422, "validation_failed"),
    ] {
        let response = send(post().header("Content-Type", content_type).body(body)).await;
        assert_problem(&response, status, code);
    }
    assert_problem(&send(post().body(signup_body().to_string())).await, 415, "unsupported_media_type");
    assert_eq!(api.row_counts().await, [0; 5]);
}

#[tokio::test]
async fn a_body_over_the_size_limit_is_rejected_with_and_without_length() {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({ "company_name": "x".repeat(64 * 1024) }));
    assert_problem(&send(api.signup_request("7f3a", &body)).await, 413, "body_too_large");
    // The body is sent in chunks, without a Content-Length.
    let mut connection = TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
    let token = api.issuer.token("fleet tenants:write");
    let head = format!(
        "POST /v1/tenants HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nidempotency-key: 7f3a\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..5 {
        let chunk = format!("{:x}\r\n{}\r\n", 16 * 1024, " ".repeat(16 * 1024));
        connection.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut response = vec![0; 4096];
    let length = connection.read(&mut response).await.unwrap();
    let response = String::from_utf8_lossy(&response[..length]).into_owned();
    assert!(response.starts_with("HTTP/1.1 413 ") && response.contains("body_too_large"), "{response}");
    assert_eq!(api.row_counts().await, [0; 5]);
}

#[tokio::test]
async fn unknown_paths_and_ids_are_not_found() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let id = tenant["id"].as_str().unwrap();
    let unknown = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b";
    for (path, code) in [
        (format!("/v1/tenants/{unknown}"), "tenant_not_found"),
        ("/v1/tenants/4711".to_owned(), "tenant_not_found"),
        ("/v1/tenants/%00".to_owned(), "tenant_not_found"),
        ("/v1/tenants/%ff".to_owned(), "tenant_not_found"),
        (format!("/v1/tenants/{}", id.replace("ten_", "op_")), "tenant_not_found"),
        (format!("/v1/tenants/{unknown}/environments/production"), "tenant_not_found"),
        ("/v1/tenants/%ff/environments/production".to_owned(), "tenant_not_found"),
        (format!("/v1/tenants/{id}/environments/%00"), "environment_not_found"),
        (format!("/v1/operations/{id}"), "operation_not_found"),
        (format!("/v1/operations/{id}/events"), "operation_not_found"),
        ("/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9b/events".to_owned(), "operation_not_found"),
        ("/v1/nothing".to_owned(), "route_not_found"),
        ("/".to_owned(), "route_not_found"),
        ("/docs/nothing.js".to_owned(), "route_not_found"),
    ] {
        assert_problem(&api.get(&path).await, 404, code);
    }
    for path in ["/v1/operations/4711/retry", "/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9b/retry"] {
        assert_problem(&api.post(path).await, 404, "operation_not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_gets_the_allowed_methods() {
    let api = ApiFixture::new().await;
    let response = send(api.request(Method::DELETE, "/v1/tenants")).await;
    assert_problem(&response, 405, "method_not_allowed");
    let mut allowed: Vec<_> = response.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn each_invalid_query_parameter_is_reported() {
    let api = ApiFixture::new().await;
    for (path, fields) in [
        ("/v1/tenants?page_size=0", vec!["page_size"]),
        ("/v1/tenants?page_size=201", vec!["page_size"]),
        ("/v1/tenants?page_size=many", vec!["page_size"]),
        ("/v1/tenants?state=asleep&home_region=mars-north-1&tier=A", vec!["state", "home_region", "tier"]),
        ("/v1/tenants?external_id=a%20b&q=%00", vec!["external_id", "q"]),
        ("/v1/tenants?stat=ready", vec!["stat"]),
        ("/v1/tenants?state=ready&state=onboarding", vec!["state"]),
        ("/v1/operations?state=ready&tenant=4711&code=%00", vec!["state", "code", "tenant"]),
        ("/v1/account-mappings?tenant=op_01k2m8v3x9e7rt4s5q6w7y8z9b&valid=now", vec!["tenant", "valid"]),
    ] {
        let response = api.get(path).await;
        assert_problem(&response, 400, "invalid_query");
        let errors = response.json()["errors"].clone();
        let named: Vec<_> = errors.as_array().unwrap().iter().map(|error| &error["field"]).collect();
        assert_eq!(named, fields, "{path}");
    }
    // A write must not ignore `?dry_run=true`.
    for path in
        ["/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b/suspend?dry_run=true", "/v1/webhook-endpoints?dry_run=true"]
    {
        let dry = api.request(reqwest::Method::POST, path).header("Idempotency-Key", "1").json(&serde_json::json!({}));
        assert_eq!(send(dry).await.status_and_code(), (400, "invalid_query".into()), "{path}");
    }
    for path in ["/v1/tenants?dry_run", "/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b/environments?dry_run"] {
        let flag = api.request(reqwest::Method::POST, path).header("Idempotency-Key", "1");
        assert_eq!(
            send(flag.json(&signup_body())).await.status_and_code(),
            (400, "invalid_query".into()),
            "the dry run was ignored: {path}"
        );
    }
    // An empty parameter is rejected; it is not treated as missing.
    let empty = api.get("/v1/operations?state=&tenant=").await;
    assert_eq!(empty.status_and_code(), (400, "invalid_query".into()));
}

#[tokio::test]
async fn a_large_invalid_request_gets_a_small_response() {
    let api = ApiFixture::new().await;
    let (long, short) = ("x".repeat(60_000), "\u{1}".repeat(300));
    let unknown: serde_json::Map<_, _> = (0..6000).map(|at| (format!("f{at}"), json!(0))).collect();
    let mut with_environments = signup_body();
    with_environments["environments"] = (0..20_000).collect();
    let mut with_names = signup_body();
    with_names["environments"] = (0..80).map(|at| format!("{at}{short}")).collect();
    let mut with_labels = signup_body();
    with_labels["labels"] = json!((0..4000).map(|at| (format!("l{at}"), json!(7))).collect::<serde_json::Map<_, _>>());
    let mut bodies = vec![json!(unknown), with_environments, with_names, with_labels, json!({ &long: 1 })];
    bodies.extend(["company_name", "admin_email", "home_region", "tier", "external_id", "labels", "environments"].map(
        |field| {
            let mut body = signup_body();
            body[field] = long.as_str().into();
            body
        },
    ));
    let (mut largest, mut cases) = (0, 0);
    for body in &bodies {
        let response = send(api.signup_request("7f3a", body)).await;
        assert!([413, 422].contains(&response.status.as_u16()), "{:.300}", response.text);
        largest = largest.max(response.text.len());
        cases += 1;
    }
    let names = (0..4000).map(|at| format!("f{at}=0")).collect::<Vec<_>>().join("&");
    let repeated = "state=x&".repeat(3000);
    let types = format!("types={}", "a,".repeat(10_000));
    for path in ["/v1/tenants", "/v1/operations", "/v1/events", "/v1/account-mappings", "/v1/audit-events"] {
        for query in [&names, &repeated, &types, &format!("state={long:.20000}")] {
            let response = api.get(&format!("{path}?{query}")).await;
            assert_eq!(response.status, 400, "{path}: {:.300}", response.text);
            largest = largest.max(response.text.len());
            cases += 1;
        }
    }
    eprintln!("{cases} large requests, at most {largest} bytes in a response");
    assert!(largest < 25_000, "a response has {largest} bytes");

    let many = send(api.signup_request("7f3a", &json!(unknown))).await.json();
    let errors = many["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 51);
    assert_eq!((&errors[50]["code"], &errors[50]["field"]), (&json!("more_errors"), &json!("")));
    // Three required fields are missing.
    assert_eq!(errors[50]["message"], "5953 more fields are invalid");
    assert!(many["detail"].as_str().unwrap().starts_with("6003 fields are invalid: "), "{}", many["detail"]);
    assert_eq!(api.row_counts().await, [0; 5]);
}

#[tokio::test]
async fn a_request_id_is_kept_if_it_is_safe_to_log() {
    let api = ApiFixture::new().await;
    let with = |id: &str| send(api.request_without_token(Method::GET, "/livez").header("x-request-id", id));
    assert_eq!(with("trace-4711_a.b").await.header("x-request-id"), "trace-4711_a.b");
    for id in ["a b", "", "a\"b", &"x".repeat(129)] {
        let request_id = with(id).await.header("x-request-id").to_owned();
        assert!(request_id != id && request_id.len() == 32, "{request_id}");
    }
}
