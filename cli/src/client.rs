//! REST API client. It determines the API URL and the token, and maps error responses to exit codes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use freehold_api::schema::Problem;
use freehold_tenancy::excerpt::{has_credentials, without_credentials};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Host;

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::secret_arg;

/// API URL that is used if no URL is given and no sandbox is running.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
#[command(next_help_heading = "API connection")]
pub(crate) struct ClientArgs<F: ValueEnum + Clone + Send + Sync + 'static = Format> {
    /// URL of the API [default: the running sandbox, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "FREEHOLD_API_URL", hide_env_values = true)]
    api_url: Option<Url>,
    /// Access token; - means the first line of the standard input [default: token of the running sandbox]
    ///
    /// Other users of the machine can read a token on the command line: use FREEHOLD_TOKEN or --token-file.
    #[arg(long, value_name = "TOKEN", env = "FREEHOLD_TOKEN", hide_env_values = true, value_parser = secret_arg::parse)]
    token: Option<SecretString>,
    /// File with the access token; overrides FREEHOLD_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Send the token over http:// to another machine, where others on the network can read it
    #[arg(long)]
    allow_plain_http: bool,
    /// Format of the output
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: F,
    /// Print tables with all columns, also where the terminal is too narrow
    #[arg(long)]
    wide: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    url: Url,
    token: SecretString,
    http: Client,
}

impl<F: ValueEnum + Clone + Send + Sync + 'static> ClientArgs<F> {
    /// Builds a client from the arguments, and applies `--wide`. A missing URL or token is taken from the running
    /// sandbox.
    pub(crate) fn api_client(&self) -> anyhow::Result<ApiClient> {
        output::set_wide_tables(self.wide);
        let sandbox = running_sandbox(self.api_url.as_ref())?;
        let url = match (&self.api_url, &sandbox) {
            (Some(url), _) | (None, Some((url, _))) => url.clone(),
            (None, None) => Url::parse(DEFAULT_URL)?,
        };
        let token = match (self.given_token()?, sandbox) {
            (Some(token), _) => token,
            // The token of a sandbox must not be sent to another server.
            (None, Some((sandbox, token))) if sandbox == url => token,
            (None, _) => {
                return Err(Exit::TokenRejected.error(format!(
                    "no token for the API at {url}, and no sandbox is running there; set FREEHOLD_TOKEN or \
                     --token-file"
                )));
            }
        };
        ApiClient::new(url, token, self.allow_plain_http)
    }

    /// Returns the token of the arguments or the environment.
    fn given_token(&self) -> anyhow::Result<Option<SecretString>> {
        let argument = self.token.as_ref().filter(|token| secret_arg::is_argument(token));
        match (&self.token_file, argument) {
            (Some(_), Some(_)) => Err(Exit::Usage.error("--token and --token-file must not be set together")),
            (Some(file), None) => secret_arg::read_file(file).map(Some),
            (None, Some(token)) => {
                output::print_note(
                    "warning: other users of this machine can read the token in --token; use FREEHOLD_TOKEN, \
                     --token-file, or --token - (first line of the standard input)",
                );
                Ok(Some(token.clone()))
            }
            (None, None) => Ok(self.token.clone()),
        }
    }
}

/// Returns the API URL and the token of the running sandbox. Without `api_url`, only one sandbox may be running.
#[cfg(feature = "sandbox")]
fn running_sandbox(api_url: Option<&Url>) -> anyhow::Result<Option<(Url, SecretString)>> {
    use crate::sandbox::RunningSandbox;

    let sandbox = match api_url {
        Some(url) => RunningSandbox::with_api(url),
        None => RunningSandbox::only("--api-url or FREEHOLD_API_URL")?,
    };
    Ok(sandbox.and_then(|sandbox| {
        let token = std::fs::read_to_string(&sandbox.token).ok()?;
        Some((Url::parse(&sandbox.api_url).ok()?, token.trim().into()))
    }))
}

#[cfg(not(feature = "sandbox"))]
fn running_sandbox(_: Option<&Url>) -> anyhow::Result<Option<(Url, SecretString)>> {
    Ok(None)
}

impl ApiClient {
    /// Creates a client. Fails if the token would be sent unencrypted to another machine, unless `allow_plain_http` is
    /// set.
    pub(crate) fn new(url: Url, token: SecretString, allow_plain_http: bool) -> anyhow::Result<Self> {
        check_url(&url, allow_plain_http)?;
        // The API does not redirect, and the token must not reach another server.
        let mut http = Client::builder().connect_timeout(Duration::from_secs(10)).redirect(Policy::none());
        if is_loopback(&url) {
            // A proxy on another machine cannot reach loopback addresses of this machine.
            http = http.no_proxy();
        }
        Ok(Self { url, token, http: http.build()? })
    }

