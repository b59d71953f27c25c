//! OpenID provider of a sandbox. It signs in as a role with one click, so that the console of a sandbox uses the same
//! flow as a real one: authorization code with PKCE (RFC 7636).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_api::Scope;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::issuer::{Claims, DEFAULT_TTL, ISSUER, Issuer};

/// Client id of the console in a sandbox.
pub(super) const CLIENT: &str = "freehold-console";

/// Maximum number of codes that are not yet exchanged.
const MAX_CODES: usize = 100;

#[derive(Clone)]
pub(super) struct Provider(Arc<Shared>);

struct Shared {
    issuer: Issuer,
    /// URL of the provider.
    url: String,
    /// Only address to which codes are sent.
    redirect_uri: String,
    /// Scopes that each role grants.
    roles: BTreeMap<String, Vec<Scope>>,
    codes: Mutex<HashMap<String, Code>>,
}

/// Sign-in that waits for the exchange of its code.
struct Code {
    role: String,
    nonce: Option<String>,
    challenge: String,
}

/// Query of the authorization endpoint.
#[derive(Deserialize)]
struct Authorization {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    state: String,
    nonce: Option<String>,
    code_challenge: String,
    code_challenge_method: String,
}

/// Form of the token endpoint.
#[derive(Deserialize)]
struct Exchange {
    grant_type: String,
    code: String,
    redirect_uri: String,
    client_id: String,
    code_verifier: String,
}

impl Provider {
    /// Creates the provider at `url` for the console at `console`. `roles` are the scopes by role; unknown scopes are
    /// left out.
    pub(super) fn new(issuer: Issuer, url: String, console: &str, roles: &BTreeMap<String, Vec<String>>) -> Self {
        let scopes = |names: &Vec<String>| names.iter().filter_map(|name| name.parse().ok()).collect();
        let mut roles: BTreeMap<_, Vec<Scope>> =
            roles.iter().map(|(role, names)| (role.clone(), scopes(names))).collect();
        roles.insert("operator".to_owned(), Scope::ALL.into());
        let redirect_uri = format!("{console}/console/sign-in/back");
        Self(Arc::new(Shared { issuer, url, redirect_uri, roles, codes: Mutex::default() }))
    }

    /// Serves the provider until `shutdown` is cancelled.
    pub(super) async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/authorize", get(choose_role))
            .route("/authorize/{role}", get(authorize))
            .route("/token", post(exchange))
            .with_state(self);
        let serve = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
        serve.await.context("the OpenID provider of the sandbox cannot be served")
    }
}

async fn configuration(State(Provider(shared)): State<Provider>) -> Response {
    let url = &shared.url;
    Json(json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}

/// Shows the roles as links.
async fn choose_role(
    State(Provider(shared)): State<Provider>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Html<String> {
    let query = query.unwrap_or_default().replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Sandbox sign-in</title>\
         <h1>Sign in to the sandbox as</h1>\
         <ul>",
    );
    for role in shared.roles.keys() {
        let _ = write!(page, "<li><a href=\"/authorize/{role}?{query}\">{role}</a>");
    }
    page.push_str("</ul><p>A sandbox has no passwords, because it cannot access real systems.");
    Html(page)
}

async fn authorize(
    State(Provider(shared)): State<Provider>,
    Path(role): Path<String>,
    Query(query): Query<Authorization>,
) -> Response {
    let is_valid = query.client_id == CLIENT
        && query.redirect_uri == shared.redirect_uri
        && query.response_type == "code"
        && query.code_challenge_method == "S256"
        && shared.roles.contains_key(&role);
    let Ok(mut back) = Url::parse(&shared.redirect_uri) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if !is_valid {
        return (StatusCode::BAD_REQUEST, "The sign-in request is not one of the console.").into_response();
    }
    let code = Uuid::new_v4().to_string();
    {
        let mut codes = shared.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() >= MAX_CODES {
            codes.clear();
        }
        codes.insert(code.clone(), Code { role, nonce: query.nonce, challenge: query.code_challenge });
    }
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &query.state).append_pair("iss", ISSUER);
    Redirect::to(back.as_str()).into_response()
}

async fn exchange(State(Provider(shared)): State<Provider>, Form(form): Form<Exchange>) -> Response {
    let refuse = || (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    let code = shared.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(&form.code);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&form.code_verifier));
    let is_valid =
        form.grant_type == "authorization_code" && form.redirect_uri == shared.redirect_uri && form.client_id == CLIENT;
    let Some(code) = code.filter(|code| is_valid && code.challenge == challenge) else { return refuse() };
    let Some(scopes) = shared.roles.get(&code.role) else { return refuse() };
    let subject = code.role.as_str();
    let claims = Claims { subject, client: CLIENT, scopes, tenant: None, ttl: DEFAULT_TTL };
    let tokens = shared.issuer.sign(&claims).and_then(|access| {
        let id = shared.issuer.sign_id_token(subject, CLIENT, code.nonce.as_deref())?;
        Ok(json!({
            "access_token": access.expose_secret(),
            "id_token": id.expose_secret(),
            "token_type": "Bearer",
            "expires_in": DEFAULT_TTL.as_secs(),
        }))
    });
    tokens.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |tokens| Json(tokens).into_response())
}
