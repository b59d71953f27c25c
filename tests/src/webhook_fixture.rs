//! Fixture for webhook tests: the API and workers of a sandbox installation, with a clock that the test advances.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use freehold_sandbox::World;
use freehold_sandbox::settings::Settings;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_tenancy::webhook::Resolver;
use freehold_tenancy::{Clock, Config, InstallationId};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::{Worker, WorkerOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api_fixture::{ApiFixture, ApiResponse, send, signup_body};
use crate::database::Database;
use crate::tokens::Issuer;

/// Key that encrypts webhook secrets: base64 of 32 bytes.
pub const SECRETS_KEY: &str = "a2V5LW9mLXRoZS13ZWJob29rcy10ZXN0cy0zMi1ieXQ=";

/// DNS resolver that resolves only the names for which the test has set addresses.
#[derive(Clone, Default)]
pub struct TestResolver(Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>);

impl TestResolver {
    /// Sets the IP addresses to which `name` resolves.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.0.lock().expect("the names").insert(name.to_owned(), addresses);
    }
}

impl Resolver for TestResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let addresses = self.0.lock().expect("the names").get(host).cloned();
        async move { addresses.ok_or_else(|| io::ErrorKind::NotFound.into()) }.boxed()
    }
}

pub struct WebhookFixture {
    pub api: ApiFixture,
    /// Resolver of both the API and the workers.
    pub resolver: TestResolver,
    kind: InstallationKind,
    world: World,
}

impl WebhookFixture {
    /// Starts a sandbox installation, which may send webhooks to loopback addresses.
    pub async fn new() -> Self {
        Self::with_config(InstallationKind::Sandbox, &format!("[secrets]\nkey = \"{SECRETS_KEY}\"")).await
    }

    /// Starts an installation of the kind `kind`; `config` is appended to its configuration.
    pub async fn with_config(kind: InstallationKind, config: &str) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let (clock, resolver, issuer) = (Clock::manual(start), TestResolver::default(), Issuer::new());
        let jwks = issuer.jwks().display().to_string();
        let app_resolver = Arc::new(resolver.clone());
        let api = ApiFixture::with_app(issuer, &jwks, config, clock.clone(), |app| {
            app.with_installation_kind(kind).with_resolver(app_resolver)
        })
        .await;
        let world = World::new(Settings::instant(), clock);
        Self { api, resolver, kind, world }
    }

    pub fn clock(&self) -> &Clock {
        &self.api.clock
    }

    pub fn database(&self) -> &Database {
        &self.api.database
    }

    pub fn worker(&self) -> Worker {
        self.worker_with(&self.api.config)
    }

    pub fn worker_with(&self, config: &Arc<Config>) -> Worker {
        self.worker_with_pool(self.database().worker_pool.clone(), config)
    }

    pub fn worker_with_pool(&self, pool: PgPool, config: &Arc<Config>) -> Worker {
        self.create_worker(pool, config, None)
    }

    /// Returns a worker whose leases expire after the duration `lease`, measured in real time.
    pub fn worker_with_lease(&self, lease: Duration) -> Worker {
        self.create_worker(self.database().worker_pool.clone(), &self.api.config, Some(lease))
    }

    fn create_worker(&self, pool: PgPool, config: &Arc<Config>, lease: Option<Duration>) -> Worker {
        let (clock, config) = (self.clock().clone(), Arc::clone(config));
        let installation = Installation {
            id: InstallationId::new(clock.now()),
            kind: self.kind,
            management_account_id: config.organization.management_account_id.clone(),
            scale: None,
        };
        let key = AccessKey { id: &self.world.settings().freehold_access_key, secret: "secret" };
        let connection = Connection::in_process(key, "eu-central-1", freehold_sandbox::http::client(&self.world));
        let aws = Aws::connect(Arc::clone(&config), clock.clone(), None, connection);
        let options = WorkerOptions { lease, resolver: Some(Arc::new(self.resolver.clone())) };
        Worker::with_options("worker", pool, config, clock, &installation, Arc::new(aws), options).expect("a worker")
    }

    /// Creates an endpoint and returns the response body, which contains its secret.
    pub async fn create_endpoint(&self, url: &str, types: &[&str]) -> Value {
        let types = if types.is_empty() { Value::Null } else { json!(types) };
        self.create_endpoint_with(&json!({ "url": url, "types": types })).await
    }

    /// Creates an endpoint with the request body `body`, and returns the response body.
    pub async fn create_endpoint_with(&self, body: &Value) -> Value {
        let created = send(self.api.request(Method::POST, "/v1/webhook-endpoints").json(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
        created.json()
    }

    /// Sends a POST request to a subpath of the webhook endpoint, such as `/rotate-secret`.
    pub async fn post(&self, endpoint: &Value, path: &str, body: &Value) -> ApiResponse {
        let path = format!("/v1/webhook-endpoints/{}{path}", id(endpoint));
        send(self.api.request(Method::POST, &path).json(body)).await
    }

    /// Sends a GET request to a subpath of the webhook endpoint, such as `/deliveries`, and returns the response body.
    pub async fn get(&self, endpoint: &Value, path: &str) -> Value {
        let response = self.api.get(&format!("/v1/webhook-endpoints/{}{path}", id(endpoint))).await;
        assert_eq!(response.status, 200, "{}", response.text);
        response.json()
    }

    /// Returns the deliveries of an endpoint, newest first.
    pub async fn deliveries(&self, endpoint: &Value) -> Vec<Value> {
        self.get(endpoint, "/deliveries").await["webhook_deliveries"].as_array().expect("deliveries").clone()
    }

    /// Returns the latest attempt of a delivery.
    pub async fn last_attempt(&self, endpoint: &Value, delivery: &Value) -> Value {
        let object = self.get(endpoint, &format!("/deliveries/{}", id(delivery))).await;
        object["attempts"][0].clone()
    }

    /// Signs up a tenant; the API writes an event to the feed.
    pub async fn sign_up_tenant(&self) -> Value {
        // Ids sort by their creation time in milliseconds.
        self.advance(Duration::from_millis(2));
        self.api.sign_up(&signup_body()).await
    }

    pub fn advance_to(&self, time: &Value) {
        self.clock().advance_to(parse_time(time));
    }

    pub fn advance(&self, duration: Duration) {
        self.clock().advance(duration);
    }
}

/// Returns the id of an object in a response.
pub fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

/// Parses a time from a response.
pub fn parse_time(time: &Value) -> DateTime<Utc> {
    time.as_str().and_then(|time| time.parse().ok()).unwrap_or_else(|| panic!("not a time: {time}"))
}
