//! Tests of account mappings: pagination, queries for a past time, history, and exports for billing.

use freehold_tests::api_fixture::{ApiFixture, ApiResponse, send, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

async fn sign_up_with_account(api: &ApiFixture, company: &str, account: &str) -> Value {
    let tenant =
        api.sign_up(&signup_body_with(json!({ "company_name": company, "external_id": format!("c-{account}") }))).await;
    api.succeed_operation(account).await;
    tenant
}

async fn export(api: &ApiFixture, query: &str, accept: &str) -> ApiResponse {
    send(api.request(Method::GET, &format!("/v1/account-mappings{query}")).header("Accept", accept)).await
}

fn accounts(page: &Value) -> Vec<&str> {
    let rows = page["account_mappings"].as_array().unwrap();
    rows.iter().map(|row| row["aws_account_id"].as_str().unwrap()).collect()
}

/// Sets the start and the end of an account's mapping. Without this call, a mapping starts at the time of the test.
async fn set_validity(api: &ApiFixture, account: &str, from: &str, to: Option<&str>) {
    let times = "update account_mappings set valid_from = $2::text::timestamptz, valid_to = $3::text::timestamptz,
        closed_at_position = case when $3 is not null then opened_at_position + 1000 end where aws_account_id = $1";
    sqlx::query(times).bind(account).bind(from).bind(to).execute(&api.database.pool).await.unwrap();
    sqlx::query("update feed_head set position = 5000").execute(&api.database.pool).await.unwrap();
}

#[tokio::test]
async fn a_query_for_a_past_time_returns_the_mappings_of_that_time() {
    let api = ApiFixture::new().await;
    for account in ["111122223333", "222233334444", "333344445555"] {
        sign_up_with_account(&api, "Example GmbH", account).await;
    }
    assert_eq!(accounts(&api.get("/v1/account-mappings").await.json()).len(), 3);
    set_validity(&api, "111122223333", "2026-01-01T00:00:00Z", Some("2026-06-01T00:00:00Z")).await;
    set_validity(&api, "222233334444", "2026-03-01T00:00:00Z", None).await;
    set_validity(&api, "333344445555", "2026-06-01T00:00:00Z", None).await;
    let list = async |query: String| {
        let page = api.get(&format!("/v1/account-mappings?{query}")).await.json();
        // The export uses a different SQL query than the pages.
        let csv = export(&api, &format!("?{query}"), "text/csv").await.text;
        let copied: Vec<_> = csv.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        assert_eq!(copied, accounts(&page), "{query}");
        accounts(&page).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let at = async |instant: &str| list(format!("at={instant}")).await;
    assert_eq!(at("2025-12-31T23:59:59Z").await, Vec::<String>::new());
    assert_eq!(at("2026-01-01T00:00:00Z").await, ["111122223333"], "valid_from is inclusive");
    assert_eq!(at("2026-04-01T02:00:00%2B02:00").await, ["111122223333", "222233334444"]);
    assert_eq!(at("2026-06-01T00:00:00Z").await, ["222233334444", "333344445555"], "valid_to is exclusive");
    assert_eq!(accounts(&api.get("/v1/account-mappings").await.json()), ["222233334444", "333344445555"]);
    for (query, expected) in [
        ("to=2026-01-01T00:00:00Z", vec![]),
        ("to=2026-01-01T00:00:01Z", vec!["111122223333"]),
        ("from=2026-05-01T00:00:00Z&to=2026-06-01T00:00:00Z", vec!["111122223333", "222233334444"]),
        ("from=2026-05-31T23:59:59Z&to=2026-06-01T00:00:01Z", vec!["111122223333", "222233334444", "333344445555"]),
        ("from=2026-06-01T00:00:00Z", vec!["222233334444", "333344445555"]),
    ] {
        assert_eq!(list(query.to_owned()).await, expected, "{query}");
    }
    for (query, field) in [
        ("at=tomorrow", "at"),
        ("at=2999-01-01T00:00:00Z", "at"),
        ("at=2026-02-30T00:00:00Z", "at"),
        ("at=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z", "at"),
        ("from=2026-02-01T00:00:00Z&to=2026-02-01T00:00:00Z", "from"),
        ("to=2999-01-01T00:00:00Z", "to"),
    ] {
        let refused = api.get(&format!("/v1/account-mappings?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn the_history_of_an_account_remains_after_its_mapping_ends() {
    let api = ApiFixture::new().await;
    let tenant = sign_up_with_account(&api, "Example GmbH", "011122223333").await;
    set_validity(&api, "011122223333", "2026-01-01T00:00:00Z", Some("2026-06-01T00:00:00Z")).await;
    let history = api.get("/v1/account-mappings/011122223333").await.json();
    assert_eq!(accounts(&history), ["011122223333"]);
    let mapping = &history["account_mappings"][0];
    assert_eq!((&mapping["tenant_id"], &mapping["valid_to"]), (&tenant["id"], &json!("2026-06-01T00:00:00Z")));
    for unknown in ["999999999999", "11122223333", "x"] {
        let response = api.get(&format!("/v1/account-mappings/{unknown}")).await;
        assert_eq!(response.status_and_code(), (404, "account_not_found".into()), "{unknown}");
    }
}

#[tokio::test]
async fn all_pages_have_one_feed_position_and_events_show_later_changes() {
    let api = ApiFixture::new().await;
    for number in 0..5 {
        sign_up_with_account(&api, "Example GmbH", &format!("11112222000{number}")).await;
    }
    let first = api.get("/v1/account-mappings?page_size=2").await.json();
    sign_up_with_account(&api, "Later GmbH", "999911112222").await;
    let (mut read_accounts, mut page) = (Vec::new(), first.clone());
    loop {
        assert_eq!(page["feed_position"], first["feed_position"]);
        read_accounts.extend(accounts(&page).into_iter().map(ToOwned::to_owned));
        let Some(token) = page["next_page_token"].as_str() else { break };
        page = api.get(&format!("/v1/account-mappings?page_size=2&page_token={token}")).await.json();
    }
    assert_eq!(read_accounts, (0..5).map(|number| format!("11112222000{number}")).collect::<Vec<_>>());
    let after = &first["feed_position"];
    let later_events = api.get(&format!("/v1/events?after={after}&types=environment.account.assigned")).await.json();
    let later_accounts: Vec<_> =
        later_events["events"].as_array().unwrap().iter().map(|event| &event["data"]["aws_account_id"]).collect();
    assert_eq!(later_accounts, ["999911112222"]);
}

#[tokio::test]
async fn csv_and_ndjson_exports_use_the_column_names_of_focus() {
    let api = ApiFixture::new().await;
    let special_characters = r#"Müller, "Söhne" \N & Co"#;
    let tenant = sign_up_with_account(&api, special_characters, "011122223333").await;
    sign_up_with_account(&api, "Example GmbH", "222233334444").await;
    // The worker sets the account name; this test has no worker.
    sqlx::query(
        "update account_mappings set account_name = 'Mller, \"Shne\" \\N' where aws_account_id = '011122223333'",
    )
    .execute(&api.database.pool)
    .await
    .unwrap();

    let ndjson = export(&api, "", "application/x-ndjson").await;
    assert_eq!((ndjson.status.as_u16(), ndjson.header("content-type")), (200, "application/x-ndjson"));
    let rows: Vec<Value> = ndjson.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    let from = rows[0]["x_EffectiveFrom"].clone();
    assert!(chrono::NaiveDateTime::parse_from_str(from.as_str().unwrap(), "%Y-%m-%dT%H:%M:%SZ").is_ok(), "{from}");
    let sub_account_name = rows[0]["SubAccountName"].as_str().unwrap();
    assert_eq!(sub_account_name, "Mller, \"Shne\" \\N");
    assert_eq!(rows[1]["SubAccountName"], Value::Null);
    let expected = json!({
        "BillingAccountId": "111122223333", "SubAccountId": "011122223333", "SubAccountName": sub_account_name,
        "x_TenantId": tenant["id"], "x_ExternalId": "c-011122223333", "x_Environment": "production",
        "x_Tier": "standard", "x_HomeRegion": "eu-central-1", "x_EffectiveFrom": from, "x_EffectiveTo": null,
        "x_Status": "active", "x_ReplicaRegions": null, "x_CompanyName": special_characters,
        "x_AccountState": "in_use", "x_AccountStateSince": null, "x_AccountSeenAt": null,
    });
    assert_eq!(rows[0], expected);

    let csv = export(&api, "", "text/csv").await;
    assert_eq!((csv.status.as_u16(), csv.header("content-type")), (200, "text/csv"));
    let lines: Vec<_> = csv.text.split("\r\n").collect();
    assert_eq!((lines.len(), lines[3]), (4, ""));
    let columns: Vec<_> = expected.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(lines[0], columns.join(","));
    let quoted = format!("\"{}\"", sub_account_name.replace('"', "\"\""));
    let row = format!(
        "111122223333,011122223333,{quoted},{},c-011122223333,production,standard,eu-central-1,{},,active,,\"{}\",\
         in_use,,",
        tenant["id"].as_str().unwrap(),
        from.as_str().unwrap(),
        special_characters.replace('"', "\"\"")
    );
    assert_eq!(lines[1], row);

    let position = api.get("/v1/account-mappings").await.json()["feed_position"].to_string();
    for response in [&ndjson, &csv] {
        assert_eq!(response.header("freehold-feed-position"), position);
    }
    let one = export(&api, &format!("?tenant={}", tenant["id"].as_str().unwrap()), "text/csv").await;
    assert_eq!(one.text.lines().count(), 2);
    let none = export(&api, "?at=2020-01-01T00:00:00Z", "text/csv").await;
    assert_eq!(none.text.lines().count(), 1, "the header row only");
}

#[tokio::test]
async fn accounts_that_are_released_but_active_are_found() {
    let api = ApiFixture::new().await;
    for account in ["111122223333", "222233334444", "333344445555", "444455556666"] {
        sign_up_with_account(&api, "Example GmbH", account).await;
    }
    api.get("/v1/account-mappings").await;
    for account in ["111122223333", "222233334444", "333344445555"] {
        set_validity(&api, account, "2026-01-01T00:00:00Z", Some("2026-06-01T00:00:00Z")).await;
    }
    let states = "insert into released_accounts (aws_account_id, state, state_since, seen_at) values
        ('111122223333', 'released_active', '2026-06-01T00:00:00.5Z', '2026-07-01T00:00:00.25Z'),
        ('222233334444', 'closed', '2026-06-01T00:00:00Z', '2026-07-01T00:00:00Z')";
    sqlx::query(states).execute(&api.database.pool).await.unwrap();
    for (state, account, since, seen_at) in [
        ("released_active", "111122223333", json!("2026-06-01T00:00:00.5Z"), json!("2026-07-01T00:00:00.25Z")),
        ("closed", "222233334444", json!("2026-06-01T00:00:00Z"), json!("2026-07-01T00:00:00Z")),
        ("unknown", "333344445555", Value::Null, Value::Null),
        ("in_use", "444455556666", Value::Null, Value::Null),
    ] {
        let query = format!("?account_state={state}");
        let page = api.get(&format!("/v1/account-mappings{query}")).await.json();
        assert_eq!(accounts(&page), [account], "{state}");
        let mapping = &page["account_mappings"][0];
        let history = api.get(&format!("/v1/account-mappings/{account}")).await.json();
        for shown in [mapping, &history["account_mappings"][0]] {
            assert_eq!(shown["account_state"], state, "{shown}");
            let times = (&shown["account_state_since"], &shown["account_seen_at"]);
            assert_eq!(times, (&json_time(&since), &json_time(&seen_at)), "{shown}");
        }
        let row: Value = serde_json::from_str(&export(&api, &query, "application/x-ndjson").await.text).unwrap();
        assert_eq!((&row["SubAccountId"], &row["x_AccountState"]), (&json!(account), &json!(state)));
        let seconds = |time: &Value| time.as_str().map(|time| format!("{}Z", &time[..19]));
        assert_eq!(row["x_AccountStateSince"], json!(seconds(&since)), "{row}");
        assert_eq!(row["x_AccountSeenAt"], json!(seconds(&seen_at)), "{row}");
    }
    let july = "?account_state=released_active&at=2026-07-01T00:00:00Z";
    assert_eq!(accounts(&api.get(&format!("/v1/account-mappings{july}")).await.json()), [""; 0]);
    let refused = api.get("/v1/account-mappings?account_state=open").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["field"]), (400, &json!("account_state")));
}

/// Returns a time as the API writes it, with milliseconds.
fn json_time(time: &Value) -> Value {
    time.as_str().map_or(Value::Null, |time| {
        let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
        json!(time)
    })
}

#[tokio::test]
async fn unknown_formats_and_pages_of_an_export_are_rejected() {
    let api = ApiFixture::new().await;
    let refused = export(&api, "", "application/xml").await;
    assert_eq!(refused.status_and_code(), (406, "not_acceptable".into()));
    assert!(refused.text.contains("text/csv"), "{}", refused.text);
    let paged = export(&api, "?page_size=7", "text/csv").await;
    assert_eq!((paged.status.as_u16(), &paged.json()["errors"][0]["field"]), (400, &json!("page_size")));
}

#[tokio::test]
async fn slow_readers_of_an_export_do_not_block_other_exports() {
    let api = ApiFixture::new().await;
    sign_up_with_account(&api, "Example GmbH", "111122223333").await;
    // Without triggers, because the rows are not searched for.
    let rows = "set local session_replication_role = replica;
        insert into account_mappings
            (id, tenant_id, environment_id, aws_account_id, valid_from, valid_to, opened_at_position, closed_at_position)
        select gen_random_uuid(), m.tenant_id, m.environment_id, lpad(n::text, 12, '0'), m.valid_from, m.valid_from
            + interval '1 s',
            1, 1000000
        from account_mappings m, generate_series(1, 60000) n";
    assert_eq!(api.get("/v1/account-mappings").await.status, 200);
    sqlx::raw_sql(rows).execute(&api.database.pool).await.unwrap();
    let request_export = || api.request(Method::GET, "/v1/account-mappings").header("Accept", "text/csv").send();
    // Start three exports without reading their bodies.
    let idle = (request_export().await.unwrap(), request_export().await.unwrap(), request_export().await.unwrap());
    let fourth = send(api.request(Method::GET, "/v1/account-mappings").header("Accept", "text/csv")).await;
    assert_eq!(fourth.status_and_code(), (503, "too_many_exports".into()));
    assert_ne!(fourth.header("retry-after"), "");
    let read = idle.0.text().await.unwrap();
    assert_eq!(read.lines().count(), 60_002, "the export is complete");
    drop((idle.1, idle.2));
    for _ in 0..50 {
        let response = send(api.request(Method::GET, "/v1/account-mappings").header("Accept", "text/csv")).await;
        if response.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("export slots of disconnected clients are not released");
}

#[tokio::test]
async fn http_1_0_clients_get_pages_but_no_streamed_export() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = ApiFixture::new().await;
    sign_up_with_account(&api, "Example GmbH", "111122223333").await;
    let token = api.issuer.token(freehold_tests::api_fixture::ALL_SCOPES);
    let request_export = async |accept: &str| {
        let mut connection = tokio::net::TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap();
        let head =
            format!("GET /v1/account-mappings HTTP/1.0\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).await.unwrap();
        response
    };
    let page = request_export("application/json").await;
    assert!(page.starts_with("HTTP/1.0 200") && page.contains("111122223333"), "{page}");
    for format in ["text/csv", "application/x-ndjson"] {
        let refused = request_export(format).await;
        assert!(refused.starts_with("HTTP/1.0 505") && refused.contains("proxy_http_version"), "{refused}");
    }
}
