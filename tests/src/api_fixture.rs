//! The REST API on a free port, with a database and an issuer of its own, and no worker.

use std::sync::Arc;

use chrono::TimeDelta;
use freehold_api::App;
use freehold_tenancy::attention::{Attention, Remedy};
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::lifecycle::{self, StepDisposition, StepRecord};
use freehold_tenancy::db::operations;
use freehold_tenancy::db::steps::{self, PlannedStep};
use freehold_tenancy::step::{Facts, StepName};
use freehold_tenancy::{AwsAccountId, Clock, Config};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::fixture::CONFIG;
use crate::tokens::{AUDIENCE, ISSUER, Issuer};

/// Every scope there is.
pub const ALL_SCOPES: &str = "fleet tenants:read tenants:write tenants:delete operations:read operations:write operations:approve account-mappings:read events:read webhooks:read webhooks:write audit:read";

/// A served API.
pub struct ApiFixture {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// Whose tokens it believes.
    pub issuer: Issuer,
    /// What it writes to.
    pub database: Database,
    /// What its operator has declared.
    pub config: Arc<Config>,
    /// The clock that dates what it writes.
    pub clock: Clock,
    /// Ends it.
    pub shutdown: CancellationToken,
    /// What serves it; ends after `shutdown`.
    pub server: JoinHandle<()>,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body.
    pub text: String,
}

impl ApiResponse {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("this is not JSON: {}", self.text))
    }

    /// The status and, where it is a problem, its code.
    pub fn status_and_code(&self) -> (u16, String) {
        let code = serde_json::from_str::<Value>(&self.text).ok();
        let code = code.and_then(|body| body.get("code")?.as_str().map(ToOwned::to_owned));
        (self.status.as_u16(), code.unwrap_or_default())
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }
}

impl ApiFixture {
    /// An API that believes an issuer with its keys in a file.
    pub async fn new() -> Self {
        let issuer = Issuer::new();
        let jwks = issuer.jwks().display().to_string();
        Self::with(issuer, &jwks).await
    }

    /// An API whose `[api]` goes on with these lines.
    pub async fn with_config(more: &str) -> Self {
        let issuer = Issuer::new();
        let jwks = issuer.jwks().display().to_string();
        Self::start(issuer, &jwks, more).await
    }

    /// An API that looks for the issuer's keys at `jwks`.
    pub async fn with(issuer: Issuer, jwks: &str) -> Self {
        Self::start(issuer, jwks, "").await
    }

    async fn start(issuer: Issuer, jwks: &str, more: &str) -> Self {
        Self::with_app(issuer, jwks, more, Clock::real(), |app| app).await
    }

    /// An API whose `[api]` goes on with these lines, with this clock, and adapted.
    pub async fn with_app(
        issuer: Issuer,
        jwks: &str,
        more: &str,
        clock: Clock,
        adapt: impl FnOnce(App) -> App,
    ) -> Self {
        let config = format!(
            "{CONFIG}\n[api]\nissuer = {}\naudience = {}\njwks = {}\n{more}",
            json!(ISSUER),
            json!(AUDIENCE),
            json!(jwks)
        );
        let config = Arc::new(Config::parse(&config).expect("a configuration"));
        let database = Database::new().await;
        let app = adapt(App::new(database.pool.clone(), Arc::clone(&config), clock.clone()).expect("an API"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let shutdown = CancellationToken::new();
        let serving = freehold_api::serve(app, listener, shutdown.clone());
        let server = tokio::spawn(async move { serving.await.expect("an API that ends well") });
        Self { url, issuer, database, config, clock, shutdown, server, http: reqwest::Client::new() }
    }

    /// A request with a token for everything.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_without_token(method, path).bearer_auth(self.issuer.token(ALL_SCOPES))
    }

    /// What a request in the name of somebody answers, with a token for everything.
    pub async fn send_as(&self, sub: &str, method: Method, path: &str, body: &Value) -> ApiResponse {
        let token = self.issuer.token_with(ALL_SCOPES, &json!({ "sub": sub }));
        send(self.request_without_token(method, path).bearer_auth(token).json(body)).await
    }

    /// A request without a token.
    pub fn request_without_token(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// What a GET with a token for everything answers.
    pub async fn get(&self, path: &str) -> ApiResponse {
        send(self.request(Method::GET, path)).await
    }

    /// What a DELETE with a token for everything answers.
    pub async fn delete(&self, path: &str) -> ApiResponse {
        send(self.request(Method::DELETE, path)).await
    }

    /// What a POST with a token for everything, and no body, answers.
    pub async fn post(&self, path: &str) -> ApiResponse {
        send(self.request(Method::POST, path)).await
    }

    /// A signup under this key.
    pub fn signup_request(&self, key: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, "/v1/tenants").header("Idempotency-Key", key).json(body)
    }

    /// A tenant that has been signed up, as the API shows it.
    pub async fn sign_up(&self, body: &Value) -> Value {
        let answered = send(self.signup_request(&uuid::Uuid::now_v7().to_string(), body)).await;
        assert_eq!(answered.status, 202, "{}", answered.text);
        answered.json()
    }

    /// How many rows there are in each table that a signup writes to.
    pub async fn row_counts(&self) -> [i64; 5] {
        let count = "select array[(select count(*) from tenants), (select count(*) from environments),
            (select count(*) from operations), (select count(*) from events), (select count(*) from idempotency_keys)]";
        let rows: Vec<i64> = sqlx::query_scalar(count).fetch_one(&self.database.pool).await.expect("the counts");
        rows.try_into().expect("five of them")
    }

