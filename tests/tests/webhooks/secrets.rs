//! Tests that webhook secrets are stored encrypted and never appear in logs, responses or metrics.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use freehold_sandbox::postgres::{ListenMode, Postgres, PostgresOptions};
use freehold_tenancy::Config;
use freehold_tests::fixture::CONFIG;
use freehold_tests::receiver::{Receiver, Reply};
use freehold_tests::webhook_fixture::{SECRETS_KEY, WebhookFixture};
use serde_json::Value;
use sqlx::Row;

use crate::cli::process::{Sandbox, text};

fn config(secrets: &str) -> Arc<Config> {
    Arc::new(Config::parse(&format!("{CONFIG}\n[secrets]\n{secrets}")).unwrap())
}

#[tokio::test]
async fn the_encryption_key_can_be_rotated_and_a_missing_key_uses_no_attempt() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    let other = STANDARD.encode([7; 32]);
    hooks.sign_up_tenant().await;
    // A worker without the encryption key of the secret cannot sign. The delivery then uses up no attempt.
    let without_old_key = Arc::new(hooks.worker_with(&config(&format!("key = \"{other}\""))));
    assert_eq!(without_old_key.drain_webhooks().await.unwrap(), 1);
    assert_eq!((receiver.connections(), &hooks.deliveries(&endpoint).await[0]["attempt_count"]), (0, &Value::from(0)));
    hooks.advance(Duration::from_mins(5));
    // With both keys, the secret is decrypted with the old one and encrypted with the new one.
    let both = Arc::new(hooks.worker_with(&config(&format!("key = \"{other}\"\nold_keys = [\"{SECRETS_KEY}\"]"))));
    assert_eq!(both.drain_webhooks().await.unwrap(), 1);
    hooks.sign_up_tenant().await;
    assert_eq!(without_old_key.drain_webhooks().await.unwrap(), 1, "the worker with the new key cannot sign");
    assert_eq!(receiver.received().len(), 2);
    for received in receiver.received() {
        assert_eq!(received.signatures(), [received.expected_signature(endpoint["secret"].as_str().unwrap())]);
    }
}

#[test]
fn an_invalid_key_is_rejected_without_being_shown() {
    for key in ["c2VjcmV0LWNhbmFyeQ==", "secret-canary"] {
        let error = Config::parse(&format!("{CONFIG}\n[secrets]\nkey = \"{key}\"")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("base64 of 32 random bytes") && !shown.contains(key), "{shown}");
    }
    let config = config(&format!("key = \"{SECRETS_KEY}\"\nold_keys = [\"{SECRETS_KEY}\"]"));
    assert!(!format!("{config:?}").contains(SECRETS_KEY), "{config:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_secret_appears_in_logs_database_metrics_or_responses() {
    let key = STANDARD.encode(b"canary-of-the-encryption-key-32b");
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("freehold.toml");
    std::fs::write(&file, format!("{CONFIG}\n[secrets]\nkey = \"{key}\"")).unwrap();
    // The database URL contains a password.
    let options = PostgresOptions { listen: ListenMode::Loopback, ..PostgresOptions::for_tests() };
    let postgres = Postgres::start(options).await.unwrap();
    let url = postgres.url();
    let password = url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1.to_owned();
    let receiver = Receiver::start().await;
    receiver.set_reply(Reply::Status(503, "x-canary: of-the-answer\r\n".into()));

    // Another sandbox may use the default port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let arguments = ["--speed", "40", "--port", &port, "--database-url", &url, "--config", file.to_str().unwrap()];
    let sandbox = Sandbox::start_with(&[("FREEHOLD_LOG", "trace")], &arguments);
    let token = text(&sandbox.run(&["token"]).stdout).trim().to_owned();
    let run = |arguments: &[&str]| {
        let output = sandbox.run(&[arguments, &["--token", &token]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let created = run(&["webhooks", "create", "--url", &receiver.url(), "--output", "json"]);
    let created: Value = serde_json::from_str(&created).unwrap();
    let (id, secret) = (created["id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    let tenant = ["--company-name", "Example GmbH", "--admin-email", "admin@example.com", "--home-region", "us-east-1"];
    run(&[&["tenants", "create"][..], &tenant, &["--wait"]].concat());
    assert!(receiver.wait_for(1, Duration::from_secs(20)).await);
    let rotated: Value = serde_json::from_str(&run(&["webhooks", "rotate-secret", id, "--output", "json"])).unwrap();
    receiver.set_reply(Reply::Status(200, String::new()));
    let before = receiver.received().len();
    let since = created["created_at"].as_str().unwrap();
    run(&["webhooks", "replay", id, "--since", since]);
    assert!(receiver.wait_for(before + 1, Duration::from_secs(20)).await);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let api = sandbox.address_of("API");
    let api = api.trim_end_matches('/');
    let get = async |path: &str, token: &str| {
        http.get(format!("{api}{path}")).bearer_auth(token).send().await.unwrap().text().await.unwrap()
    };
    let mut outputs = vec![
        ("the metrics", get("/metrics", &token).await),
        ("the feed", get("/v1/events", &token).await),
        ("the endpoint", get(&format!("/v1/webhook-endpoints/{id}"), &token).await),
        ("a problem", get("/v1/tenants", &format!("{token}x")).await),
        ("the log", sandbox.stderr_output()),
    ];
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let tables = "select tablename::text from pg_tables where schemaname = 'public'";
    for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&pool).await.unwrap() {
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(format!("select t::text from {table} t"))).fetch_all(&pool).await.unwrap();
        outputs.push(("the database", rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()));
    }
    let log = sandbox.stderr_output();
    assert!(log.contains("TRACE") && log.len() > 100_000, "the log level is not TRACE: {} bytes", log.len());
    for secret in [secret, rotated["secret"].as_str().unwrap()] {
        let plain = secret.strip_prefix("whsec_").unwrap();
        let bytes = STANDARD.decode(plain).unwrap();
        let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        for (source, text) in &outputs {
            assert!(!text.contains(plain) && !text.contains(&hex), "the secret of an endpoint appears in {source}");
        }
    }
    for (what, secret) in [
        ("the encryption key", key.as_str()),
        ("the encryption key", "canary-of-the-encryption-key-32b"),
        ("the bearer token", &token),
        ("the bearer token's signature", token.rsplit('.').next().unwrap()),
        ("the database's password", &password),
        ("the receiver's answer", "of-the-answer"),
    ] {
        for (source, text) in &outputs {
            assert!(!text.contains(secret), "{what} appears in {source}");
        }
    }
}
