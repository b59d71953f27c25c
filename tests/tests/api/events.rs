//! Tests of the event feed over HTTP.

use std::time::{Duration, Instant};

use freehold_tenancy::db::releases::{self, ApproveResult, NewRelease, ReleaseCheck};
use freehold_tenancy::feed::FeedType;
use freehold_tenancy::operation::Requester;
use freehold_tenancy::release::{ReleaseContent, ReleaseSource};
use freehold_tests::api_fixture::{ApiFixture, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

fn types(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_of_a_tenant_appear_in_order_as_cloud_events() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let environment = &tenant["environments"][0];
    api.succeed_operation("111122223333").await;
    let page = api.get("/v1/events").await.json();
    assert_eq!(
        types(&page),
        [
            "tenant.onboarding.accepted",
            "environment.account.assigned",
            "environment.ready",
            "tenant.onboarding.succeeded"
        ]
    );
    assert_eq!((&page["next_after"], &page["has_more"]), (&json!(4), &json!(false)));
    let assigned = &page["events"][1];
    let operation = environment["operation_id"].as_str().unwrap();
    assert_eq!(assigned["specversion"], "1.0");
    assert_eq!(assigned["source"], "urn:freehold:111122223333");
    assert_eq!(assigned["subject"], environment["id"]);
    assert_eq!(assigned["sequence"], "0000000000000000002");
    assert!(assigned["id"].as_str().unwrap().starts_with(&format!("{operation}/")), "{assigned}");
    assert_eq!(
        assigned["data"],
        json!({
            "tenant_id": tenant["id"], "environment_id": environment["id"], "operation_id": operation,
            "aws_account_id": "111122223333", "environment": "production", "home_region": "eu-central-1",
        })
    );
    for personal in ["admin@example.com", "Example GmbH", "ann"] {
        assert!(!page.to_string().contains(&format!("\"{personal}")), "the feed contains {personal}");
    }
}

#[tokio::test]
async fn an_event_keeps_the_names_that_it_was_published_with() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body_with(json!({ "external_id": "customer-4711" }))).await;
    let accepted = api.get("/v1/events").await.json()["events"][0].clone();
    let names = |event: &Value| {
        ["external_id", "environment", "home_region"].map(|name| event["data"][name].as_str().map(ToOwned::to_owned))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(names(&accepted), [text("customer-4711"), text("production"), text("eu-central-1")]);

    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let change = json!({ "external_id": "customer-7" });
    let response = send(api.request(Method::PATCH, &path).header("If-Match", "*").json(&change)).await;
    assert_eq!(response.status, 200, "{}", response.text);
    let page = api.get("/v1/events").await.json();
    assert_eq!(types(&page), ["tenant.onboarding.accepted", "tenant.updated"]);
    assert_eq!(page["events"][0], accepted, "an event has changed after it was read");
    // An event of the tenant itself has no environment.
    assert_eq!(names(&page["events"][1]), [text("customer-7"), None, None]);
}

