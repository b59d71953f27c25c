//! Tests that webhooks are sent to public addresses only, for every notation of an address and after changes of DNS
//! records.

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::db::installation::InstallationKind;
use freehold_tests::api_fixture::send;
use freehold_tests::receiver::Receiver;
use freehold_tests::webhook_fixture::{SECRETS_KEY, WebhookFixture};
use reqwest::Method;
use serde_json::json;

/// Hosts in loopback, private or reserved networks; `{}` is the port of a URL.
const UNSAFE_HOSTS: &[&str] = &[
    // Loopback addresses in every notation.
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "0177.0x0.1",
    "１２７.０.０.１",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "localhost",
    "LOCALHOST",
    "0",
    "0.0.0.0",
    "0x0",
    "00.0.0.0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:0177.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    // IPv4 addresses inside IPv6 addresses.
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[::10.0.0.1]",
    "[::ffff:10.0.0.1]",
    // Private networks.
    "10.0.0.1",
    "10.255.255.255",
    "0xa000001",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "0300.0250.0.1",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    // Cloud metadata services.
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.170.2",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    // Addresses reserved for other purposes.
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.51.100.7",
    "203.0.113.7",
    "198.18.0.1",
    "198.19.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[ff02::1]",
    "[5f00::1]",
    "[4000::1]",
    // Names that resolve to these addresses.
    "private.example.com",
    "mixed.example.com",
    "six.example.com",
    "mapped.example.com",
    "unresolvable.example.com",
];

/// URLs that are invalid for reasons other than an unsafe host; `{}` is the allowed port.
const INVALID_URLS: &[&str] = &[
    "http://good.example.com:{}/",
    "ftp://good.example.com:{}/",
    "gopher://127.0.0.1:{}/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/plain,x",
    "//good.example.com:{}/",
    "good.example.com",
    "",
    "https://",
    "https:///hook",
    "https://user@good.example.com:{}/",
    "https://user:password@good.example.com:{}/",
    "https://@good.example.com:{}/",
    "https://good.example.com:443@127.0.0.1:{}/",
    "https://good.example.com:{}\\@127.0.0.1/",
    "https://good.example.com#@127.0.0.1:{}/",
    "https://good.example.com:{}/#fragment",
    "https://good.example.com.:{}/",
    "https://127.0.0.1.:{}/",
    "https://good.example.com:22/",
    "https://good.example.com:80/",
    "https://good.example.com:8443/",
    "https://good.example.com:0/",
    "https://good.example.com:65536/",
    "https://good.exam\nple.com:{}/",
    "https://good.example.com:{}/a b",
    " https://good.example.com:{}/",
    "https://[::1/",
    "https://[fe80::1%25eth0]:{}/",
    "https://256.256.256.256:{}/",
    "https://1.2.3.4.5:{}/",
    "https://0x100000000:{}/",
];

/// Creates an installation of the kind `real`. The valid addresses in the tests are public but unassigned (IANA, "IPv6
/// Global Unicast Address Assignments"), so that even a faulty worker cannot connect to a host.
async fn real_installation(receiver: &Receiver) -> WebhookFixture {
    let config = format!("[secrets]\nkey = \"{SECRETS_KEY}\"\n[webhooks]\nallowed_ports = [{}]", receiver.port);
    let hooks = WebhookFixture::with_config(InstallationKind::Real, &config).await;
    for (name, addresses) in [
        ("good.example.com", &["2e00::1", "2e00::2"][..]),
        ("localhost", &["127.0.0.1", "::1"]),
        ("private.example.com", &["10.0.0.1"]),
        ("mixed.example.com", &["2e00::1", "127.0.0.1"]),
        ("six.example.com", &["fd00:ec2::254"]),
        ("mapped.example.com", &["::ffff:127.0.0.1"]),
    ] {
        hooks.resolver.set(name, addresses);
    }
    hooks
}

fn unsafe_urls(port: u16) -> Vec<String> {
    let of_hosts = UNSAFE_HOSTS.iter().map(|host| format!("https://{host}:{port}/hook"));
    of_hosts.chain(INVALID_URLS.iter().map(|url| url.replace("{}", &port.to_string()))).collect()
}

#[tokio::test]
async fn no_endpoint_is_created_for_an_unsafe_url() {
    // A request to this machine would arrive at this receiver.
    let receiver = Receiver::start_at("[::]:0").await;
    let hooks = real_installation(&receiver).await;
    let urls = unsafe_urls(receiver.port);
    assert!(urls.len() >= 60, "{}", urls.len());
    for url in &urls {
        let request = hooks.api.request(Method::POST, "/v1/webhook-endpoints").json(&json!({ "url": url }));
        let refused = send(request).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()), "{url:?}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], "url", "{url:?}");
        for address in ["10.0.0.1", "fd00:ec2", "2e00::1"] {
            let shows_address = refused.text.contains(address);
            assert!(!shows_address, "{url:?} shows the address of an internal name: {}", refused.text);
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
    for url in unsafe_urls(receiver.port).iter().filter(|url| !url.is_empty()) {
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
