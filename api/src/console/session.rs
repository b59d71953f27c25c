//! Session of a person: a cookie with a random id, whose hash is in the database.

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;
use freehold_tenancy::db::console_sessions::{self, ConsoleSession, SessionHash};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::api_calls::{Api, ApiRouter};
use crate::app::App;
use crate::auth::{Caller, TenantScope};
use crate::problem::ApiError;
use crate::scope::Scope;

/// Maximum duration of a session.
const MAX_SESSION: TimeDelta = TimeDelta::hours(9);

/// Name of the session cookie where the console has TLS. Browsers accept it from this host over TLS only.
const SECURE_COOKIE: &str = "__Host-freehold-session";

/// Name of the session cookie on this machine, without TLS.
const LOCAL_COOKIE: &str = "freehold-session";

/// Extension of a request with which a stream reads a page. The rate limiter counted the stream when it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveReading;

/// Person who is signed in, with a client of the API.
pub(super) struct Visitor {
    pub(super) api: Api,
    /// Path of the requested page, with its query; `None` for an action.
    pub(super) page: Option<String>,
}

impl Visitor {
    /// Returns the person as a caller with a client of its own, for limits. All people have the same client.
    pub(super) fn person(&self) -> Caller {
        let caller = self.api.caller();
        Caller { client: json!([caller.client, caller.subject]).to_string(), ..caller.clone() }
    }

    /// Returns whether the person has a scope.
    pub(super) fn has_scope(&self, scope: Scope) -> bool {
        self.api.caller().scopes.contains(scope.as_str())
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let OriginalUri(uri) =
            OriginalUri::from_request_parts(parts, app).await.map_err(IntoResponse::into_response)?;
        let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let page = parts.method.is_safe().then_some(path);
        // An action is not repeated after the sign-in; the page of its object is shown instead.
        let path = page.clone().unwrap_or_else(|| parent(uri.path()).to_owned());
        let router = parts.extensions.get::<ApiRouter>().cloned();
        let ApiRouter(router) = router.ok_or_else(|| ApiError::internal().into_response())?;
        let session = match session_id(app, &parts.headers) {
            Some(id) => find(app, &id).await.map_err(IntoResponse::into_response)?,
            None => None,
        };
        let Some(session) = session else { return Err(sign_in_first(&path)) };
        let caller = Caller {
            issuer: session.issuer,
            subject: session.subject,
            client: session.client,
            scopes: session.scopes.into_iter().collect(),
            tenant_scope: TenantScope::Fleet,
            expires_at: session.expires_at,
        };
        let visitor = Self { api: Api::new(router, caller, parts), page };
        if parts.extensions.get::<LiveReading>().is_none() {
            app.rate_limiter.check(&visitor.person()).map_err(|refusal| {
                app.metrics.count_refusal("requests_per_minute");
                refusal.into_response()
            })?;
        }
        Ok(visitor)
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(parent, _)| parent)
}

/// Returns the response to a request without a session.
fn sign_in_first(path: &str) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("to", path).finish();
    let target = format!("/console/sign-in?{query}");
    Redirect::to(&target).into_response()
}

/// Returns whether the browser still has a session. An error of the database ends no session.
pub(super) async fn is_signed_in(app: &App, headers: &HeaderMap) -> bool {
    match session_id(app, headers) {
        Some(id) => find(app, &id).await.map_or(true, |session| session.is_some()),
        None => false,
    }
}

fn hash(id: &str) -> SessionHash {
    Sha256::digest(id).into()
}

async fn find(app: &App, id: &str) -> Result<Option<ConsoleSession>, ApiError> {
    Ok(console_sessions::find(&app.pool, hash(id), now()).await?)
}

/// Creates a session of `caller`. Returns the cookie for the browser.
pub(super) async fn create(app: &App, caller: Caller) -> Result<HeaderValue, ApiError> {
    let id = random_text()?;
    let session = ConsoleSession {
        issuer: caller.issuer,
        subject: caller.subject,
        client: caller.client,
        scopes: caller.scopes.into_iter().collect(),
        expires_at: caller.expires_at.min(now() + MAX_SESSION),
    };
    console_sessions::create(&app.pool, hash(&id), &session, now()).await?;
    Ok(cookie(app, session_cookie(app), &id, None))
}

/// Deletes the session of the browser. Returns the cookie that replaces the one of the session.
pub(super) async fn delete(app: &App, headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    if let Some(id) = session_id(app, headers) {
        console_sessions::delete(&app.pool, hash(&id)).await?;
    }
    Ok(cookie(app, session_cookie(app), "", Some(0)))
}

fn session_id(app: &App, headers: &HeaderMap) -> Option<String> {
    cookie_value(headers, session_cookie(app))
}

fn session_cookie(app: &App) -> &'static str {
    if has_tls(app) { SECURE_COOKIE } else { LOCAL_COOKIE }
}

pub(super) fn has_tls(app: &App) -> bool {
    app.config.console.url.as_ref().is_some_and(|url| url.starts_with("https://"))
}

/// Returns the value of a cookie of the request.
pub(super) fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}

/// Returns a `Set-Cookie` header. The value must consist of characters that cookies may contain.
pub(super) fn cookie(app: &App, name: &str, value: &str, max_age: Option<u32>) -> HeaderValue {
    let secure = if has_tls(app) { "; Secure" } else { "" };
    let age = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    // A strict cookie would be missing on the redirect from the provider.
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Returns 256 random bits as text.
pub(super) fn random_text() -> Result<String, ApiError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ApiError::internal())?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the real time, against which access tokens are checked too.
fn now() -> DateTime<Utc> {
    Clock::real().now()
}
