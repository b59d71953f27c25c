//! Speaking to the REST API: where it is, with which token, and what its refusals mean for the exit code.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_api::schema::Problem;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, ExitError};
use crate::output::Format;

/// Where the API is when nobody says so and no sandbox runs.
const USUAL_URL: &str = "http://127.0.0.1:8080";

/// How long the API may take to begin an answer.
const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
#[command(next_help_heading = "API connection")]
pub(crate) struct ClientArgs {
    /// The API; the running sandbox's if left out, else http://127.0.0.1:8080
    #[arg(long, value_name = "URL", env = "FREEHOLD_API_URL", hide_env_values = true)]
    api_url: Option<Url>,
    /// The token to send; the running sandbox's if left out
    #[arg(long, value_name = "TOKEN", env = "FREEHOLD_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// How the answer is shown
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// The API, for one caller.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    url: Url,
    token: SecretString,
    http: Client,
}

impl ClientArgs {
    /// The API that the arguments, or else the running sandbox, name.
    pub(crate) fn api(&self) -> anyhow::Result<Api> {
        let sandbox = running_sandbox();
        let url = match (&self.api_url, &sandbox) {
            (Some(url), _) | (None, Some((url, _))) => url.clone(),
            (None, None) => Url::parse(USUAL_URL)?,
        };
        let token = match (&self.token, sandbox) {
            (Some(token), _) => token.clone(),
            // A sandbox's token is nobody else's business.
            (None, Some((sandbox, token))) if sandbox == url => token,
            (None, _) => {
                return Err(ExitError::because(
                    Exit::TokenRefused,
                    format!(
                        "there is no token for the API at {url} (no sandbox is running there); give one with --token or FREEHOLD_TOKEN"
                    ),
                ));
            }
        };
        Api::new(url, token)
    }
}

#[cfg(feature = "sandbox")]
fn running_sandbox() -> Option<(Url, SecretString)> {
    let sandbox = crate::sandbox::Running::find()?;
    let token = std::fs::read_to_string(&sandbox.token).ok()?;
    Some((Url::parse(&sandbox.api_url).ok()?, token.trim().into()))
}

#[cfg(not(feature = "sandbox"))]
fn running_sandbox() -> Option<(Url, SecretString)> {
    None
}

impl Api {
    pub(crate) fn new(url: Url, token: SecretString) -> anyhow::Result<Self> {
        let mut http = Client::builder().connect_timeout(Duration::from_secs(10));
        if url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]") {
            // A proxy elsewhere does not know this machine's own addresses.
            http = http.no_proxy();
        }
        Ok(Self { url, token, http: http.build()? })
    }

    /// Where it is, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// `GET path?query`; a value that is `None` is left out.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<T> {
        self.answer(self.request(Method::GET, path, query)?.timeout(TIMEOUT)).await
    }

    /// `POST path` with a body and further headers.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let mut request = self.request(Method::POST, path, &[])?.timeout(TIMEOUT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// `PUT path` with a body.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.answer(self.request(Method::PUT, path, &[])?.timeout(TIMEOUT).json(body)).await
    }

    /// `PATCH path` with a body, if it is as `if_match` says.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        if_match: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::PATCH, path, &[])?.timeout(TIMEOUT);
        self.answer(request.header("if-match", if_match).json(body)).await
    }

    /// `DELETE path?query`; a value that is `None` is left out.
    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<T> {
        self.answer(self.request(Method::DELETE, path, query)?.timeout(TIMEOUT)).await
    }

    /// Opens the stream of an operation's events, from after `seen` on.
    pub(crate) async fn events(&self, operation: &str, seen: i64) -> anyhow::Result<Response> {
        let request = self.request(Method::GET, &format!("/v1/operations/{}/events", in_path(operation)), &[])?;
        self.send(request.header("accept", "text/event-stream").header("last-event-id", seen)).await
    }

    /// Every row of a list: `rows` takes those of one page and answers the token of the next.
    pub(crate) async fn pages(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        mut rows: impl FnMut(Value) -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let mut next = None;
        loop {
            let mut query = query.to_vec();
            query.push(("page_token", next));
            next = rows(self.get(path, &query).await?)?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, Option<String>)]) -> anyhow::Result<RequestBuilder> {
        let base = self.url();
        let mut url = Url::parse(&format!("{base}{path}")).with_context(|| format!("{base} cannot be asked"))?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(self.http.request(method, url).bearer_auth(self.token.expose_secret()))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let text = self.send(request).await?.text().await.map_err(|error| self.unreachable(&error))?;
        // What is gone has nothing more to say.
        serde_json::from_str(if text.is_empty() { "null" } else { &text })
            .with_context(|| format!("{} does not answer as the API of this version does", self.url()))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let exit = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::TokenRefused,
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Exit::Unreachable
            }
            _ => Exit::Failed,
        };
        let text = response.text().await.unwrap_or_default();
        let message = match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => told(&problem),
            Err(_) => format!("{} answered {status}, and not as the API does", self.url()),
        };
        Err(ExitError::because(exit, message))
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let mut why = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(deeper) = cause {
            why = deeper.to_string();
            cause = deeper.source();
        }
        ExitError::because(
            Exit::Unreachable,
            format!("the API at {} cannot be reached ({why}); is it running, and is --api-url right?", self.url()),
        )
    }
}

/// A part of a path, of which only what an id is made of stays as it is.
pub(crate) fn in_path(id: &str) -> String {
    use std::fmt::Write;
    id.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => path.push(char::from(byte)),
            _ => _ = write!(path, "%{byte:02X}"),
        }
        path
    })
}

/// A problem in words: what happened, then each field that does not fit.
fn told(problem: &Problem) -> String {
    let mut told = problem.detail.clone();
    for error in &problem.errors {
        told = format!("{told}\n  {}: {}", error.field, error.message);
    }
    format!("{told}\n  ({}, request {})", problem.code, problem.request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_within_its_part_of_the_path() {
        assert_eq!(in_path("ten_01k2"), "ten_01k2");
        assert_eq!(in_path("../operations?x"), "%2E%2E%2Foperations%3Fx");
    }
}
