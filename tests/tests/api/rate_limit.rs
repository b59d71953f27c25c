//! Tests of the rate limits per client.

use freehold_tests::api_fixture::{ApiFixture, send, signup_body};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_client_over_its_rate_limit_gets_retry_after_and_others_do_not() {
    let api = ApiFixture::with_config("requests_per_minute = 20").await;
    let first = api.get("/v1/tenants").await;
    assert_eq!(first.header("ratelimit-policy"), r#""requests";q=20;w=60"#);
    assert_eq!(first.header("ratelimit"), r#""requests";r=19;t=3"#);
    let more = futures::future::join_all((0..25).map(|_| api.get("/v1/tenants"))).await;
    let refused: Vec<_> = more.iter().filter(|response| response.status == 429).collect();
    assert!((3..=6).contains(&refused.len()), "{} of 25 were refused", refused.len());
    assert_eq!(refused[0].status_and_code(), (429, "too_many_requests".into()));
    assert!((1..=3).contains(&refused[0].header("retry-after").parse::<u32>().unwrap()), "{refused:?}");
    assert!(refused[0].header("ratelimit").starts_with(r#""requests";r=0"#), "{refused:?}");
    let other = api.issuer.token_with("fleet tenants:read", &json!({ "client_id": "another" }));
    assert_eq!(send(api.request_without_token(Method::GET, "/v1/tenants").bearer_auth(other)).await.status, 200);
    assert_eq!(api.request_without_token(Method::GET, "/livez").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn daily_signups_are_limited_per_client() {
    let api = ApiFixture::with_config("signups_per_day = 3").await;
    for key in ["1", "2", "3"] {
        assert_eq!(send(api.signup_request(key, &signup_body())).await.status, 202);
    }
    let rows = api.row_counts().await;
    let refused = send(api.signup_request("4", &signup_body())).await;
    assert_eq!(refused.status_and_code(), (429, "daily_account_limit_reached".into()));
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    assert_eq!(send(api.signup_request("2", &signup_body())).await.status, 202, "a repeated signup does not count");
    assert_eq!(api.row_counts().await, rows, "a rejected signup was written");
    let dry = send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&signup_body())).await.json();
    assert_eq!(dry["accepted"], false, "{dry}");
    assert!(dry["signups_exhausted_until"].is_string(), "{dry}");
    let other = api.issuer.token_with("fleet tenants:write", &json!({ "client_id": "another" }));
    let request =
        api.request_without_token(Method::POST, "/v1/tenants").header("Idempotency-Key", "4").json(&signup_body());
    assert_eq!(send(request.bearer_auth(other)).await.status, 202, "limits are per client");

    sqlx::query("update idempotency_keys set created_at = created_at - interval '25 hours' where key = '1'")
        .execute(&api.database.pool)
        .await
        .unwrap();
    assert_eq!(send(api.signup_request("4", &signup_body())).await.status, 202, "the limit resets after a day");
    assert_eq!(send(api.signup_request("5", &signup_body())).await.status, 429);
}
