//! Tests that webhooks are sent to public addresses only, for every notation of an address and after changes of DNS
//! records.

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::db::installation::InstallationKind;
use freehold_tests::api_fixture::send;
use freehold_tests::receiver::{Receiver, Reply};
use freehold_tests::webhook_fixture::{SECRETS_KEY, WebhookFixture};
use reqwest::Method;
use serde_json::json;

use super::targets::{INTERNAL_NAMES, VALID_HOST, unsafe_urls};

/// Creates an installation of the kind `real`. The valid addresses in the tests are public but unassigned (IANA, "IPv6
/// Global Unicast Address Assignments"), so that even a faulty worker cannot connect to a host.
async fn real_installation(receiver: &Receiver) -> WebhookFixture {
    let config = format!("[secrets]\nkey = \"{SECRETS_KEY}\"\n[webhooks]\nallowed_ports = [{}]", receiver.port);
    let hooks = WebhookFixture::with_config(InstallationKind::Real, &config).await;
    for (name, addresses) in [(VALID_HOST, &["2e00::1", "2e00::2"][..])].iter().chain(INTERNAL_NAMES) {
        hooks.resolver.set(name, addresses);
    }
    hooks
}

#[tokio::test]
async fn no_endpoint_is_created_for_an_unsafe_url() {
    // A request to this machine would arrive at this receiver.
    let receiver = Receiver::start_at("[::]:0").await;
    let hooks = real_installation(&receiver).await;
    let urls = unsafe_urls(receiver.port);
    assert!(urls.len() >= 300, "{} webhook targets", urls.len());
    let existing = hooks.create_endpoint(&format!("https://{VALID_HOST}/hook"), &[]).await;
    let existing = format!("/v1/webhook-endpoints/{}", existing["id"].as_str().unwrap());
    for url in &urls {
        for (method, path) in [(Method::POST, "/v1/webhook-endpoints"), (Method::PATCH, &existing)] {
            let request = hooks.api.request(method, path).header("if-match", "*");
            let refused = send(request.json(&json!({ "url": url }))).await;
            assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{url:?}: {}", refused.text);
            assert_eq!(refused.json()["errors"][0]["field"], "url", "{url:?}");
            for address in ["10.0.0.1", "fd00:ec2", "2e00::1"] {
                let shows_address = refused.text.contains(address);
                assert!(!shows_address, "{url:?} shows the address of an internal name: {}", refused.text);
            }
        }
    }
    assert_eq!(receiver.connections(), 0);
    for good in ["https://good.example.com/hook", &format!("https://good.example.com:{}/hook?token=x", receiver.port)] {
        hooks.create_endpoint(good, &[]).await;
    }
}

#[tokio::test]
async fn no_request_is_sent_to_a_stored_unsafe_url() {
    let receiver = Receiver::start_at("[::]:0").await;
    let hooks = real_installation(&receiver).await;
    hooks.create_endpoint("https://good.example.com/hook", &[]).await;
    let worker = Arc::new(hooks.worker());
    let (pool, mut count) = (&hooks.database().pool, 0);
    // The database refuses the others.
    let is_stored = |url: &&String| (1..=2048).contains(&url.chars().count());
    for url in unsafe_urls(receiver.port).iter().filter(is_stored) {
        let put = "update webhook_endpoints set url = $1, failing_since = null";
        sqlx::query(put).bind(url).execute(pool).await.unwrap();
        hooks.sign_up_tenant().await;
        assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "{url:?}");
        count += 1;
    }
    let errors: Vec<(String, i64)> =
        sqlx::query_as("select error, count(*) from webhook_attempts group by 1 order by 1")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!(errors.iter().map(|(error, _)| error.as_str()).collect::<Vec<_>>(), ["refused", "unresolvable"]);
    assert_eq!(errors.iter().map(|(_, count)| count).sum::<i64>(), count);
    assert_eq!((worker.webhooks_sent(), receiver.connections()), (0, 0));
}

