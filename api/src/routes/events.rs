//! Route that lists the event feed in CloudEvents 1.0 format.

pub(crate) mod schema;

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use freehold_tenancy::TenantId;
use freehold_tenancy::db;
use freehold_tenancy::db::feed::{FeedFilter, FeedPage, ReadResult};
use freehold_tenancy::feed::{FeedEvent, FeedType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::detached::run_detached;
use crate::extract::{BoundedInt, Fields, QueryFields};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// Number of events per page if `page_size` is not given.
const DEFAULT_PAGE_SIZE: i64 = 100;

/// Maximum value of `page_size`.
const MAX_PAGE_SIZE: i64 = 1000;

/// Maximum value of `wait` in seconds. It must be less than the request timeout.
const MAX_WAIT_SECONDS: i64 = 25;

/// Page of the feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEventPage {
    /// Events in the order of their positions.
    #[schema(schema_with = schema::event_list_schema)]
    pub events: Vec<FeedEvent>,
    /// Position to send as `after` for the next page. It advances even if the filters match no event.
    #[schema(example = 4811)]
    pub next_after: i64,
    /// `true` if more events are available now.
    pub has_more: bool,
    /// Position of the latest event in the feed, which the filters may leave out.
    #[serde(default)]
    #[schema(required = true, example = 4811)]
    pub latest_position: i64,
}

/// List the events of the feed
///
/// Each event after the position `after` is returned exactly once, in a stable order. Store `next_after` after you have
/// processed a page, and send it as `after` of the next request; with `wait`, the response is sent as soon as an event
/// exists. For the first request, set `after` to the `feed_position` of `GET /v1/account-mappings`, or omit `after` to
/// read all stored events. Events are kept for a year.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "listEvents",
    tag = "events",
    params(
        (
            "after" = Option<i64>, Query,
            description = "Position after which to read [default: the oldest stored event]",
            minimum = 0, example = 4711
        ),
        (
            "types" = Option<String>, Query,
            description = "Only events of these types, separated by commas",
            example = "environment.account.assigned,environment.account.released"
        ),
        (
            "tenant" = Option<String>, Query,
            description = "Only events of this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 100]",
            minimum = 1, maximum = 1000, example = 100
        ),
        (
            "wait" = Option<u64>, Query,
            description = "Seconds to wait for an event if none exists yet [default: 0]",
            minimum = 0, maximum = 25, example = 20
        ),
    ),
    responses(
        (status = 200, description = "Page of the feed", body = FeedEventPage),
        (
            status = 410,
            description = "Events after this position have been deleted (`feed_position_expired`); read `GET \
                /v1/account-mappings` again and continue from its `feed_position`",
            body = Problem, content_type = MEDIA_TYPE
        ),
    ),
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(query): QueryFields,
) -> Result<Json<FeedEventPage>, ApiError> {
    let FeedQuery { after, size, wait, types, tenant } = FeedQuery::from_query(query)?;
    let size = size.unwrap_or(DEFAULT_PAGE_SIZE);
    let filter = FeedFilter { tenant: caller.tenant_scope.filter(tenant)?, types };

    let mut page = read_feed_page(&app, &filter, after, size).await?;
    if let Some(wait @ 1..) = wait
        && page.entries.is_empty()
    {
        let _permit = app.streams.acquire(&caller)?;
        let wait = Duration::from_secs(wait.unsigned_abs());
        page = wait_for_events(&app, &filter, page.next_after, size, wait).await?;
    }
    let events = page.entries.into_iter().map(|entry| FeedEvent::of(entry, &app.config)).collect();
    Ok(Json(FeedEventPage {
        events,
        next_after: page.next_after,
        has_more: page.has_more,
        latest_position: page.latest,
    }))
}

/// Returns the next page as soon as there are events after `after` that match the filter. Returns an empty page after
/// the duration `wait` or when the process stops.
async fn wait_for_events(
    app: &App,
    filter: &FeedFilter,
    mut after: i64,
    size: i64,
    wait: Duration,
) -> Result<FeedPage, ApiError> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut follower = app.watcher.follow_feed();
    let limit = usize::try_from(size).unwrap_or_default();
    loop {
        // The watcher delivers what is written after this read.
        let page = read_feed_page(app, filter, Some(after), size).await?;
        after = page.next_after;
        if !page.entries.is_empty() {
            return Ok(page);
        }
        if page.has_more {
            continue;
        }
        let new = tokio::select! {
            page = follower.next(&mut after, filter, limit) => page,
            () = tokio::time::sleep_until(deadline) => Some(page),
            () = app.shutdown.cancelled() => Some(page),
        };
        if let Some(page) = new {
            return Ok(FeedPage { next_after: page.next_after.max(after), ..page });
        }
    }
}

pub(crate) struct FeedQuery {
    pub(crate) after: Option<i64>,
    pub(crate) size: Option<i64>,
    pub(crate) wait: Option<i64>,
    pub(crate) types: Option<Vec<FeedType>>,
    pub(crate) tenant: Option<TenantId>,
}

impl FeedQuery {
    pub(crate) fn from_query(mut query: Fields) -> Result<Self, ApiError> {
        let parsed = Self {
            after: query.optional("after").map(|BoundedInt::<0, { i64::MAX }>(after)| after),
            size: query.optional("page_size").map(|BoundedInt::<1, MAX_PAGE_SIZE>(size)| size),
            wait: query.optional("wait").map(|BoundedInt::<0, MAX_WAIT_SECONDS>(wait)| wait),
            types: query.optional("types").map(|EventTypes(types)| types),
            tenant: query.optional("tenant"),
        };
        query.finish(Some(parsed))
    }
}

/// Assigns feed positions to new events and returns the latest position. A client disconnect does not interrupt the
/// assignment.
pub(super) async fn advance(app: &App) -> Result<i64, ApiError> {
    let (pool, now) = (app.pool.clone(), app.clock.now());
    Ok(run_detached(async move { db::feed::advance(&pool, now).await }).await?)
}

async fn read_feed_page(app: &App, filter: &FeedFilter, after: Option<i64>, size: i64) -> Result<FeedPage, ApiError> {
    advance(app).await?;
    match db::feed::read(&app.pool, filter, after, size).await? {
        ReadResult::Page(page) => Ok(page),
        ReadResult::Expired { first } => Err(ApiError::new(
            Code::FeedPositionExpired,
            format!(
                "Events are kept for a year; the feed now starts at position {first}. Read GET /v1/account-mappings \
                 again and continue from its feed_position."
            ),
        )),
        ReadResult::AheadOfFeed { latest } => Err(ApiError::new(
            Code::InvalidQuery,
            format!(
                "`after` is beyond the end of the feed at position {latest}; it may come from another installation."
            ),
        )),
    }
}

/// Comma-separated list of event types.
struct EventTypes(Vec<FeedType>);

impl std::str::FromStr for EventTypes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|name| name.trim().parse()).collect::<Result<_, String>>().map(Self)
    }
}