    /// Returns the base URL without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Sends a GET request. Query parameters with the value `None` are omitted.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<T> {
        self.send_and_parse(self.request(Method::GET, path, query)?.timeout(REQUEST_TIMEOUT)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let mut request = self.request(Method::POST, path, &[])?.timeout(REQUEST_TIMEOUT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send_and_parse(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send_and_parse(self.request(Method::PUT, path, &[])?.timeout(REQUEST_TIMEOUT).json(body)).await
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        if_match: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::PATCH, path, &[])?.timeout(REQUEST_TIMEOUT);
        self.send_and_parse(request.header("if-match", if_match).json(body)).await
    }

    /// Sends a DELETE request. Query parameters with the value `None` are omitted.
    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<T> {
        self.send_and_parse(self.request(Method::DELETE, path, query)?.timeout(REQUEST_TIMEOUT)).await
    }

    /// Opens the event stream of an operation. The stream starts after the event with the sequence number `last_seen`.
    pub(crate) async fn open_event_stream(&self, operation: &str, last_seen: i64) -> anyhow::Result<Response> {
        let request =
            self.request(Method::GET, &format!("/v1/operations/{}/events", encode_path_segment(operation)), &[])?;
        self.send(request.header("accept", "text/event-stream").header("last-event-id", last_seen)).await
    }

    /// Requests a list as a stream of the format `accept`.
    pub(crate) async fn open_export(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        accept: &str,
    ) -> anyhow::Result<Response> {
        self.send(self.request(Method::GET, path, query)?.header("accept", accept)).await
    }

    /// Requests all pages of a list. `read_page` processes a page and returns the token of the next page.
    pub(crate) async fn for_each_page(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        mut read_page: impl FnMut(Value) -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let mut page_token = None;
        loop {
            let mut query = query.to_vec();
            query.push(("page_token", page_token));
            page_token = read_page(self.get(path, &query).await?)?;
            if page_token.is_none() {
                return Ok(());
            }
        }
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, Option<String>)]) -> anyhow::Result<RequestBuilder> {
        let base = self.url();
        let mut url = Url::parse(&format!("{base}{path}")).with_context(|| format!("{base} is not a valid URL"))?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(self.http.request(method, url).bearer_auth(self.token.expose_secret()))
    }

    async fn send_and_parse<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let text = self.send(request).await?.text().await.map_err(|error| self.unreachable_error(&error))?;
        // A response without a body (204) is parsed as null.
        serde_json::from_str(if text.is_empty() { "null" } else { &text })
            .with_context(|| format!("the response of {} does not match the API of this version", self.url()))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable_error(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let exit = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::TokenRejected,
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Exit::Unreachable
            }
            _ => Exit::Failure,
        };
        if status.is_redirection() {
            return Err(exit.error(format!(
                "{} redirects to another address, and the token is not sent there; set --api-url to the address of \
                 the API",
                self.url()
            )));
        }
        let text = response.text().await.unwrap_or_default();
        let message = match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => problem_message(&problem),
            Err(_) => format!("{} returned {status} without a problem document; check --api-url", self.url()),
        };
        Err(exit.error(message))
    }

    fn unreachable_error(&self, error: &reqwest::Error) -> anyhow::Error {
        let reason = root_cause(error);
        Exit::Unreachable.error(format!(
            "cannot reach the API at {} ({reason}); check that it is running and that --api-url is correct",
            self.url()
        ))
    }
}

/// Checks that the token can be sent to this URL.
fn check_url(url: &Url, allow_plain_http: bool) -> anyhow::Result<()> {
    let shown = without_credentials(url);
    if has_credentials(url) {
        return Err(Exit::Usage.error(format!("--api-url must not contain a user name or password: {shown}")));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) || allow_plain_http => Ok(()),
        "http" => Err(Exit::Usage.error(format!(
            "--api-url must be an https:// URL, because others on the way to {shown} could read the token; in a \
             network that you trust, set --allow-plain-http"
        ))),
        _ => Err(Exit::Usage.error(format!("--api-url must be an https:// URL, not {shown}"))),
    }
}

/// Returns whether the URL refers to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns the message of the last cause of an error, such as `Connection refused (os error 111)`.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Percent-encodes all characters that do not occur in ids, so that an invalid id cannot change the request path.
pub(crate) fn encode_path_segment(id: &str) -> String {
    use std::fmt::Write;
    id.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => path.push(char::from(byte)),
            _ => _ = write!(path, "%{byte:02X}"),
        }
        path
    })
}

/// Formats a problem document: detail, errors by field, code and request id.
fn problem_message(problem: &Problem) -> String {
    let mut message = problem.detail.clone();
    for error in &problem.errors {
        message = format!("{message}\n  {}: {}", error.field, error.message);
    }
    format!("{message}\n  ({}, request {})", problem.code, problem.request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_unencrypted_only_to_this_machine() {
        let mut refused = 0;
        for (url, is_safe) in [
            ("https://api.example.com", true),
            ("https://192.0.2.1:8443", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.1:8080", true),
            ("http://127.7.7.7", true),
            ("http://[::1]:8080", true),
            ("http://api.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://127.example.com", false),
            ("http://localhost.example.com", false),
            ("http://192.0.2.1", false),
            ("http://0.0.0.0:8080", false),
            ("http://[::ffff:192.0.2.1]", false),
            ("http://[2001:db8::1]", false),
        ] {
            let url: Url = url.parse().unwrap();
            let client = ApiClient::new(url.clone(), "token".into(), false);
            assert_eq!(client.is_ok(), is_safe, "{url}");
            refused += usize::from(!is_safe);
            assert!(ApiClient::new(url, "token".into(), true).is_ok());
        }
        assert_eq!(refused, 8);
        for url in ["ftp://localhost", "https://ann:secret@api.example.com", "unix:/run/freehold.sock"] {
            let error = ApiClient::new(url.parse().unwrap(), "token".into(), true).unwrap_err().to_string();
            assert!(error.contains("--api-url must") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_id_cannot_change_the_path() {
        assert_eq!(encode_path_segment("ten_01k2"), "ten_01k2");
        assert_eq!(encode_path_segment("../operations?x"), "%2E%2E%2Foperations%3Fx");
    }
}
