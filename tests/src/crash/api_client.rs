//! A signup flow that does not give up: it sends each signup under its key until it is accepted, whatever happens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::api_fixture::ALL_SCOPES;
use crate::tokens::Issuer;

/// The issuer whose tokens a process beside a simulated AWS believes.
pub const ISSUER: &str = "urn:freehold:sandbox";

/// Home regions and tiers, one of which has to be opted in to.
const HOMES: [(&str, &str); 4] = [
    ("eu-central-1", "standard"),
    ("us-east-1", "enterprise"),
    ("eu-west-1", "standard"),
    ("eu-central-2", "standard"),
];

/// The API, as a signup flow and a person use it.
#[derive(Clone)]
pub struct ApiClient {
    http: Client,
    url: String,
    token: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The tenant that came of each key.
    accepted: Mutex<BTreeMap<String, String>>,
    /// Requests that had no answer, or none that ended the matter.
    repeated: AtomicUsize,
    /// What should not have been answered.
    wrong: Mutex<Vec<String>>,
}

impl ApiClient {
    /// A caller of the API at `url` with a token of `issuer`.
    pub fn new(url: &str, issuer: &Issuer) -> Self {
        let claims = json!({ "iss": ISSUER, "exp": crate::tokens::now() + 6 * 3600 });
        let token = issuer.token_with(ALL_SCOPES, &claims);
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().expect("a client");
        Self { http, url: url.to_owned(), token, shared: Arc::default() }
    }

    /// Signs up the customer of this number once, and answers the status.
    pub async fn sign_up_once(&self, number: usize) -> Result<u16, reqwest::Error> {
        Ok(self.signup_request(number).send().await?.status().as_u16())
    }

    /// The signup of the customer of this number, to be sent.
    pub fn signup_request(&self, number: usize) -> reqwest::RequestBuilder {
        let key = format!("customer-{number}");
        let (home_region, tier) = HOMES[number % HOMES.len()];
        let body = json!({
            "company_name": format!("Example {number}"), "admin_email": "admin@example.com",
            "home_region": home_region, "tier": tier, "external_id": key,
        });
        self.request(Method::POST, "/v1/tenants").header("Idempotency-Key", &key).json(&body)
    }

    /// Signs up the customer of this number until that is accepted.
    pub async fn sign_up(&self, number: usize) {
        let key = format!("customer-{number}");
        loop {
            let answered = async {
                let response = self.signup_request(number).send().await?;
                Ok::<_, reqwest::Error>((response.status(), response.text().await?))
            };
            match answered.await {
                Ok((StatusCode::ACCEPTED, text)) => return self.accepted(&key, &text),
                Ok((status, _)) if status == StatusCode::CONFLICT || status.is_server_error() => {}
                Ok((status, text)) => {
                    self.wrong(format!("{key} was answered {status}: {text}"));
                    return;
                }
                // Nobody there, or the answer broke off: it may or may not have been accepted.
                Err(_) => {}
            }
            self.shared.repeated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn accepted(&self, key: &str, text: &str) {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let id = body["id"].as_str().unwrap_or("nothing").to_owned();
        let before =
            self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), id.clone());
        if before.as_ref().is_some_and(|before| *before != id) {
            self.wrong(format!("{key} became {id} and {}", before.unwrap_or_default()));
        }
    }

    /// Every tenant that was accepted, by its key.
    pub fn tenants(&self) -> BTreeMap<String, String> {
        self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests had to be repeated.
    pub fn repeated(&self) -> usize {
        self.shared.repeated.load(Ordering::Relaxed)
    }

    /// Answers that should not have been given.
    pub fn wrong_answers(&self) -> Vec<String> {
        self.shared.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wrong(&self, what: String) {
        self.shared.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Has an operation tried again, as a person would; it is not there to insist.
    pub async fn retry(&self, operation: &str) {
        _ = self.request(Method::POST, &format!("/v1/operations/{operation}/retry")).send().await;
    }

    /// Whether the API says that it can serve requests.
    pub async fn is_ready(&self) -> bool {
        let asked = self.http.get(format!("{}/readyz", self.url)).send().await;
        asked.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}
