//! Tests of the rate limits per client.

use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

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

/// Sends a request for another environment with a token that has these additional claims.
async fn add_environment(api: &ApiFixture, tenant: &Value, name: &str, claims: Value) -> ApiResponse {
    let path = format!("/v1/tenants/{}/environments", tenant["id"].as_str().unwrap());
    let request =
        api.request_without_token(Method::POST, &path).bearer_auth(api.issuer.token_with(ALL_SCOPES, &claims));
    send(request.header("Idempotency-Key", name).json(&json!({ "name": name }))).await
}

async fn count_environments(api: &ApiFixture) -> i64 {
    sqlx::query_scalar("select count(*) from environments").fetch_one(&api.database.pool).await.unwrap()
}

#[tokio::test]
async fn accounts_count_against_the_daily_limit_whichever_route_asks() {
    let api = ApiFixture::with_config("accounts_per_day = 4\nsignups_per_day = 1").await;
    let both = signup_body_with(json!({ "environments": ["production", "staging"] }));
    let tenant = api.sign_up(&both).await;
    assert_eq!(add_environment(&api, &tenant, "third", json!({})).await.status, 202);
    // A signup is refused as a whole.
    let rows = api.row_counts().await;
    let refused = send(api.signup_request("2", &both)).await;
    assert_eq!(refused.status_and_code(), (429, "daily_account_limit_reached".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("needs 2 accounts") && detail.contains("1 of the limit of 4"), "{detail}");
    assert!((86_000..=86_400).contains(&refused.header("retry-after").parse().unwrap()), "{refused:?}");
    let never =
        send(api.signup_request("3", &signup_body_with(json!({ "environments": ["a", "b", "c", "d", "e"] })))).await;
    assert_eq!(never.status_and_code(), (429, "daily_account_limit_reached".into()));
    assert!(never.json()["detail"].as_str().unwrap().contains("Request fewer environments."), "{}", never.text);
    assert_eq!(api.row_counts().await, rows, "a rejected signup was written");
    for (body, accepted) in [(&both, false), (&signup_body(), true)] {
        let dry = send(api.request(Method::POST, "/v1/tenants?dry_run=true").json(body)).await.json();
        assert_eq!((dry["accepted"] == true, dry["signups_exhausted_until"].is_null()), (accepted, accepted), "{dry}");
    }
    // A repeated request does not count; a refused one does not either.
    assert_eq!(add_environment(&api, &tenant, "third", json!({})).await.status, 202);
    // A token of the tenant uses the limit of its client, too.
    let own = json!({ "tenant_id": tenant["id"] });
    assert_eq!(add_environment(&api, &tenant, "fourth", own.clone()).await.status, 202);
    for claims in [own, json!({})] {
        let refused = add_environment(&api, &tenant, "fifth", claims).await;
        assert_eq!(refused.status_and_code(), (429, "daily_account_limit_reached".into()));
        assert!(refused.json()["detail"].as_str().unwrap().contains("0 of the limit of 4"), "{}", refused.text);
    }
    assert_eq!(count_environments(&api).await, 4);
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("freehold_account_limit_refusals_total 4"), "{metrics}");
    let another = json!({ "client_id": "another" });
    assert_eq!(add_environment(&api, &tenant, "fifth", another).await.status, 202, "limits are per client");
}

#[tokio::test]
async fn forty_environments_with_a_limit_of_two_are_two_accounts() {
    let api = ApiFixture::with_config("signups_per_day = 2").await;
    let tenant = api.sign_up(&signup_body()).await;
    let mut accepted = 0;
    for number in 0..39 {
        let claims = if number % 2 == 0 { json!({ "tenant_id": tenant["id"] }) } else { json!({}) };
        let response = add_environment(&api, &tenant, &format!("e{number}"), claims).await;
        accepted += u32::from(response.status == 202);
    }
    assert_eq!((accepted, count_environments(&api).await), (1, 2));
}

#[tokio::test]
async fn concurrent_requests_do_not_exceed_the_daily_limit_together() {
    let api = ApiFixture::with_config("accounts_per_day = 10\nrequests_per_minute = 0").await;
    let tenants = [api.sign_up(&signup_body()).await, api.sign_up(&signup_body()).await];
    let both = signup_body_with(json!({ "environments": ["production", "staging"] }));
    let signups = (0..30).map(|number| send(api.signup_request(&format!("s{number}"), &both)));
    let names: Vec<String> = (0..30).map(|number| format!("e{number}")).collect();
    let environments = names.iter().zip(tenants.iter().cycle());
    let environments = environments.map(|(name, tenant)| add_environment(&api, tenant, name, json!({})));
    let (signups, environments) =
        futures::join!(futures::future::join_all(signups), futures::future::join_all(environments));
    let count = |responses: &[ApiResponse]| responses.iter().filter(|response| response.status == 202).count();
    assert_eq!(2 + 2 * count(&signups) + count(&environments), 10);
    assert_eq!(count_environments(&api).await, 10);
    for response in signups.iter().chain(&environments).filter(|response| response.status != 202) {
        assert_eq!(response.status_and_code(), (429, "daily_account_limit_reached".into()));
    }
}

#[tokio::test]
async fn one_tenant_cannot_use_up_the_daily_limit_of_its_client() {
    for (config, expected) in [("", 20), ("accounts_per_day = 11", 5), ("accounts_per_day = 1", 1)] {
        let api = ApiFixture::with_config(config).await;
        let tenant = api.sign_up(&signup_body()).await;
        let path = format!("/v1/tenants/{}/environments", tenant["id"].as_str().unwrap());
        let mut accepted = 0;
        for number in 0..25 {
            let name = format!("e{number}");
            // Neither another client nor another user has a limit of its own.
            let client = format!("client-{}", number % 13);
            let claims = json!({ "tenant_id": tenant["id"], "client_id": client, "sub": name });
            accepted += u32::from(add_environment(&api, &tenant, &name, claims).await.status == 202);
            // The name and the place of the environment are free again.
            assert!(api.delete(&format!("{path}/{name}")).await.status != 500);
        }
        assert_eq!(accepted, expected, "accounts of one tenant in 24 hours with {config:?}");
        let claims = json!({ "client_id": "another" });
        assert_eq!(add_environment(&api, &tenant, "last", claims).await.status, 202, "{config:?}");
    }
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

    sqlx::query(
        "update accepted_accounts set accepted_at[1] = accepted_at[1] - interval '25 hours' where client = 'tests'",
    )
    .execute(&api.database.pool)
    .await
    .unwrap();
    assert_eq!(send(api.signup_request("4", &signup_body())).await.status, 202, "the limit resets after a day");
    assert_eq!(send(api.signup_request("5", &signup_body())).await.status, 429);
}
