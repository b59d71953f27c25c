//! Fixture for API tests: the REST API on a free port, with its own database and token issuer, without a worker.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_api::App;
use freehold_tenancy::attention::{Attention, Remedy};
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::lifecycle::{self, StepDisposition, StepRecord};
use freehold_tenancy::db::operations;
use freehold_tenancy::db::steps::{self, PlannedStep};
use freehold_tenancy::step::{Facts, StepName};
use freehold_tenancy::{AwsAccountId, Clock, Config};
use freehold_worker::template::needed_types;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::fixture::{CONFIG, Freehold};
use crate::tokens::{AUDIENCE, ISSUER, Issuer};

/// Maximum duration of a request, including the time to read the response body.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

pub const ALL_SCOPES: &str = "fleet tenants:read tenants:write tenants:delete tenants:suspend legal-holds:lift \
    operations:read operations:write operations:approve releases:read releases:write releases:approve \
    rollouts:read rollouts:write rollouts:approve account-mappings:read events:read webhooks:read \
    webhooks:write audit:read access:read";

pub struct ApiFixture {
    /// Base URL without a trailing slash.
    pub url: String,
    pub issuer: Issuer,
    pub database: Arc<Database>,
    pub config: Arc<Config>,
    pub clock: Clock,
    pub shutdown: CancellationToken,
    /// Server task, which ends after `shutdown` is cancelled.
    pub server: JoinHandle<()>,
    http: reqwest::Client,
}

/// Response of the API with its complete body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiResponse {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl ApiResponse {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Returns the status and the problem code; the code is empty if the response is not a problem.
    pub fn status_and_code(&self) -> (u16, String) {
        let code = serde_json::from_str::<Value>(&self.text).ok();
        let code = code.and_then(|body| body.get("code")?.as_str().map(ToOwned::to_owned));
        (self.status.as_u16(), code.unwrap_or_default())
    }

    /// Returns the value of a header, or an empty string if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }
}

impl ApiFixture {
    /// Starts an API with a token issuer that publishes its signing keys in a file.
    pub async fn new() -> Self {
        let issuer = Issuer::new();
        let jwks = issuer.jwks().display().to_string();
        Self::with(issuer, &jwks).await
    }

    /// Starts an API with additional configuration, appended to the section `[api]`.
    pub async fn with_config(more: &str) -> Self {
        let issuer = Issuer::new();
        let jwks = issuer.jwks().display().to_string();
        Self::start(issuer, &jwks, more).await
    }

    /// Starts an API that reads the issuer's signing keys from `jwks`, which is a path or a URL.
    pub async fn with(issuer: Issuer, jwks: &str) -> Self {
        Self::start(issuer, jwks, "").await
    }

    async fn start(issuer: Issuer, jwks: &str, more: &str) -> Self {
        Self::with_app(issuer, jwks, more, Clock::real(), |app| app).await
    }

    /// Starts an API with additional configuration and a clock. `adapt` can change the app before the server starts.
    pub async fn with_app(
        issuer: Issuer,
        jwks: &str,
        more: &str,
        clock: Clock,
        adapt: impl FnOnce(App) -> App,
    ) -> Self {
        let database = Arc::new(Database::new().await);
        Self::on_database(database, CONFIG, issuer, jwks, more, clock, adapt).await
    }

    /// Starts an API on the database and the clock of an installation with a worker.
    pub async fn of(freehold: &Freehold, config: &str) -> Self {
        let (database, clock) = (Arc::clone(&freehold.database), freehold.clock.clone());
        let issuer = Issuer::new();
        let jwks = issuer.jwks().display().to_string();
        Self::on_database(database, config, issuer, &jwks, "", clock, |app| app).await
    }

    async fn on_database(
        database: Arc<Database>,
        config: &str,
        issuer: Issuer,
        jwks: &str,
        more: &str,
        clock: Clock,
        adapt: impl FnOnce(App) -> App,
    ) -> Self {
        let config = format!(
            "{config}\n[api]\nissuer = {}\naudience = {}\njwks = {}\n\
             metrics_on_public_listener = true\n{more}",
            json!(ISSUER),
            json!(AUDIENCE),
            json!(jwks)
        );
        Self::start_on(database, issuer, Config::parse(&config).expect("a configuration"), clock, adapt).await
    }

    /// Starts an API with this configuration.
    pub async fn with_parsed(issuer: Issuer, config: Config, clock: Clock, adapt: impl FnOnce(App) -> App) -> Self {
        Self::start_on(Arc::new(Database::new().await), issuer, config, clock, adapt).await
    }

    async fn start_on(
        database: Arc<Database>,
        issuer: Issuer,
        config: Config,
        clock: Clock,
        adapt: impl FnOnce(App) -> App,
    ) -> Self {
        let config = Arc::new(config);
        let app = App::new(database.api_pool.clone(), Arc::clone(&config), clock.clone()).expect("an API");
        let app = adapt(app.with_needed_types(needed_types(&config)));
        let (url, shutdown, server) = serve(app).await;
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build().expect("an HTTP client");
        Self { url, issuer, database, config, clock, shutdown, server, http }
    }

