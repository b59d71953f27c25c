//! Tests of the limits of an API process: slow clients are disconnected, and connections, streams and waiting feed
//! requests above a ceiling are refused.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::time::{Duration, Instant};

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use freehold_tests::event_stream::EventStream;
use freehold_tests::raw_connection::RawConnection;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

/// Short time limits.
const SLOW_CLIENTS: &str = "[api.limits]
    header_timeout_seconds = 1
    body_timeout_seconds = 1
    idle_timeout_seconds = 2
    response_stall_seconds = 2";

/// Maximum time until a state is reached.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Sends a request on a connection of its own and returns the response.
async fn get_on_new_connection(api: &ApiFixture, path: &str) -> String {
    let mut connection = RawConnection::open(&api.url).await;
    let token = api.issuer.token("fleet tenants:read");
    connection.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n")).await;
    connection.send("Connection: close\r\n\r\n").await;
    connection.read_to_end().await
}

/// Returns the value of a line in the metrics of the API, or 0 if it is missing.
async fn metric(api: &ApiFixture, line: &str) -> u64 {
    let text = send(api.request_without_token(Method::GET, "/metrics")).await.text;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    value.unwrap_or_default()
}

async fn wait_for_metric(api: &ApiFixture, line: &str, expected: u64) {
    let start = Instant::now();
    while metric(api, line).await != expected {
        assert!(start.elapsed() < TIMEOUT, "{line} is {}, not {expected}", metric(api, line).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_connection_without_a_complete_header_is_closed() {
    let api = ApiFixture::with_config(SLOW_CLIENTS).await;
    let half = "GET /livez HTTP/1.1\r\nHost: x\r\n";
    for sent in ["", "G", half, "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut connection = RawConnection::open(&api.url).await;
        connection.send(sent).await;
        let response = connection.read_to_end().await;
        assert!(!response.contains("200"), "{sent:?} got {response}");
    }
    // On a connection that was used before.
    let mut connection = RawConnection::open(&api.url).await;
    connection.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    connection.read_until("\"ok\"}").await;
    connection.send(half).await;
    assert_eq!(connection.read_to_end().await, "");
    let metric_line = r#"freehold_api_connections_closed_total{reason="header_timeout"}"#;
    wait_for_metric(&api, metric_line, 6).await;
}

#[tokio::test]
async fn a_header_that_drips_does_not_keep_a_connection_open() {
    let api = ApiFixture::with_config(SLOW_CLIENTS).await;
    let mut connection = RawConnection::open(&api.url).await;
    connection.drip(&format!("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(1200))).await;
    assert_eq!(connection.read_to_end().await, "");
    wait_for_metric(&api, r#"freehold_api_connections_closed_total{reason="header_timeout"}"#, 1).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let api = ApiFixture::with_config(SLOW_CLIENTS).await;
    let mut connection = RawConnection::open(&api.url).await;
    for _ in 0..2 {
        connection.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(connection.read_until("\"ok\"}").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(connection.read_to_end().await, "");
    let http2 = RawConnection::open(&api.url).await.into_stream();
    let (mut client, connection) = h2::client::handshake(http2).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(format!("{}/livez", api.url)).body(()).unwrap();
    assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
    tokio::time::timeout(TIMEOUT, connection).await.expect("the connection stays open").unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_drips_is_ended_with_408_and_changes_nothing() {
    let api = ApiFixture::with_config(SLOW_CLIENTS).await;
    let rows = api.row_counts().await;
    let token = api.issuer.token("fleet tenants:write");
    let head = format!(
        "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: 1\r\n\
         Content-Type: application/json\r\n"
    );
    for (length, body) in
        [("Content-Length: 1000", r#"{"company_name": "#), ("Transfer-Encoding: chunked", "1\r\n{\r\n")]
    {
        let mut connection = RawConnection::open(&api.url).await;
        connection.send(&format!("{head}{length}\r\n\r\n{body}")).await;
        let response = connection.read_to_end().await;
        assert!(response.starts_with("HTTP/1.1 408"), "{length}: {response}");
        assert!(response.contains("\"body_timeout\""), "{length}: {response}");
    }
    assert_eq!(api.row_counts().await, rows);
    assert_eq!(metric(&api, "freehold_api_refusals_total{limit=\"body_timeout\"}").await, 2);
    // A record of each would let slow clients keep the database busy.
    let recorded = "select (select count(*) from audit_pending) + (select count(*) from audit_refusals)";
    assert_eq!(sqlx::query_scalar::<_, i64>(recorded).fetch_one(&api.database.pool).await.unwrap(), 0);
    assert_eq!(send(api.signup_request("1", &signup_body())).await.status, 202);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let api = ApiFixture::with_config(SLOW_CLIENTS).await;
    let mut connection = RawConnection::open(&api.url).await;
    let request = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.send(&request.repeat(100)).await;
    let metric_line = r#"freehold_api_connections_closed_total{reason="response_stalled"}"#;
    wait_for_metric(&api, metric_line, 1).await;

    // A client of HTTP/2 that lets no byte of the body pass, while it answers pings.
    for window in [0, 1] {
        let http2 = RawConnection::open(&api.url).await.into_stream();
        let mut builder = h2::client::Builder::new();
        let (mut client, connection) = builder.initial_window_size(window).handshake::<_, &[u8]>(http2).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get(format!("{}/openapi.json", api.url)).body(()).unwrap();
        let response = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(response.status(), 200);
        // The result depends on whether the client sees the end or the reset of the connection.
        _ = tokio::time::timeout(TIMEOUT, connection).await.expect("the connection stays open");
    }
    wait_for_metric(&api, metric_line, 3).await;
}

#[tokio::test]
async fn a_connection_above_the_ceiling_is_refused_but_livez_answers() {
    let limits = "[api.limits]\nmax_connections = 3\nmax_streams = 3\nmax_streams_per_client = 3";
    let api = ApiFixture::with_config(limits).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = RawConnection::open(&api.url).await;
        connection.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        connection.read_until("\"ok\"}").await;
        open.push(connection);
    }
    let refused = get_on_new_connection(&api, "/v1/tenants").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\"too_many_connections\"") && refused.contains("retry-after: 5"), "{refused}");
    // More slow connections than the reserve has places.
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut connection = RawConnection::open(&api.url).await;
        connection.send("GET /livez HTTP/1.1\r\n").await;
        slow.push(connection);
    }
    for _ in 0..5 {
        let health = get_on_new_connection(&api, "/livez").await;
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    }
    let metrics = get_on_new_connection(&api, "/metrics").await;
    let counted =
        metrics.lines().find(|line| line.starts_with(r#"freehold_api_refusals_total{limit="max_connections"}"#));
    let counted: u64 = counted.expect("refusals").rsplit(' ').next().unwrap().parse().unwrap();
    assert!(counted >= 200, "{counted} refusals");
    assert!(metrics.contains("freehold_api_connections 3\n"), "{metrics}");

    drop((open, slow));
    let start = Instant::now();
    while !get_on_new_connection(&api, "/v1/tenants").await.starts_with("HTTP/1.1 200") {
        assert!(start.elapsed() < TIMEOUT, "connections are still refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let api = ApiFixture::with_config("[api.limits]\nmax_connections_per_address = 1").await;
    let mut first = RawConnection::open(&api.url).await;
    first.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    first.read_until("\"ok\"}").await;
    let refused = get_on_new_connection(&api, "/v1/tenants").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"too_many_connections\""), "{refused}");
}

#[tokio::test]
async fn requests_at_a_time_on_an_http2_connection_are_limited() {
    let api = ApiFixture::with_config("[api.limits]\nmax_http2_streams = 2").await;
    let stream = RawConnection::open(&api.url).await.into_stream();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = || http::Request::get(format!("{}/livez", api.url)).body(()).unwrap();
    assert_eq!(client.send_request(request(), true).unwrap().0.await.unwrap().status(), 200);
    assert_eq!(client.current_max_send_streams(), 2);
}

async fn operation(api: &ApiFixture) -> String {
    let tenant = api.sign_up(&signup_body()).await;
    tenant["environments"][0]["operation_id"].as_str().unwrap().to_owned()
}

fn stream_of(api: &ApiFixture, operation: &str, client: &str) -> RequestBuilder {
    let token = api.issuer.token_with("fleet operations:read events:read", &json!({ "client_id": client }));
    api.request_without_token(Method::GET, &format!("/v1/operations/{operation}/events")).bearer_auth(token)
}

fn long_poll_of(api: &ApiFixture, client: &str) -> RequestBuilder {
    let token = api.issuer.token_with("fleet events:read", &json!({ "client_id": client }));
    api.request_without_token(Method::GET, "/v1/events?after=1&wait=25").bearer_auth(token)
}

fn assert_refused(refused: &ApiResponse, status: u16, code: &str) {
    assert_eq!(refused.status_and_code(), (status, code.to_owned()));
    assert_eq!(refused.header("retry-after"), "10");
}

#[tokio::test]
async fn streams_are_limited_per_client_and_per_process() {
    let api = ApiFixture::with_config("[api.limits]\nmax_streams = 3\nmax_streams_per_client = 2").await;
    let id = operation(&api).await;
    let mut open = Vec::new();
    for client in ["one", "one", "two"] {
        let mut stream = EventStream::open(stream_of(&api, &id, client)).await;
        assert_eq!(stream.next().await.unwrap().name, "operation.accepted");
        open.push(stream);
    }
    assert_refused(&send(stream_of(&api, &id, "one")).await, 429, "too_many_streams");
    assert_refused(&send(stream_of(&api, &id, "three")).await, 503, "stream_limit_reached");
    assert_eq!(api.get(&format!("/v1/operations/{id}")).await.status, 200, "other requests are served");
    for (limit, expected) in [("max_streams_per_client", 1), ("max_streams", 1)] {
        assert_eq!(metric(&api, &format!("freehold_api_refusals_total{{limit=\"{limit}\"}}")).await, expected);
    }
    drop(open);
    wait_for_metric(&api, "freehold_api_streams", 0).await;
    EventStream::open(stream_of(&api, &id, "one")).await;
}

#[tokio::test]
async fn all_clients_and_users_of_a_tenant_share_their_streams() {
    let api = ApiFixture::with_config("[api.limits]\nmax_streams_per_client = 2").await;
    let tenants = [api.sign_up(&signup_body()).await, api.sign_up(&signup_body()).await];
    let stream = async |tenant: &serde_json::Value, client: &str| {
        let claims = json!({ "client_id": client, "sub": client, "tenant_id": tenant["id"] });
        let token = api.issuer.token_with("operations:read", &claims);
        let path = format!("/v1/operations/{}/events", tenant["environments"][0]["operation_id"].as_str().unwrap());
        api.request_without_token(Method::GET, &path).bearer_auth(token)
    };
    let [one, other] = &tenants;
    let mut open = Vec::new();
    for (tenant, client) in [(one, "a"), (one, "b"), (other, "a"), (other, "b")] {
        open.push(EventStream::open(stream(tenant, client).await).await);
    }
    for (tenant, client) in [(one, "c"), (other, "a")] {
        assert_refused(&send(stream(tenant, client).await).await, 429, "too_many_streams");
    }
    drop(open);
}

#[tokio::test]
async fn waiting_feed_requests_count_as_streams() {
    let api = ApiFixture::with_config("[api.limits]\nmax_streams = 2\nmax_streams_per_client = 1").await;
    api.sign_up(&signup_body()).await;
    assert_eq!(api.get("/v1/events").await.json()["next_after"], 1);
    let waiting: Vec<_> = ["one", "two"].map(|client| tokio::spawn(send(long_poll_of(&api, client)))).into();
    wait_for_metric(&api, "freehold_api_streams", 2).await;
    assert_refused(&send(long_poll_of(&api, "one")).await, 429, "too_many_streams");
    assert_refused(&send(long_poll_of(&api, "three")).await, 503, "stream_limit_reached");
    assert_eq!(api.get("/v1/events?after=1").await.status, 200, "a request that does not wait is served");
    api.sign_up(&signup_body()).await;
    for response in waiting {
        assert_eq!(response.await.unwrap().json()["next_after"], 2);
    }
    wait_for_metric(&api, "freehold_api_streams", 0).await;
}

#[tokio::test]
async fn a_stream_ends_after_its_maximum_duration_and_can_be_resumed() {
    let api = ApiFixture::with_config("[api.limits]\nmax_stream_seconds = 1").await;
    let id = operation(&api).await;
    assert_eq!(EventStream::open(stream_of(&api, &id, "one")).await.names().await, ["1 operation.accepted"]);
    api.claim_operation().await;
    let resumed = stream_of(&api, &id, "one").header("Last-Event-ID", "1");
    assert_eq!(EventStream::open(resumed).await.names().await, ["2 operation.started", "3 step.started"]);
}
