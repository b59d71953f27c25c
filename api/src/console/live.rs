//! Live pages: a stream that sends the content of a page again after each change.
//!
//! The stream reads the page through the routes of the console, as the browser does, so that its content has the same
//! checks. Viewers with the same rights share one reading of a page.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, Request, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::feed::FeedFilter;
use freehold_tenancy::{Clock, OperationId, TenantId};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tower::ServiceExt;

use super::session::{self, LiveReading, Visitor};
use crate::app::App;
use crate::problem::ApiError;
use crate::stream_limiter::StreamPermit;
use crate::watcher::{FeedFollower, OperationFollower, OperationNews};

/// Interval between keep-alive comments, which prevent proxies from closing an idle connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Interval at which a page is read without a change, because it shows durations and the session may have ended.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// Minimum time between two readings of a page about one operation.
const MIN_OPERATION_INTERVAL: Duration = Duration::from_millis(100);

/// Minimum time between two readings of a list.
const MIN_LIST_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum size of a page.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Event after which the browser loads the page again, because the person is no longer signed in.
const SIGNED_OUT: &str = "signed-out";

/// Extension of the response of a page about one operation and its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShownOperation {
    pub(super) operation: OperationId,
    pub(super) tenant: TenantId,
}

/// Pages with the latest content that their viewers share; cheap to clone.
#[derive(Clone)]
pub(super) struct LivePages {
    pages: Router,
    shared: Arc<Mutex<HashMap<String, Weak<SharedPage>>>>,
}

/// Page as all viewers with the same rights see it: the latest content, with the time at which its reading began.
#[derive(Default)]
struct SharedPage(tokio::sync::Mutex<Option<(Instant, Content)>>);

#[derive(Clone)]
struct Content {
    html: Arc<str>,
    shown: Option<ShownOperation>,
}

impl LivePages {
    pub(super) fn new(pages: Router) -> Self {
        Self { pages, shared: Arc::default() }
    }

    fn share(&self, key: String) -> Arc<SharedPage> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, page| page.strong_count() > 0);
        if let Some(page) = shared.get(&key).and_then(Weak::upgrade) {
            return page;
        }
        let page = Arc::<SharedPage>::default();
        shared.insert(key, Arc::downgrade(&page));
        page
    }

    /// Reads a page with the cookies of a browser. Fails with the response if it is no page.
    async fn read(&self, path: &str, browser: &HeaderMap) -> Result<Content, Response> {
        let mut request = Request::builder().method(Method::GET).uri(path);
        for cookie in browser.get_all(header::COOKIE) {
            request = request.header(header::COOKIE, cookie);
        }
        let mut request = request.body(Body::empty()).map_err(|_| no_page().into_response())?;
        request.extensions_mut().insert(LiveReading);
        let Ok(response) = self.pages.clone().oneshot(request).await;
        if !response.status().is_success() {
            return Err(response);
        }
        let shown = response.extensions().get().copied();
        let body = axum::body::to_bytes(response.into_body(), MAX_PAGE_BYTES).await;
        let body = body.map_err(|_| ApiError::internal().into_response())?;
        let page = std::str::from_utf8(&body).map_err(|_| no_page().into_response())?;
        let html = main_content(page).ok_or_else(|| no_page().into_response())?;
        Ok(Content { html: html.into(), shown })
    }
}

fn no_page() -> ApiError {
    ApiError::invalid_field("page", "invalid", "must be the path of a page of the console".to_owned())
}

/// Returns the content of the element `main` of a page.
fn main_content(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<main ")?;
    let (_, rest) = rest.split_once('>')?;
    rest.rsplit_once("</main>").map(|(content, _)| content)
}

/// Fields of the query of a stream.
#[derive(Deserialize)]
pub(super) struct FollowedPage {
    page: Option<String>,
}