    /// Starts the API again on the same database, with a changed configuration.
    pub async fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.config);
        change(&mut config);
        self.shutdown.cancel();
        self.config = Arc::new(config);
        let app =
            App::new(self.database.api_pool.clone(), Arc::clone(&self.config), self.clock.clone()).expect("an API");
        let app = app.with_needed_types(needed_types(&self.config));
        (self.url, self.shutdown, self.server) = serve(app).await;
    }

    /// Stops the API and starts it again at the same address.
    pub async fn restart_at_same_address(&mut self) {
        self.shutdown.cancel();
        (&mut self.server).await.expect("a stopped server");
        let app =
            App::new(self.database.api_pool.clone(), Arc::clone(&self.config), self.clock.clone()).expect("an API");
        let address = self.url.trim_start_matches("http://").to_owned();
        (self.url, self.shutdown, self.server) = serve_at(&address, app).await;
    }

    /// Returns a request with a token that has all scopes.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_without_token(method, path).bearer_auth(self.issuer.token(ALL_SCOPES))
    }

    /// Sends a request with a token that has the subject `sub` and all scopes.
    pub async fn send_as(&self, sub: &str, method: Method, path: &str, body: &Value) -> ApiResponse {
        let token = self.issuer.token_with(ALL_SCOPES, &json!({ "sub": sub }));
        send(self.request_without_token(method, path).bearer_auth(token).json(body)).await
    }

    pub fn request_without_token(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> ApiResponse {
        send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> ApiResponse {
        send(self.request(Method::DELETE, path)).await
    }

    /// Sends a POST request without a body.
    pub async fn post(&self, path: &str) -> ApiResponse {
        send(self.request(Method::POST, path)).await
    }

    /// Returns a signup request with the idempotency key `key`.
    pub fn signup_request(&self, key: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, "/v1/tenants").header("Idempotency-Key", key).json(body)
    }

    /// Signs up a tenant and returns the response body.
    pub async fn sign_up(&self, body: &Value) -> Value {
        let response = send(self.signup_request(&uuid::Uuid::now_v7().to_string(), body)).await;
        assert_eq!(response.status, 202, "{}", response.text);
        response.json()
    }

    /// Returns the row count of each table into which a signup inserts rows.
    pub async fn row_counts(&self) -> [i64; 5] {
        let count = "select array[(select count(*) from tenants), (select count(*) from environments),
            (select count(*) from operations), (select count(*) from events), (select count(*) from idempotency_keys)]";
        let rows: Vec<i64> = sqlx::query_scalar(count).fetch_one(&self.database.pool).await.expect("the counts");
        rows.try_into().expect("five counts")
    }

    /// Claims the only due operation, as a worker does, and starts its first step.
    pub async fn claim_operation(&self) -> Claim {
        let (pool, now) = (&self.database.pool, self.clock.now());
        let mut claims = operations::claim(pool, "tests", now, TimeDelta::minutes(1), 10).await.expect("claims");
        assert_eq!(claims.len(), 1, "due operations");
        let claim = claims.remove(0);
        let plan = [PlannedStep { name: StepName::RequestAccount, after: vec![] }];
        steps::plan(pool, &claim, &plan, now).await.expect("a plan");
        steps::begin(pool, &claim, &[StepName::RequestAccount], now).await.expect("a started step");
        claim
    }

    /// Records `state` as the result of the started step. The account, if any, is mapped to the environment.
    pub async fn record_step(&self, claim: &Claim, state: StepDisposition, account: Option<&str>) {
        let account: Option<AwsAccountId> = account.map(|account| account.parse().expect("an account id"));
        let outcome = StepRecord {
            step: StepName::RequestAccount,
            state,
            facts: Facts::new(),
            late: None,
            released: vec![],
            quota: None,
            mapped: account,
            access: None,
            stack: None,
            proof: None,
        };
        lifecycle::record_step(&self.database.pool, claim, &outcome, self.clock.now()).await.expect("a record");
    }

    /// Parks the only due operation, which then needs attention with this attention code and the remedy `retry`.
    pub async fn park(&self, code: &str) {
        self.park_with_remedies(code, &[Remedy::Retry]).await;
    }

    pub async fn park_with_remedies(&self, code: &str, remedies: &[Remedy]) {
        let claim = self.claim_operation().await;
        let message = "A person must check this.".to_owned();
        let attention = Attention { code: code.to_owned(), message, remedies: remedies.to_vec(), aws_request_id: None };
        self.record_step(&claim, StepDisposition::Parked(attention), None).await;
        operations::release(&self.database.pool, &claim, None, self.clock.now()).await.expect("a release");
    }

    /// Completes the only due operation successfully, and maps `account` to its environment.
    pub async fn succeed_operation(&self, account: &str) {
        let claim = self.claim_operation().await;
        self.record_step(&claim, StepDisposition::Done, Some(account)).await;
        lifecycle::succeed(&self.database.pool, &claim, self.clock.now()).await.expect("a succeeded operation");
    }
}

/// Serves the API on a free port. Returns its base URL, its shutdown token and its task.
async fn serve(app: App) -> (String, CancellationToken, JoinHandle<()>) {
    serve_at("127.0.0.1:0", app).await
}

async fn serve_at(address: &str, app: App) -> (String, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.expect("a loopback port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let shutdown = CancellationToken::new();
    let server = freehold_api::serve(app, listener, shutdown.clone());
    (url, shutdown, tokio::spawn(async move { server.await.expect("a clean shutdown") }))
}

impl Drop for ApiFixture {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub async fn send(request: RequestBuilder) -> ApiResponse {
    read(request.send().await.expect("a response")).await
}

pub async fn read(response: Response) -> ApiResponse {
    let (status, headers) = (response.status(), response.headers().clone());
    ApiResponse { status, headers, text: response.text().await.expect("a body") }
}

/// Returns the body of a signup request with the required fields only.
pub fn signup_body() -> Value {
    json!({ "company_name": "Example GmbH", "admin_email": "admin@example.com", "home_region": "eu-central-1" })
}

/// Returns the minimal body of a signup request; fields of `changes` are replaced or added.
pub fn signup_body_with(changes: Value) -> Value {
    let mut body = signup_body();
    for (name, value) in changes.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}
