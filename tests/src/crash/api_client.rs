//! API client that repeats each signup with the same idempotency key until it is accepted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::api_fixture::ALL_SCOPES;
use crate::tokens::Issuer;

/// Issuer name in the access tokens that an API with a simulated AWS accepts.
pub const ISSUER: &str = "urn:freehold:sandbox";

/// Home regions and tiers of the signups. The region `eu-central-2` requires an opt-in.
const HOME_REGIONS_AND_TIERS: [(&str, &str); 4] = [
    ("eu-central-1", "standard"),
    ("us-east-1", "enterprise"),
    ("eu-west-1", "standard"),
    ("eu-central-2", "standard"),
];

#[derive(Clone)]
pub struct ApiClient {
    http: Client,
    url: String,
    token: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Tenant id of each accepted idempotency key.
    accepted: Mutex<BTreeMap<String, String>>,
    /// Number of requests that were repeated because of a missing response, a conflict or a server error.
    retried_requests: AtomicUsize,
    unexpected: Mutex<Vec<String>>,
}

impl ApiClient {
    /// Returns a client of the API at `url` that sends a token of `issuer`.
    pub fn new(url: &str, issuer: &Issuer) -> Self {
        let claims = json!({ "iss": ISSUER, "exp": crate::tokens::now() + 6 * 3600 });
        let token = issuer.token_with(ALL_SCOPES, &claims);
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().expect("a client");
        Self { http, url: url.to_owned(), token, shared: Arc::default() }
    }

    /// Sends the signup request with this number once and returns the response status.
    pub async fn sign_up_once(&self, number: usize) -> Result<u16, reqwest::Error> {
        Ok(self.signup_request(number).send().await?.status().as_u16())
    }

    /// Returns the signup request with this number; its idempotency key and external id contain the number.
    pub fn signup_request(&self, number: usize) -> reqwest::RequestBuilder {
        let key = format!("customer-{number}");
        let (home_region, tier) = HOME_REGIONS_AND_TIERS[number % HOME_REGIONS_AND_TIERS.len()];
        let body = json!({
            "company_name": format!("Example {number}"), "admin_email": "admin@example.com",
            "home_region": home_region, "tier": tier, "external_id": key,
        });
        self.request(Method::POST, "/v1/tenants").header("Idempotency-Key", &key).json(&body)
    }

    /// Repeats the signup request with this number until the API accepts it.
    pub async fn sign_up_until_accepted(&self, number: usize) {
        let key = format!("customer-{number}");
        loop {
            let attempt = async {
                let response = self.signup_request(number).send().await?;
                Ok::<_, reqwest::Error>((response.status(), response.text().await?))
            };
            match attempt.await {
                Ok((StatusCode::ACCEPTED, text)) => return self.record_accepted(&key, &text),
                Ok((status, _)) if status == StatusCode::CONFLICT || status.is_server_error() => {}
                Ok((status, text)) => {
                    self.add_unexpected(format!("{key} got the response {status}: {text}"));
                    return;
                }
                // No response, or an incomplete one: the signup may or may not have been accepted.
                Err(_) => {}
            }
            self.shared.retried_requests.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn record_accepted(&self, key: &str, text: &str) {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let id = body["id"].as_str().unwrap_or("no id").to_owned();
        let before =
            self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), id.clone());
        if before.as_ref().is_some_and(|before| *before != id) {
            self.add_unexpected(format!("{key} was accepted as {id} and as {}", before.unwrap_or_default()));
        }
    }

    /// Returns the tenant ids of the accepted signups by idempotency key.
    pub fn accepted_signups(&self) -> BTreeMap<String, String> {
        self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn retried_requests(&self) -> usize {
        self.shared.retried_requests.load(Ordering::Relaxed)
    }

    pub fn unexpected_responses(&self) -> Vec<String> {
        self.shared.unexpected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add_unexpected(&self, description: String) {
        self.shared.unexpected.lock().unwrap_or_else(PoisonError::into_inner).push(description);
    }

    /// Sends one request to retry the operation, and ignores the response.
    pub async fn retry(&self, operation: &str) {
        _ = self.request(Method::POST, &format!("/v1/operations/{operation}/retry")).send().await;
    }

    /// Returns whether the API reports that it is ready.
    pub async fn is_ready(&self) -> bool {
        let response = self.http.get(format!("{}/readyz", self.url)).send().await;
        response.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}
