//! How much a client may ask for.

use freehold_tests::api_fixture::{Served, send, signup};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again_and_others_are_not_in_its_way() {
    let api = Served::with_config("requests_per_minute = 20").await;
    let first = api.get("/v1/tenants").await;
    assert_eq!(first.header("ratelimit-policy"), r#""requests";q=20;w=60"#);
    assert_eq!(first.header("ratelimit"), r#""requests";r=19;t=3"#);
    let more = futures::future::join_all((0..25).map(|_| api.get("/v1/tenants"))).await;
    let refused: Vec<_> = more.iter().filter(|answered| answered.status == 429).collect();
    assert!((3..=6).contains(&refused.len()), "{} of 25 were refused", refused.len());
    assert_eq!(refused[0].outcome(), (429, "too_many_requests".into()));
    assert!((1..=3).contains(&refused[0].header("retry-after").parse::<u32>().unwrap()), "{refused:?}");
    assert!(refused[0].header("ratelimit").starts_with(r#""requests";r=0"#), "{refused:?}");
    let other = api.issuer.token_with("fleet tenants:read", &json!({ "client_id": "another" }));
    assert_eq!(send(api.bare(Method::GET, "/v1/tenants").bearer_auth(other)).await.status, 200);
    assert_eq!(api.bare(Method::GET, "/livez").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_signs_up_so_many_in_a_day_and_no_more() {
    let api = Served::with_config("signups_per_day = 3").await;
    for key in ["1", "2", "3"] {
        assert_eq!(send(api.signup(key, &signup())).await.status, 202);
    }
    let rows = api.rows().await;
    let refused = send(api.signup("4", &signup())).await;
    assert_eq!(refused.outcome(), (429, "daily_account_limit_reached".into()));
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    assert_eq!(send(api.signup("2", &signup())).await.status, 202, "what was accepted is answered as it was");
    assert_eq!(api.rows().await, rows, "something was written");
    let dry = send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(&signup())).await.json();
    assert_eq!(dry["accepted"], false, "{dry}");
    assert!(dry["signups_exhausted_until"].is_string(), "{dry}");
    let other = api.issuer.token_with("fleet tenants:write", &json!({ "client_id": "another" }));
    let request = api.bare(Method::POST, "/v1/tenants").header("Idempotency-Key", "4").json(&signup());
    assert_eq!(send(request.bearer_auth(other)).await.status, 202, "another client has a day of its own");

    sqlx::query("update idempotency_keys set created_at = created_at - interval '25 hours' where key = '1'")
        .execute(&api.database.pool)
        .await
        .unwrap();
    assert_eq!(send(api.signup("4", &signup())).await.status, 202, "and the same one the next day");
    assert_eq!(send(api.signup("5", &signup())).await.status, 429);
}