#[tokio::test]
async fn a_host_name_is_resolved_and_validated_once_per_attempt() {
    let receiver = Receiver::start_at("[::]:0").await;
    let hooks = real_installation(&receiver).await;
    hooks.resolver.set("rebound.example.com", &["2e00::1"]);
    let endpoint = hooks.create_endpoint(&format!("https://rebound.example.com:{}/", receiver.port), &[]).await;
    let worker = Arc::new(hooks.worker());
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["0.0.0.0"],
        &["::"],
        &["::ffff:127.0.0.1"],
        &["10.0.0.1"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::"],
        &["2e00::1", "127.0.0.1"],
        &["127.0.0.1", "2e00::1"],
        &["2e00::2", "::1"],
        &[],
    ] {
        hooks.resolver.set("rebound.example.com", addresses);
        hooks.sign_up_tenant().await;
        assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "{addresses:?}");
        let delivery = hooks.deliveries(&endpoint).await.remove(0);
        let attempt = hooks.last_attempt(&endpoint, &delivery).await;
        let expected = if addresses.is_empty() { "unresolvable" } else { "refused" };
        assert_eq!(attempt["error"], expected, "{addresses:?}: {attempt}");
        let clear = "update webhook_endpoints set failing_since = null";
        sqlx::query(clear).execute(&hooks.database().pool).await.unwrap();
    }
    assert_eq!((worker.webhooks_sent(), receiver.connections()), (0, 0));
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let (receiver, internal) = (Receiver::start().await, Receiver::start().await);
    let hooks = WebhookFixture::new().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    let worker = Arc::new(hooks.worker());
    let port = internal.port;
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for target in [
            format!("http://127.0.0.1:{port}/"),
            format!("http://localhost:{port}/"),
            format!("//127.0.0.1:{port}/"),
            format!("https://127.0.0.1:{port}/"),
            "/other".to_owned(),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
        ] {
            for header in ["location", "refresh"] {
                let value = if header == "refresh" { format!("0; url={target}") } else { target.clone() };
                receiver.set_reply(Reply::Status(status, format!("{header}: {value}\r\n")));
                let (sent, connections) = (worker.webhooks_sent(), receiver.connections());
                hooks.sign_up_tenant().await;
                assert_eq!(worker.drain_webhooks().await.unwrap(), 1, "{status} {target}");
                assert_eq!(worker.webhooks_sent(), sent + 1, "{status} {target}");
                assert_eq!(receiver.connections(), connections + 1, "{status} {target}");
                let delivery = hooks.deliveries(&endpoint).await.remove(0);
                assert_eq!(hooks.last_attempt(&endpoint, &delivery).await["error"], "status", "{status} {target}");
                let clear = "update webhook_endpoints set failing_since = null";
                sqlx::query(clear).execute(&hooks.database().pool).await.unwrap();
            }
        }
    }
    assert_eq!(internal.connections(), 0);
}

#[tokio::test]
async fn a_sandbox_sends_webhooks_to_loopback_only() {
    let receiver = Receiver::start().await;
    let hooks = WebhookFixture::new().await;
    let port = receiver.port;
    for (name, addresses) in
        [("inside.example.com", "10.0.0.1"), ("here.example.com", "127.0.0.1"), ("localhost", "127.0.0.1")]
    {
        hooks.resolver.set(name, &[addresses]);
    }
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://here.example.com:{port}/"),
        "https://127.0.0.1/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        format!("http://inside.example.com:{port}/"),
        "http://169.254.169.254/".to_owned(),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ] {
        let request = hooks.api.request(Method::POST, "/v1/webhook-endpoints").json(&json!({ "url": url }));
        assert_eq!(send(request).await.status_and_code(), (422, "validation_failed".into()), "{url}");
    }
    hooks.create_endpoint(&format!("http://localhost:{port}/"), &[]).await;
    hooks.sign_up_tenant().await;
    let worker = Arc::new(hooks.worker());
    worker.drain_webhooks().await.unwrap();
    assert_eq!((worker.webhooks_sent(), receiver.connections()), (1, 1));
    // The connection uses the validated address, not the answer of the system's resolver.
    hooks.resolver.set("nowhere.invalid", &["127.0.0.1"]);
    hooks.create_endpoint(&format!("http://nowhere.invalid:{port}/"), &[]).await;
    hooks.sign_up_tenant().await;
    worker.drain_webhooks().await.unwrap();
    assert!(receiver.wait_for(3, Duration::from_secs(1)).await);
    let hosts: Vec<_> = receiver.received().iter().map(|received| received.headers["host"].clone()).collect();
    assert!(hosts.contains(&format!("nowhere.invalid:{port}")), "{hosts:?}");
}
