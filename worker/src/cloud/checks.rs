//! Types of the calls that check a deployed stack.

use std::time::Duration;

use freehold_tenancy::config::{CheckMethod, StackCheck, fill_placeholders};
use serde_json::json;

/// Request to a Function URL or function, with all placeholders filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRequest {
    pub method: CheckMethod,
    /// Path and query.
    pub path: String,
    /// JSON payload of an invocation, or body of a POST request; `None` if it is not configured.
    pub payload: Option<String>,
    /// Accepted HTTP statuses. Empty means 200 to 299.
    pub statuses: Vec<u16>,
    /// Timeout in real time.
    pub timeout: Duration,
}

/// Response of a stack with an accepted HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResponse {
    pub status: u16,
    pub body: Vec<u8>,
}

impl CheckRequest {
    /// Creates the configured request. `values` are the values of the placeholders.
    pub fn new(check: &StackCheck, values: &[(&str, String)]) -> Self {
        Self {
            method: check.method,
            path: fill_placeholders(&check.path, values),
            payload: check.payload.as_ref().map(|payload| fill_placeholders(payload, values)),
            statuses: check.statuses.clone(),
            timeout: Duration::from_secs(check.timeout_seconds),
        }
    }

    /// Creates a GET request that accepts the statuses 200 to 299.
    pub fn get(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::new(&StackCheck::default(), &[]) }
    }

    /// Creates a GET request that accepts every response of a function. If a function refuses CloudFront, CloudFront
    /// answers 403.
    pub fn any_answer() -> Self {
        Self { statuses: (200..500).filter(|status| *status != 403).collect(), ..Self::get("/") }
    }

    /// Returns whether the check accepts an HTTP status.
    pub fn accepts(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..300).contains(&status) } else { self.statuses.contains(&status) }
    }

    /// Returns the event that this request would cause at a Function URL (payload format 2.0).
    pub(crate) fn function_url_event(&self) -> String {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": { "user-agent": "app/freehold" },
            "requestContext": {
                "routeKey": "$default",
                "stage": "$default",
                "http": {
                    "method": self.method.as_str(),
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "app/freehold",
                },
            },
            "isBase64Encoded": false,
        })
        .to_string()
    }
}