    /// Claims the one operation that is due, as a worker would, and begins its first step.
    pub async fn claim_operation(&self) -> Claim {
        let (pool, now) = (&self.database.pool, self.clock.now());
        let mut claims = operations::claim(pool, "tests", now, TimeDelta::minutes(1), 10).await.expect("claims");
        assert_eq!(claims.len(), 1, "operations that are due");
        let claim = claims.remove(0);
        let plan = [PlannedStep { name: StepName::RequestAccount, after: vec![] }];
        steps::plan(pool, &claim, &plan, now).await.expect("a plan");
        steps::begin(pool, &claim, &[StepName::RequestAccount], now).await.expect("a beginning");
        claim
    }

    /// Ends the step that was begun; `account` is what it has learnt.
    pub async fn record_step(&self, claim: &Claim, ending: StepDisposition, account: Option<&str>) {
        let account: Option<AwsAccountId> = account.map(|account| account.parse().expect("an account id"));
        let outcome = StepRecord {
            step: StepName::RequestAccount,
            ending,
            facts: Facts::new(),
            late: None,
            released: vec![],
            quota: None,
            mapped: account,
        };
        lifecycle::record_step(&self.database.pool, claim, &outcome, self.clock.now()).await.expect("a record");
    }

    /// Parks the one operation that is due.
    pub async fn park(&self, code: &str) {
        self.park_with_remedies(code, &[Remedy::Retry]).await;
    }

    /// Parks the one operation that is due, with these remedies.
    pub async fn park_with_remedies(&self, code: &str, remedies: &[Remedy]) {
        let claim = self.claim_operation().await;
        let message = "Somebody has to look at this.".to_owned();
        let attention = Attention { code: code.to_owned(), message, remedies: remedies.to_vec() };
        self.record_step(&claim, StepDisposition::Parked(attention), None).await;
        operations::release(&self.database.pool, &claim, None, self.clock.now()).await.expect("a release");
    }

    /// Carries the one operation that is due to its end.
    pub async fn succeed_operation(&self, account: &str) {
        let claim = self.claim_operation().await;
        self.record_step(&claim, StepDisposition::Done, Some(account)).await;
        lifecycle::succeed(&self.database.pool, &claim, self.clock.now()).await.expect("a good end");
    }
}

impl Drop for ApiFixture {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Sends a request and reads the answer.
pub async fn send(request: RequestBuilder) -> ApiResponse {
    read(request.send().await.expect("an answer")).await
}

/// Reads an answer to its end.
pub async fn read(response: Response) -> ApiResponse {
    let (status, headers) = (response.status(), response.headers().clone());
    ApiResponse { status, headers, text: response.text().await.expect("a body") }
}

/// The smallest signup.
pub fn signup_body() -> Value {
    json!({ "company_name": "Example GmbH", "admin_email": "admin@example.com", "home_region": "eu-central-1" })
}

/// The smallest signup with other fields as well; `null` leaves one out.
pub fn signup_body_with(changes: Value) -> Value {
    let mut body = signup_body();
    for (name, value) in changes.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}
