//! API with a console, an OpenID provider, and a browser that keeps cookies.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_tenancy::Clock;
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, read};
use freehold_tests::tokens::{ISSUER, Issuer};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// Client id of the console.
const CLIENT: &str = "freehold-console";

/// Provider whose answers a test determines.
#[derive(Default)]
struct Provider {
    url: String,
    /// Tokens by authorization code, with the PKCE challenge of the sign-in.
    codes: BTreeMap<String, (String, Value)>,
}

type Shared = Arc<Mutex<Provider>>;

/// API with a console and one browser.
pub(super) struct Console {
    pub(super) api: ApiFixture,
    provider: Shared,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// Stream of a page.
pub(super) struct Stream {
    response: reqwest::Response,
    rest: String,
}

impl Stream {
    /// Returns the next event that contains `text`.
    pub(super) async fn until(&mut self, text: &str) -> String {
        let found = tokio::time::timeout(Duration::from_secs(30), self.next_with(text)).await;
        found.unwrap_or_else(|_| panic!("no event contains {text}"))
    }

    /// Waits for more of the stream and discards it. Returns false at the end of the stream.
    pub(super) async fn receives_more(&mut self) -> bool {
        matches!(self.response.chunk().await, Ok(Some(_)))
    }

    async fn next_with(&mut self, text: &str) -> String {
        loop {
            while let Some((event, rest)) = self.rest.clone().split_once("\n\n") {
                rest.clone_into(&mut self.rest);
                if event.contains(text) {
                    return event.to_owned();
                }
            }
            let chunk = self.response.chunk().await.expect("a chunk");
            self.rest.push_str(std::str::from_utf8(&chunk.expect("no end of the stream")).expect("UTF-8"));
        }
    }
}

/// Value of a sign-in that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wrong {
    Nothing,
    State,
    Issuer,
    Nonce,
    Client,
    Verifier,
    /// The provider refuses the sign-in.
    Refusal,
    /// Claims of the access token.
    Claims(Value),
}

impl Console {
    pub(super) async fn new() -> Self {
        Self::with_config("").await
    }

    /// Starts an API with additional configuration in the section `[api]`.
    pub(super) async fn with_config(more: &str) -> Self {
        let provider = Shared::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        provider.lock().expect("the provider").url.clone_from(&url);
        let router = Router::new()
            .route("/configuration", get(configuration))
            .route("/token", post(token))
            .with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let issuer = Issuer::new();
        let jwks = issuer.jwks().display().to_string();
        let console = format!(
            "{more}\n[console]\nurl = \"http://127.0.0.1:8080\"\nclient_id = \"{CLIENT}\"\n\
             client_secret = \"a secret&\"\n\
             discovery = \"{url}/configuration\"\n"
        );
        let api = ApiFixture::with_app(issuer, &jwks, &console, Clock::real(), |app| app).await;
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { api, provider, http, cookies: BTreeMap::new() }
    }

    /// Returns a console to which a person with these scopes is signed in.
    pub(super) async fn signed_in(subject: &str, scopes: &str) -> Self {
        let mut console = Self::new().await;
        let response = console.sign_in("/console", subject, scopes, &Wrong::Nothing).await;
        assert_eq!((response.status.as_u16(), response.header("location")), (303, "/console"), "{}", response.text);
        console
    }

    /// Returns a console to which an operator is signed in.
    pub(super) async fn of_operator() -> Self {
        Self::signed_in("olga", ALL_SCOPES).await
    }

