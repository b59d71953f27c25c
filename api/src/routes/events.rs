//! The feed: what happened to whom, in order, as CloudEvents 1.0.

pub(crate) mod schema;

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use freehold_tenancy::TenantId;
use freehold_tenancy::db;
use freehold_tenancy::db::feed::{FeedFilter, FeedPage, ReadResult};
use freehold_tenancy::feed::FeedType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use schema::{FeedEvent, FeedEventData};

use crate::app::App;
use crate::auth::Caller;
use crate::detached::detached;
use crate::extract::{BoundedInt, Fields, QueryFields};
use crate::problem::{ApiError, Code, MEDIA_TYPE, Problem};

/// How many events a page has when nobody says how many.
const DEFAULT_PAGE_SIZE: i64 = 100;

/// How many events a page has at most.
const MAX_PAGE_SIZE: i64 = 1000;

/// How long somebody may wait for what is not there yet, in seconds: less than a request may take.
const LONGEST_WAIT: i64 = 25;

/// How often the database is asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEventPage {
    /// The events, in the order of their positions.
    #[schema(schema_with = schema::of_any_type)]
    pub events: Vec<FeedEvent>,
    /// Where to go on: `after` of the next page. It moves on also where no event was of interest.
    #[schema(example = 4811)]
    pub next_after: i64,
    /// Whether there is more already.
    pub has_more: bool,
}

/// Follow what happens
///
/// Every event comes once, in an order that does not change, from `after` on. Keep `next_after` once you have dealt with a
/// page, and ask for what follows it; with `wait` the answer comes as soon as there is something. To begin, take the
/// `feed_position` of `GET /v1/account-mappings`, or leave `after` out for everything that is kept, which is a year.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "listEvents",
    tag = "events",
    params(
        ("after" = Option<i64>, Query, description = "The position after which to go on; the beginning if left out", minimum = 0, example = 4711),
        ("types" = Option<String>, Query, description = "Only events of these types, with commas between them", example = "environment.account.assigned,environment.account.released"),
        ("tenant" = Option<String>, Query, description = "Only what happened to this tenant", example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"),
        ("page_size" = Option<i64>, Query, description = "How many at most; 100 if left out", minimum = 1, maximum = 1000, example = 100),
        ("wait" = Option<u64>, Query, description = "How many seconds to wait for an event where there is none yet; none if left out", minimum = 0, maximum = 25, example = 20),
    ),
    responses(
        (status = 200, description = "A page of the feed", body = FeedEventPage),
        (status = 410, description = "What comes after this position is no longer kept (`feed_position_expired`): take `GET /v1/account-mappings` anew, and go on from its `feed_position`", body = Problem, content_type = MEDIA_TYPE),
    ),
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(query): QueryFields,
) -> Result<Json<FeedEventPage>, ApiError> {
    let FeedQuery { mut after, size, wait, types, tenant } = FeedQuery::read(query)?;
    let size = size.unwrap_or(DEFAULT_PAGE_SIZE);
    let filter = FeedFilter { tenant: caller.tenant_scope.filter(tenant)?, types };

    let patience = tokio::time::Instant::now() + Duration::from_secs(wait.map_or(0, i64::unsigned_abs));
    loop {
        let page = read(&app, &filter, after, size).await?;
        let waits = page.entries.is_empty() && tokio::time::Instant::now() < patience && !app.shutdown.is_cancelled();
        if !waits {
            let events = page.entries.into_iter().map(|entry| FeedEvent::of(entry, &app.config)).collect();
            return Ok(Json(FeedEventPage { events, next_after: page.next_after, has_more: page.has_more }));
        }
        after = Some(page.next_after);
        if !page.has_more {
            tokio::time::sleep_until(patience.min(tokio::time::Instant::now() + LOOK_EVERY)).await;
        }
    }
}

/// What the query says.
pub(crate) struct FeedQuery {
    pub(crate) after: Option<i64>,
    pub(crate) size: Option<i64>,
    pub(crate) wait: Option<i64>,
    pub(crate) types: Option<Vec<FeedType>>,
    pub(crate) tenant: Option<TenantId>,
}

impl FeedQuery {
    pub(crate) fn read(mut query: Fields) -> Result<Self, ApiError> {
        let asking = Self {
            after: query.optional("after").map(|BoundedInt::<0, { i64::MAX }>(after)| after),
            size: query.optional("page_size").map(|BoundedInt::<1, MAX_PAGE_SIZE>(size)| size),
            wait: query.optional("wait").map(|BoundedInt::<0, LONGEST_WAIT>(wait)| wait),
            types: query.optional("types").map(|Types(types)| types),
            tenant: query.optional("tenant"),
        };
        query.finish(Some(asking))
    }
}

/// Gives everything that has happened its position, and answers the latest one; also if whoever asked hangs up meanwhile.
pub(super) async fn advance(app: &App) -> Result<i64, ApiError> {
    let (pool, now) = (app.pool.clone(), app.clock.now());
    Ok(detached(async move { db::feed::advance(&pool, now).await }).await?)
}

async fn read(app: &App, filter: &FeedFilter, after: Option<i64>, size: i64) -> Result<FeedPage, ApiError> {
    advance(app).await?;
    match db::feed::read(&app.pool, filter, after, size).await? {
        ReadResult::Page(page) => Ok(page),
        ReadResult::Expired { first } => Err(ApiError::new(
            Code::FeedPositionExpired,
            format!(
                "The feed is kept for a year, and begins at position {first} now. Take GET /v1/account-mappings anew, and go on \
                 from its feed_position."
            ),
        )),
        ReadResult::AheadOfFeed { latest } => Err(ApiError::new(
            Code::InvalidQuery,
            format!("The feed has only come to position {latest}; is this the after of another installation?"),
        )),
    }
}

/// Types of events with commas between them.
struct Types(Vec<FeedType>);

impl std::str::FromStr for Types {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|name| name.trim().parse()).collect::<Result<_, String>>().map(Self)
    }
}
