//! One key, one signup.

use std::collections::BTreeSet;
use std::time::Duration;

use freehold_tenancy::db::idempotency::{self, ReserveResult};
use freehold_tenancy::db::idempotency::{IdempotencyKey, StoredResponse};
use freehold_tests::api_fixture::{Answered, EVERY_SCOPE, Served, send, signup, signup_with};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// Sends a signup as often as it is said to be in flight.
async fn insist(api: &Served, key: &str, body: &Value) -> Answered {
    loop {
        let answered = send(api.signup(key, body)).await;
        if answered.outcome() != (409, "idempotency_key_in_flight".to_owned()) {
            return answered;
        }
        assert_eq!(answered.header("retry-after"), "1");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_same_signup_gets_the_same_answer_to_the_letter() {
    let api = Served::new().await;
    let first = send(api.signup("7f3a", &signup_with(json!({ "labels": { "a": "1", "b": "2" } })))).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let reordered = json!({
        "labels": { "b": "2", "a": "1" }, "home_region": "eu-central-1", "admin_email": "admin@example.com",
        "company_name": "Example GmbH", "tier": null,
    });
    // Meanwhile the tenant goes on; the answer stays what it was.
    api.succeed("111122223333").await;
    for key in ["7f3a", "\"7f3a\""] {
        let again = send(api.signup(key, &reordered)).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("retry-after"), first.header("retry-after"));
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(api.rows().await[0], 1);
}

#[tokio::test]
async fn a_key_is_good_for_one_request_only() {
    let api = Served::new().await;
    assert_eq!(send(api.signup("7f3a", &signup())).await.status, 202);
    let rows = api.rows().await;
    let other = signup_with(json!({ "company_name": "Another GmbH" }));
    assert_eq!(send(api.signup("7f3a", &other)).await.outcome(), (422, "idempotency_key_reused".into()));
    assert_eq!(api.rows().await, rows);
}

#[tokio::test]
async fn a_key_belongs_to_the_client_that_uses_it() {
    let api = Served::new().await;
    // Two people at one client, and a client each that says who it is in another claim.
    let mut tenants = BTreeSet::new();
    for claims in [
        json!({ "client_id": "one", "sub": "ann" }),
        json!({ "client_id": "one", "sub": "ben" }),
        json!({ "client_id": null, "azp": "two" }),
        json!({ "client_id": null, "sub": "three" }),
    ] {
        let request = api.bare(Method::POST, "/v1/tenants").header("Idempotency-Key", "7f3a").json(&signup());
        let answered = send(request.bearer_auth(api.issuer.token_with(EVERY_SCOPE, &claims))).await;
        tenants.insert(answered.json()["id"].to_string());
    }
    assert_eq!(tenants.len(), 3);
}

#[tokio::test]
async fn sixty_four_identical_signups_at_once_are_one() {
    let api = Served::new().await;
    let body = signup_with(json!({ "external_id": "customer-4711", "environments": ["production", "staging"] }));
    let answers = join_all((0..64).map(|_| insist(&api, "7f3a", &body))).await;
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.text), (202, &answers[0].text));
    }
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!(first, 1, "answers that are not a repetition");
    assert_eq!(api.rows().await, [1, 2, 2, 2, 1]);
}