    /// Signs in as `subject`, and returns the last response.
    pub(super) async fn sign_in(&mut self, to: &str, subject: &str, scopes: &str, wrong: &Wrong) -> ApiResponse {
        let go = self.get(&format!("/console/sign-in/go?to={to}")).await;
        let url: Url = go.header("location").parse().expect("the URL of the provider");
        let sent: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((sent["response_type"].as_str(), sent["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(sent["redirect_uri"], "http://127.0.0.1:8080/console/sign-in/back");
        let pick = |is_wrong, right: &str| if is_wrong { "wrong".to_owned() } else { right.to_owned() };
        let claims = if let Wrong::Claims(claims) = wrong { claims.clone() } else { json!({}) };
        let mut changes = json!({ "sub": subject, "client_id": CLIENT });
        changes.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        let id_claims = json!({
            "sub": subject,
            "aud": pick(*wrong == Wrong::Client, CLIENT),
            "nonce": pick(*wrong == Wrong::Nonce, &sent["nonce"]),
        });
        let issuer = &self.api.issuer;
        let tokens = json!({
            "access_token": issuer.token_with(scopes, &changes),
            "id_token": issuer.sign(&issuer.header(), &issuer.claims("", &id_claims)),
        });
        let challenge = pick(*wrong == Wrong::Verifier, &sent["code_challenge"]);
        self.provider.lock().expect("the provider").codes.insert("code-1".to_owned(), (challenge, tokens));
        let state = pick(*wrong == Wrong::State, &sent["state"]);
        let issuer = if *wrong == Wrong::Issuer { "https://other.example.com" } else { ISSUER };
        let query = if *wrong == Wrong::Refusal { "error=access_denied" } else { "code=code-1" };
        self.get(&format!("/console/sign-in/back?{query}&state={state}&iss={issuer}")).await
    }

    pub(super) async fn get(&mut self, path: &str) -> ApiResponse {
        let request = self.http.get(format!("{}{path}", self.api.url));
        self.send(request).await
    }

    /// Returns the paths of the links in the navigation of a page.
    pub(super) async fn links(&mut self, page: &str) -> Vec<String> {
        let page = self.get(page).await.text;
        let nav = page.split_once("aria-label=\"Console\"").and_then(|(_, rest)| rest.split_once("</nav>"));
        let links = nav.expect("a navigation").0.split("href=\"").skip(1);
        links
            .map(|link| link.split('"').next().expect("a path").to_owned())
            .filter(|path| path.starts_with('/'))
            .collect()
    }

    /// Sends a form from a page of the console.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> ApiResponse {
        self.post_from("same-origin", path, fields).await
    }

    /// Sends a form; the browser says that it comes from `site`.
    pub(super) async fn post_from(&mut self, site: &str, path: &str, fields: &[(&str, &str)]) -> ApiResponse {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}{path}", self.api.url)).header("sec-fetch-site", site);
        self.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }

    /// Follows a page. Returns the events of its stream.
    pub(super) async fn follow(&self, page: &str) -> Stream {
        let request = self.http.get(format!("{}/console/live?page={page}", self.api.url));
        let response = request.header("cookie", self.cookie_header()).send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream { response, rest: String::new() }
    }

    /// Returns the number of bytes of a response as browsers receive it.
    pub(super) async fn compressed_size(&self, path: &str) -> usize {
        let request = self.http.get(format!("{}{path}", self.api.url)).header("accept-encoding", "gzip");
        let response = request.header("cookie", self.cookie_header()).send().await.expect("a response");
        response.bytes().await.expect("a body").len()
    }

    fn cookie_header(&self) -> String {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> ApiResponse {
        let request = request.header("cookie", self.cookie_header());
        let response = read(request.send().await.expect("a response")).await;
        for value in response.headers.get_all("set-cookie") {
            let text = value.to_str().expect("a text header");
            assert!(text.contains("; HttpOnly; SameSite=Lax"), "{text}");
            let (name, value) = text.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// Returns the cookie of the session.
    pub(super) fn session(&self) -> Option<&String> {
        self.cookies.get("freehold-session").filter(|value| !value.is_empty())
    }

    /// Replaces the cookie of the session.
    pub(super) fn set_session(&mut self, value: &str) {
        self.cookies.insert("freehold-session".to_owned(), value.to_owned());
    }
}

async fn configuration(State(provider): State<Shared>) -> Json<Value> {
    let url = &provider.lock().expect("the provider").url;
    Json(json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn token(
    State(provider): State<Shared>,
    headers: axum::http::HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    // Id and secret are form-encoded before they are joined.
    let expected = base64::prelude::BASE64_STANDARD.encode(format!("{CLIENT}:a+secret%26"));
    assert_eq!(headers["authorization"], format!("Basic {expected}"));
    assert_eq!(form["grant_type"], "authorization_code");
    let found = provider.lock().expect("the provider").codes.remove(&form["code"]);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    match found {
        Some((expected, tokens)) if expected == challenge => (StatusCode::OK, Json(tokens)),
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))),
    }
}
