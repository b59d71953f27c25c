//! Sign-in and sign-out. The browser keeps the secrets of a sign-in in a short-lived cookie, so that another browser
//! cannot finish it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use url::Url;

use super::layout::html;
use super::provider::{Discovery, Provider, ProviderError, SignInSecrets};
use super::session::{self, cookie, cookie_value, random_text};
use crate::app::App;
use crate::auth::TenantScope;
use crate::problem::{ApiError, Code, PAGES, is_page_path};

/// Name of the cookie of a sign-in where the console has TLS. No other host can set it.
const SECURE_COOKIE: &str = "__Host-freehold-sign-in";

/// Name of the cookie of a sign-in on this machine, without TLS.
const LOCAL_COOKIE: &str = "freehold-sign-in";

/// Maximum length of the path of the page after the sign-in.
const MAX_TARGET_BYTES: usize = 1000;

/// Seconds in which a sign-in must end.
const MAX_AGE: u32 = 600;

/// Secrets of a sign-in, in the cookie.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    to: String,
}

/// Query of the sign-in page.
#[derive(Deserialize)]
pub(super) struct Target {
    to: Option<String>,
}

impl Target {
    /// Returns the page to show after the sign-in, which must be one of the console.
    fn path(self, app: &App) -> String {
        self.to.as_deref().and_then(|to| page_path(app, to)).unwrap_or_else(|| PAGES.to_owned())
    }
}

/// Returns the normalised path and query of a page of the console; `None` if `to` is no such page.
fn page_path(app: &App, to: &str) -> Option<String> {
    let own = Url::parse(app.config.console.url.as_deref()?).ok()?;
    let url = own.join(to).ok().filter(|url| url.origin() == own.origin() && is_page_path(url.path()))?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("{}{query}", url.path())).filter(|path| path.len() <= MAX_TARGET_BYTES)
}

/// Query of the redirect from the provider.
#[derive(Deserialize)]
pub(super) struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    go: String,
}

/// Shows the link to the provider. A form would be stopped by the policy that forms stay on the site.
pub(super) async fn page(State(app): State<App>, Query(target): Query<Target>) -> Result<Response, ApiError> {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("to", &target.path(&app)).finish();
    html(&SignInPage { go: format!("/console/sign-in/go?{query}") })
}

/// Redirects to the provider.
pub(super) async fn start(
    State(app): State<App>,
    Extension(provider): Extension<Arc<Provider>>,
    Query(target): Query<Target>,
) -> Result<Response, ApiError> {
    let discovery = provider.discover().await.map_err(|error| provider_failed(&error))?;
    let pending =
        Pending { state: random_text()?, nonce: random_text()?, verifier: random_text()?, to: target.path(&app) };
    let Pending { state, nonce, verifier, .. } = &pending;
    let url = provider.authorization_url(&discovery, &SignInSecrets { state, nonce, verifier });
    let value = serde_json::to_vec(&pending).map_err(|_| ApiError::internal())?;
    let cookie = cookie(&app, cookie_name(&app), &BASE64_URL_SAFE_NO_PAD.encode(value), Some(MAX_AGE));
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Finishes the sign-in after the redirect from the provider, and creates a session.
pub(super) async fn finish(
    State(app): State<App>,
    Extension(provider): Extension<Arc<Provider>>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, ApiError> {
    let pending = cookie_value(&headers, cookie_name(&app))
        .and_then(|value| BASE64_URL_SAFE_NO_PAD.decode(value).ok())
        .and_then(|json| serde_json::from_slice::<Pending>(&json).ok())
        .filter(|pending| answer.state.as_ref() == Some(&pending.state));
    let Some(pending) = pending else {
        return Err(failed(
            "The sign-in was not started in this browser, was replaced by another one, or took more than 10 minutes. \
             Sign in again.",
        ));
    };
    if let Some(error) = &answer.error {
        let why = answer.error_description.as_ref().unwrap_or(error);
        return Err(failed(&format!("The identity provider refused the sign-in: {}", first_characters(why))));
    }
    let discovery = provider.discover().await.map_err(|error| provider_failed(&error))?;
    check_issuer(&provider, &discovery, answer.iss.as_deref())?;
    let Some(code) = &answer.code else { return Err(failed("The identity provider sent no code. Sign in again.")) };
    let tokens =
        provider.exchange(&discovery, code, &pending.verifier).await.map_err(|error| provider_failed(&error))?;
    let verifier = &app.token_verifier;
    let nonce = verifier.id_token_nonce(&tokens.id_token, &provider.issuer, &provider.client_id).await?;
    if nonce.as_deref() != Some(pending.nonce.as_str()) {
        return Err(failed("The ID token belongs to another sign-in. Sign in again."));
    }
    let caller = verifier.verify(&tokens.access_token).await?;
    if caller.tenant_scope != TenantScope::Fleet {
        return Err(failed("The console is for the operator. This account may see one tenant only; use the API."));
    }
    session::delete(&app, &headers).await?;
    let (session, done) = (session::create(&app, caller).await?, cookie(&app, cookie_name(&app), "", Some(0)));
    let to = Target { to: Some(pending.to) }.path(&app);
    let mut response = Redirect::to(&to).into_response();
    for cookie in [session, done] {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Deletes the session, on the server and in the browser.
pub(super) async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let cookie = session::delete(&app, &headers).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/console/sign-in")).into_response())
}

fn cookie_name(app: &App) -> &'static str {
    if session::has_tls(app) { SECURE_COOKIE } else { LOCAL_COOKIE }
}

/// Checks that the answer comes from the provider that was asked (RFC 9207).
fn check_issuer(provider: &Provider, discovery: &Discovery, named: Option<&str>) -> Result<(), ApiError> {
    let is_expected = match named {
        Some(named) => named == provider.issuer,
        None => !discovery.authorization_response_iss_parameter_supported,
    };
    if is_expected { Ok(()) } else { Err(failed("The answer comes from another identity provider. Sign in again.")) }
}

fn failed(detail: &str) -> ApiError {
    ApiError::new(Code::SignInFailed, detail)
}

fn provider_failed(error: &ProviderError) -> ApiError {
    if matches!(error, ProviderError::Refused(..) | ProviderError::Busy) {
        // Strangers can send invalid codes.
        tracing::warn!(%error, "a sign-in to the console was refused: {error}");
        return failed("The code of the identity provider is not valid any more. Sign in again.");
    }
    tracing::error!(%error, "a person cannot sign in to the console: {error}");
    failed("The identity provider does not sign people in at the moment. The log of the API has the reason.")
}

fn first_characters(text: &str) -> String {
    text.chars().take(200).collect()
}
