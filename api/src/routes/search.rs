//! Route that finds tenants, operations and rollouts by any text or id that a person may know.

use axum::extract::State;
use axum::{Extension, Json};
use freehold_tenancy::db;
use freehold_tenancy::db::search::{self, HitKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::enums::{SearchHitKind, SearchMatch};
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{QueryFields, SearchText};
use crate::problem::ApiError;
use crate::scope::Scope;

/// Maximum number of objects in a response.
const MAX_HITS: i64 = 20;

/// Object that a search has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// Kind of the object.
    #[schema(value_type = SearchHitKind, example = "tenant")]
    pub kind: String,
    /// Id of the object.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub id: String,
    /// Id of the tenant of the object; `null` if the object is not about one tenant.
    #[schema(required = true, example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: Option<String>,
    /// Company name of the tenant; `null` if the object is not about one tenant.
    #[schema(required = true, example = "Example GmbH")]
    pub company_name: Option<String>,
    /// Name of the environment, or kind of the operation or finding; `null` for other objects.
    #[schema(required = true, example = "onboard")]
    pub detail: Option<String>,
    /// Agreement with the searched text.
    #[schema(value_type = SearchMatch, example = "exact")]
    pub r#match: String,
}

/// Objects that a search has found, the best match first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchResult {
    /// At most 20 objects.
    pub hits: Vec<SearchHit>,
}

impl From<search::Hit> for SearchHit {
    fn from(hit: search::Hit) -> Self {
        Self {
            kind: hit.kind.to_string(),
            id: hit.id,
            tenant_id: hit.tenant_id.map(|id| id.to_string()),
            company_name: hit.company_name,
            detail: Some(hit.detail).filter(|detail| !detail.is_empty()),
            r#match: hit.match_kind.to_string(),
        }
    }
}

/// Search for tenants, operations and other objects
///
/// Finds tenants by a part of the company name, administrator e-mail address, external id or AWS account id, and any
/// object by its id. An operation is also found by the id of its latest failed request to AWS and by that of its
/// approval. Operations and findings are found only with the scope `operations:read`, rollouts with `rollouts:read`,
/// releases with `releases:read`.
#[utoipa::path(
    get,
    path = "/v1/search",
    operation_id = "search",
    tag = "tenants",
    params((
        "q" = String, Query,
        description = "Text or id, 1 to 128 characters; case-insensitive",
        example = "84122"
    )),
    responses((status = 200, description = "Found objects, the best match first", body = SearchResult)),
)]
pub(crate) async fn search(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<SearchResult>, ApiError> {
    let text = query.required("q").map(|SearchText::<128>(text)| text);
    let text = query.finish(text)?;
    let mut hits = db::search::find(&app.pool, &text, MAX_HITS).await?;
    hits.retain(|hit| scope_of(hit.kind).is_none_or(|scope| caller.scopes.contains(scope.as_str())));
    Ok(Json(SearchResult { hits: hits.into_iter().map(SearchHit::from).collect() }))
}

/// Returns the scope that an object needs besides that of the route.
fn scope_of(kind: HitKind) -> Option<Scope> {
    match kind {
        HitKind::Tenant | HitKind::Environment => None,
        HitKind::Operation | HitKind::Finding => Some(Scope::OperationsRead),
        HitKind::Release => Some(Scope::ReleasesRead),
        HitKind::Rollout => Some(Scope::RolloutsRead),
    }
}