#[tokio::test]
async fn a_feed_reader_continues_at_its_position_with_its_filter() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.succeed_operation("111122223333").await;
    let other = api.sign_up(&signup_body()).await;
    let first = api.get("/v1/events?page_size=2").await.json();
    assert_eq!((types(&first).len(), &first["next_after"], &first["has_more"]), (2, &json!(2), &json!(true)));
    let rest = api.get("/v1/events?after=2").await.json();
    assert_eq!((types(&rest).len(), &rest["next_after"]), (3, &json!(5)));
    let none = api.get("/v1/events?after=5").await.json();
    assert_eq!((types(&none).len(), &none["next_after"], &none["has_more"]), (0, &json!(5), &json!(false)));
    let accounts = api.get("/v1/events?types=environment.account.assigned,environment.account.released").await.json();
    assert_eq!(types(&accounts), ["environment.account.assigned"]);
    assert_eq!(accounts["next_after"], 5, "filtered events are skipped");
    let of_other = api.get(&format!("/v1/events?tenant={}", other["id"].as_str().unwrap())).await.json();
    assert_eq!(types(&of_other), ["tenant.onboarding.accepted"]);

    let claims = json!({ "scope": "events:read", "tenant_id": tenant["id"] });
    let token = api.issuer.token_with("", &claims);
    let own =
        freehold_tests::api_fixture::send(api.request_without_token(Method::GET, "/v1/events").bearer_auth(token))
            .await
            .json();
    assert_eq!(types(&own).len(), 4);
    assert!(!own.to_string().contains(other["id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_long_poll_returns_as_soon_as_an_event_occurs() {
    let api = ApiFixture::new().await;
    let (waited, ()) = tokio::join!(
        async {
            let start = Instant::now();
            (api.get("/v1/events?after=0&wait=20").await.json(), start.elapsed())
        },
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            api.sign_up(&signup_body()).await;
        }
    );
    assert_eq!(types(&waited.0), ["tenant.onboarding.accepted"]);
    assert!(waited.1 >= Duration::from_millis(300), "the response came before the event");
    let start = Instant::now();
    let empty = api.get("/v1/events?after=1&wait=1").await.json();
    assert_eq!((types(&empty).len(), &empty["next_after"]), (0, &json!(1)));
    assert!(start.elapsed() >= Duration::from_secs(1), "the request did not wait");
}

#[tokio::test]
async fn expired_and_future_positions_are_rejected() {
    let api = ApiFixture::new().await;
    api.sign_up(&signup_body()).await;
    api.succeed_operation("111122223333").await;
    assert_eq!(api.get("/v1/events").await.status, 200);
    sqlx::query("delete from feed where position <= 2").execute(&api.database.pool).await.unwrap();
    for query in ["after=0", "after=1"] {
        let response = api.get(&format!("/v1/events?{query}")).await;
        assert_eq!(response.status_and_code(), (410, "feed_position_expired".into()), "{query}");
        assert!(response.json()["detail"].as_str().unwrap().contains("/v1/account-mappings"), "{}", response.text);
    }
    assert_eq!(types(&api.get("/v1/events?after=2").await.json()).len(), 2);
    assert_eq!(
        types(&api.get("/v1/events").await.json()).len(),
        2,
        "without a position, reading starts at the oldest event"
    );
    assert_eq!(api.get("/v1/events?after=5").await.status_and_code(), (400, "invalid_query".into()));
    for (query, field) in [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("wait=26", "wait"),
        ("page_size=1001", "page_size"),
        ("types=tenant.flew.away", "types"),
        ("tenant=7", "tenant"),
        ("before=7", "before"),
    ] {
        let refused = api.get(&format!("/v1/events?{query}")).await.json();
        assert_eq!(refused["errors"][0]["field"], field, "{query}: {refused}");
    }
}

#[tokio::test]
async fn an_event_is_deleted_after_one_year() {
    let api = ApiFixture::new().await;
    api.sign_up(&signup_body()).await;
    assert_eq!(api.get("/v1/events").await.status, 200);
    sqlx::query("update feed set recorded_at = recorded_at - interval '365 days'")
        .execute(&api.database.pool)
        .await
        .unwrap();
    api.sign_up(&signup_body()).await;
    assert_eq!(types(&api.get("/v1/events?after=0").await.json()).len(), 2, "the entry is less than a year old");
    sqlx::query("update feed set recorded_at = recorded_at - interval '2 days' where position = 1")
        .execute(&api.database.pool)
        .await
        .unwrap();
    api.sign_up(&signup_body()).await;
    assert_eq!(api.get("/v1/events").await.json()["events"][0]["sequence"], "0000000000000000002");
    assert_eq!(api.get("/v1/events?after=0").await.status_and_code(), (410, "feed_position_expired".into()));
}

#[test]
fn each_event_type_is_described_with_its_data_fields() {
    let description: Value = serde_json::from_str(&freehold_api::openapi_json()).unwrap();
    let schemas = &description["components"]["schemas"];
    let listed = &schemas["FeedEventPage"]["properties"]["events"]["items"]["oneOf"];
    assert_eq!(listed.as_array().unwrap().len(), FeedType::ALL.len());
    for feed_type in FeedType::ALL {
        let narrowed = &schemas[feed_type.as_str()]["allOf"][1];
        assert_eq!(narrowed["properties"]["type"]["enum"], json!([feed_type.as_str()]));
        let required: Vec<_> = narrowed["properties"]["data"]["required"].as_array().into_iter().flatten().collect();
        let expected: Vec<_> = feed_type.id_fields().iter().chain(feed_type.data_fields()).collect();
        assert_eq!(required, expected, "{feed_type}");
    }
}

#[tokio::test]
async fn event_types_of_a_later_version_are_assigned_no_position() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let id = freehold_tenancy::TenantId::as_uuid(tenant["id"].as_str().unwrap().parse().unwrap());
    let write = "insert into feed_pending (tenant_id, type, data, occurred_at) values ($1, $2, '{}', now())";
    for event_type in ["tenant.teleported", "tenant.updated"] {
        sqlx::query(write).bind(id).bind(event_type).execute(&api.database.pool).await.unwrap();
    }
    let page = api.get("/v1/events").await.json();
    assert_eq!(
        (types(&page), &page["next_after"], &page["has_more"]),
        (vec!["tenant.onboarding.accepted"], &json!(1), &json!(false))
    );
    let pending: i64 =
        sqlx::query_scalar("select count(*) from feed_pending").fetch_one(&api.database.pool).await.unwrap();
    assert_eq!(pending, 2, "an unknown entry was dropped");
    assert_eq!(api.get("/v1/account-mappings").await.status, 200);

    // A process of the later version assigned a position in the meantime.
    let insert = "insert into feed (position, tenant_id, type, data, occurred_at, recorded_at)
        values (2, $1, 'tenant.teleported', '{}', now(), now())";
    sqlx::query(insert).bind(id).execute(&api.database.pool).await.unwrap();
    sqlx::query("update feed_head set position = 2").execute(&api.database.pool).await.unwrap();
    let page = api.get("/v1/events").await.json();
    assert_eq!((types(&page).len(), &page["next_after"]), (1, &json!(1)));
    assert_eq!(api.get("/v1/events?after=1&wait=0").await.json()["next_after"], 1);
}