#[tokio::test]
async fn sixty_four_signups_of_one_external_id_at_once_are_one() {
    let api = Served::new().await;
    let body = signup_with(json!({ "external_id": "customer-4711" }));
    let signups = (0..64).map(|n| send(api.signup(&format!("key-{n}"), &body)));
    let outcomes: Vec<_> = join_all(signups).await.iter().map(Answered::outcome).collect();
    assert_eq!(outcomes.iter().filter(|(status, _)| *status == 202).count(), 1);
    assert_eq!(outcomes.iter().filter(|(_, code)| code == "external_id_taken").count(), 63, "{outcomes:?}");
    assert_eq!(api.rows().await, [1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_signup_that_is_being_worked_on_is_not_waited_for() {
    let api = Served::new().await;
    let mut tx = api.database.pool.begin().await.unwrap();
    // A signup that wants to write the same external id waits for what becomes of this one.
    let other = "insert into tenants (id, created_at, company_name, admin_email, tier, external_id, updated_at)
        values (gen_random_uuid(), now(), 'Another GmbH', 'admin@example.com', 'standard', 'customer-4711', now())";
    sqlx::query(other).execute(&mut *tx).await.unwrap();
    let body = signup_with(json!({ "external_id": "customer-4711" }));
    let first = tokio::spawn(send(api.signup("7f3a", &body)));
    loop {
        let held = "select count(*) from pg_locks where locktype = 'advisory' and granted
            and database = (select oid from pg_database where datname = current_database())";
        let held: i64 = sqlx::query_scalar(held).fetch_one(&api.database.pool).await.unwrap();
        if held > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = send(api.signup("7f3a", &body)).await;
    assert_eq!(second.outcome(), (409, "idempotency_key_in_flight".into()));
    tx.rollback().await.unwrap();
    assert_eq!(first.await.unwrap().status, 202);
    assert_eq!(insist(&api, "7f3a", &body).await.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn any_post_happens_once_under_its_key_and_what_is_refused_is_not_kept() {
    let api = Served::new().await;
    let tenant = api.signed_up(&signup()).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().expect("an id"));
    let retry = async |path: &str, key: &str| {
        send(api.request(Method::POST, &format!("{path}/retry")).header("Idempotency-Key", key)).await
    };
    assert_eq!(retry(&path, "key-1").await.outcome(), (409, "operation_not_parked".into()));
    api.park("account_not_ours").await;
    let first = retry(&path, "key-1").await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (202, ""), "{}", first.text);
    let again = retry(&path, "key-1").await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
    assert_eq!(retry(&path, "key-2").await.status, 409, "it does not need attention any more");

    let other = "/v1/operations/op_01k2m8v3x9e7rt4s5q6w7y8z9c";
    assert_eq!(retry(other, "key-1").await.outcome(), (422, "idempotency_key_reused".into()));
    let corrected = api.request(Method::POST, &format!("{path}/retry")).header("Idempotency-Key", "key-1");
    let corrected = send(corrected.json(&json!({ "account_email": "aws@example.com" }))).await;
    assert_eq!(corrected.outcome(), (422, "idempotency_key_reused".into()));
    assert_eq!(retry(&path, "a b").await.outcome(), (400, "idempotency_key_invalid".into()));

    // Somebody is at it, or has died at it.
    api.park("account_not_ours").await;
    let begun = "update idempotency_keys set status = null, location = null, response = null, created_at = $1
        where route like '%retry'";
    let begin = async |ago| {
        sqlx::query(begun).bind(api.clock.now() - ago).execute(&api.database.pool).await.expect("a request under way");
    };
    begin(chrono::TimeDelta::seconds(10)).await;
    assert_eq!(retry(&path, "key-1").await.outcome(), (409, "idempotency_key_in_flight".into()));
    begin(chrono::TimeDelta::seconds(70)).await;
    assert_eq!(retry(&path, "key-1").await.status, 202);
}

#[tokio::test]
async fn the_users_of_one_tenant_do_not_meet_those_of_another_at_the_same_client() {
    let api = Served::with_config("requests_per_minute = 60").await;
    let mut retries = Vec::new();
    for _ in 0..2 {
        let tenant = api.signed_up(&signup()).await;
        api.park("account_not_ours").await;
        let token = api.issuer.token_with(EVERY_SCOPE, &json!({ "tenant_id": tenant["id"], "client_id": "app" }));
        let operation = tenant["environments"][0]["operation_id"].as_str().expect("an id").to_owned();
        retries.push((format!("/v1/operations/{operation}/retry"), token));
    }
    for (path, token) in &retries {
        let retry = api.bare(Method::POST, path).header("Idempotency-Key", "retry-1").bearer_auth(token);
        let answered = send(retry).await;
        assert_eq!((answered.status.as_u16(), answered.header("idempotency-replayed")), (202, ""), "{}", answered.text);
    }
    // What one of them asks too often is nothing to the other.
    let left = async |token: &str| {
        let answered = send(api.bare(Method::GET, "/v1/operations").bearer_auth(token)).await;
        (answered.status.as_u16(), answered.header("ratelimit").to_owned())
    };
    let before = left(&retries[1].1).await;
    for _ in 0..10 {
        left(&retries[0].1).await;
    }
    let after = left(&retries[1].1).await;
    let rest = |limit: &str| limit.split_once("r=").and_then(|(_, rest)| rest.split(';').next()?.parse::<i64>().ok());
    let (before, after) = (rest(&before.1).expect("a rest"), rest(&after.1).expect("a rest"));
    assert!(before - after <= 1, "{before} → {after}");
}

#[tokio::test]
async fn whoever_has_lost_a_key_to_another_neither_answers_under_it_nor_gives_it_back() {
    let api = Served::new().await;
    let (pool, now) = (&api.database.pool, api.clock.now());
    let key = IdempotencyKey {
        issuer: "https://issuer.example.com".into(),
        client: "one".into(),
        route: "POST /v1/webhook-endpoints".into(),
        key: "7f3a".into(),
    };
    let reserve = async |at| match idempotency::reserve(pool, &key, [7; 32], at).await.expect("an answer") {
        ReserveResult::Reserved(reservation) => Some(reservation),
        ReserveResult::Exists(_) => None,
    };
    let slow = reserve(now).await.expect("the key");
    assert_eq!(reserve(now + chrono::TimeDelta::seconds(30)).await, None, "begun twice");
    let other = reserve(now + chrono::TimeDelta::seconds(61)).await.expect("the key of whoever has died");
    let answer = |body: &str| StoredResponse { status: 201, location: String::new(), body: body.to_owned() };
    idempotency::release(pool, &slow).await.expect("an answer");
    assert!(!idempotency::complete(pool, &slow, &answer("1")).await.expect("an answer"));
    assert!(idempotency::complete(pool, &other, &answer("2")).await.expect("an answer"));
}

#[tokio::test]
async fn answers_are_kept_for_seven_days() {
    let api = Served::new().await;
    api.signed_up(&signup()).await;
    let forgotten = async |days| {
        let now = api.clock.now() + chrono::TimeDelta::days(days);
        freehold_tenancy::db::idempotency::delete_expired(&api.database.pool, now).await.expect("an answer")
    };
    assert_eq!(forgotten(6).await, 0);
    assert_eq!(forgotten(8).await, 1);
}