/// Streams the content of a page: first as it is now, then after each change.
pub(super) async fn follow(
    State(app): State<App>,
    Extension(pages): Extension<LivePages>,
    visitor: Visitor,
    Query(FollowedPage { page }): Query<FollowedPage>,
    browser: HeaderMap,
) -> Result<Response, ApiError> {
    let path = page.filter(|page| page == "/console" || page.starts_with("/console/")).ok_or_else(no_page)?;
    let person = visitor.person();
    let permit = app.streams.acquire(&person)?;
    let until_expiry = (person.expires_at - Clock::real().now()).to_std().unwrap_or_default();
    let lifetime = until_expiry.min(app.config.api.limits.max_stream_duration());
    let shutdown = app.shutdown.clone();
    let key = json!([path, person.issuer, person.subject, person.client, person.scopes]).to_string();
    let mut viewer = Viewer {
        feed: app.watcher.follow_feed(),
        page: pages.share(key),
        app,
        pages,
        path,
        browser,
        operation: None,
        shown: None,
        latest: None,
        must_send: true,
        has_ended: false,
        refresh_at: Instant::now() + REFRESH_INTERVAL,
        _permit: permit,
    };
    // The first reading is the response if it fails, for example with 404.
    if let Err(response) = viewer.read(Instant::now()).await {
        return Ok(response);
    }
    let end = async move {
        tokio::select! {
            () = sleep(lifetime) => {}
            () = shutdown.cancelled() => {}
        }
    };
    let events = stream::unfold(viewer, Viewer::next).take_until(Box::pin(end));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL)).into_response())
}

/// Browser that follows a page.
struct Viewer {
    app: App,
    pages: LivePages,
    page: Arc<SharedPage>,
    path: String,
    browser: HeaderMap,
    feed: FeedFollower,
    operation: Option<OperationFollower>,
    shown: Option<ShownOperation>,
    latest: Option<Arc<str>>,
    /// Whether `latest` was not sent yet.
    must_send: bool,
    has_ended: bool,
    /// Time of the next reading without a change.
    refresh_at: Instant,
    _permit: StreamPermit,
}

impl Viewer {
    /// Returns the content as soon as it has changed, or `None` at the end of the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while !self.must_send && !self.has_ended {
            let learnt_at = self.change().await;
            let Some(learnt_at) = learnt_at else {
                self.has_ended = true;
                return Some((Ok(Event::default().event(SIGNED_OUT).data("sign in again")), self));
            };
            // The browser connects again, and shows meanwhile that the page is not live.
            self.has_ended = self.read(learnt_at).await.is_err();
        }
        if self.has_ended {
            return None;
        }
        self.must_send = false;
        let content = self.latest.as_deref().unwrap_or_default().replace('\r', "");
        Some((Ok(Event::default().data(content)), self))
    }

    /// Waits for a change. Returns the earliest time at which a reading may have begun that contains it; `None` if the
    /// person is no longer signed in.
    async fn change(&mut self) -> Option<Instant> {
        sleep(if self.shown.is_some() { MIN_OPERATION_INTERVAL } else { MIN_LIST_INTERVAL }).await;
        let filter = FeedFilter { tenant: self.shown.map(|shown| shown.tenant), types: None };
        let is_ended = tokio::select! {
            is_ended = operation_change(self.operation.as_mut()) => is_ended,
            () = self.feed.changed(&filter) => false,
            () = sleep_until(self.refresh_at) => {
                self.refresh_at = Instant::now() + REFRESH_INTERVAL;
                let is_signed_in = session::is_signed_in(&self.app, &self.browser).await;
                return is_signed_in.then(|| Instant::now() - REFRESH_INTERVAL / 2);
            }
        };
        if is_ended {
            self.operation = None;
        }
        Some(Instant::now())
    }

    /// Reads the page, unless another viewer has read it since `learnt_at`.
    async fn read(&mut self, learnt_at: Instant) -> Result<(), Response> {
        let page = Arc::clone(&self.page);
        let mut latest = page.0.lock().await;
        let content = match &*latest {
            Some((began_at, content)) if *began_at >= learnt_at => content.clone(),
            _ => {
                let began_at = Instant::now();
                let content = self.pages.read(&self.path, &self.browser).await?;
                *latest = Some((began_at, content.clone()));
                content
            }
        };
        drop(latest);
        if content.shown != self.shown {
            self.shown = content.shown;
            // The page is read again, because the operation may have changed before the follower existed.
            self.operation = self.shown.map(|shown| self.app.watcher.follow_operation(shown.operation));
            self.operation.as_ref().inspect(|operation| operation.start_after(0));
        }
        if self.latest.as_ref() != Some(&content.html) {
            self.latest = Some(content.html);
            self.must_send = true;
        }
        Ok(())
    }
}

/// Waits for a change of the operation, forever without one. Returns whether it was the last change.
async fn operation_change(operation: Option<&mut OperationFollower>) -> bool {
    match operation {
        Some(operation) => matches!(operation.next().await, OperationNews::Ended),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_a_page_is_what_main_contains() {
        let page = "<body><nav></nav><main id=\"main\" data-x><h1>a</h1></main></body>";
        assert_eq!(main_content(page), Some("<h1>a</h1>"));
        assert_eq!(main_content("<body>sign in</body>"), None);
    }
}