#[tokio::test]
async fn only_readers_of_every_tenant_see_events_of_the_fleet() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let (pool, now) = (&api.database.pool, api.clock.now());
    let person = |subject: &str| Requester { issuer: "https://issuer".to_owned(), subject: subject.to_owned() };
    let (registrant, approver) = (person("registrant"), person("approver"));
    let mut ids = Vec::new();
    for (template, problems) in [("{}", vec![]), ("[]", vec!["template must be an object".to_owned()])] {
        let content = ReleaseContent { template: Some(template.to_owned()), ..ReleaseContent::default() };
        let new = NewRelease { source: ReleaseSource::Api, content: &content, notes: None, registered_by: &registrant };
        let id = releases::register(pool, &new, now).await.unwrap();
        let check = ReleaseCheck { problems, declared_parameters: std::collections::BTreeMap::new() };
        assert!(releases::record_check(pool, id, &check, now).await.unwrap());
        assert!(!releases::record_check(pool, id, &check, now).await.unwrap(), "a check was recorded twice");
        let approved = releases::approve(pool, id, &content.sha256(), &approver, now).await.unwrap();
        assert_eq!(approved == ApproveResult::Approved, check.problems.is_empty(), "{approved:?}");
        ids.push(id.to_string());
    }

    let page = api.get("/v1/events").await.json();
    assert_eq!(types(&page), ["tenant.onboarding.accepted", "release.ready", "release.approved", "release.refused"]);
    let ready = &page["events"][1];
    assert_eq!(ready["data"], json!({ "release_id": ids[0] }));
    assert_eq!((&ready["subject"], &ready["id"]), (&json!(ids[0]), &json!(format!("{}/2", ids[0]))));
    assert_eq!(page["events"][3]["subject"], ids[1]);

    let of_tenant = api.get(&format!("/v1/events?tenant={}", tenant["id"].as_str().unwrap())).await.json();
    let token = api.issuer.token_with("", &json!({ "scope": "events:read", "tenant_id": tenant["id"] }));
    for path in ["/v1/events", "/v1/events?types=release.ready,release.approved,tenant.onboarding.accepted"] {
        let request = api.request_without_token(Method::GET, path).bearer_auth(&token);
        let own = freehold_tests::api_fixture::send(request).await.json();
        assert_eq!((types(&own), &own["next_after"]), (vec!["tenant.onboarding.accepted"], &json!(4)), "{path}");
        assert_eq!(types(&of_tenant), types(&own));
    }
}

#[tokio::test]
async fn a_waiting_reader_of_a_tenant_gets_no_event_of_the_fleet() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let token = api.issuer.token_with("", &json!({ "scope": "events:read", "tenant_id": tenant["id"] }));
    let request = api.request_without_token(Method::GET, "/v1/events?after=1&wait=2").bearer_auth(&token);
    let of_the_fleet =
        "insert into feed_pending (type, data, occurred_at) values ('change_freeze.started', '{}', now())";
    let (own, all, ()) =
        tokio::join!(freehold_tests::api_fixture::send(request), api.get("/v1/events?after=1&wait=20"), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            sqlx::query(of_the_fleet).execute(&api.database.pool).await.unwrap();
            freehold_tenancy::db::notify::notify_now(&api.database.pool).await.unwrap();
        });
    assert_eq!(types(&own.json()).len(), 0);
    let all = all.json();
    assert_eq!((types(&all), &all["events"][0]["subject"]), (vec!["change_freeze.started"], &json!("change-freeze")));
}
