//! Routes that list and return operations.

pub(crate) mod actions;
pub(crate) mod bundle;
pub(super) mod load;

use axum::extract::State;
use axum::{Extension, Json};
use freehold_tenancy::db::operations::OperationFilter;
use freehold_tenancy::{OperationId, db};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::enums::OperationState;
use super::schema::operation::Operation;
use crate::app::App;
use crate::auth::Caller;
use crate::extract::{PathParam, QueryFields};
use crate::pagination::Page;
use crate::problem::ApiError;

/// Page of operations, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationPage {
    /// Operations of this page, without their steps.
    pub operations: Vec<Operation>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// List operations, newest first
#[utoipa::path(
    get,
    path = "/v1/operations",
    operation_id = "listOperations",
    tag = "operations",
    params(
        (
            "page_size" = Option<i64>, Query,
            description = "Page size [default: 50]",
            minimum = 1, maximum = 200, example = 50
        ),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the previous page"),
        (
            "state" = Option<OperationState>, Query,
            description = "Only operations in this state",
            example = "needs_attention"
        ),
        (
            "code" = Option<String>, Query,
            description = "Only operations with this attention code",
            example = "account_email_taken"
        ),
        (
            "tenant" = Option<String>, Query,
            description = "Only operations of this tenant",
            example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"
        ),
    ),
    responses((status = 200, description = "Page of operations", body = OperationPage)),
)]
pub(crate) async fn list_operations(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    QueryFields(mut query): QueryFields,
) -> Result<Json<OperationPage>, ApiError> {
    let page = Page::from_query("operations", &mut query)?;
    let filter = OperationFilter {
        state: query.optional("state"),
        code: query.optional::<AttentionCode>("code").map(|code| code.0),
        tenant: query.optional("tenant"),
    };
    let mut filter = query.finish(Some(filter))?;
    filter.tenant = caller.tenant_scope.filter(filter.tenant)?;
    let mut operations = db::operations::list(&app.pool, &filter, page.after(), page.limit()).await?;
    let next_page_token = page.truncate_and_next_token(&mut operations, |operation| operation.id.as_uuid());
    let without_steps = |operation| Operation { steps: None, ..operation };
    let operations = load::with_queue_positions(&app, operations).await?.into_iter().map(without_steps).collect();
    Ok(Json(OperationPage { operations, next_page_token }))
}

struct AttentionCode(String);

impl std::str::FromStr for AttentionCode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| Self(text.to_owned())).ok_or("must be a code such as account_email_taken")
    }
}

/// Get an operation with its steps
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    operation_id = "getOperation",
    tag = "operations",
    params(("id" = String, Path, description = "Operation id", example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")),
    responses((status = 200, description = "Operation with its steps and approvals", body = Operation)),
)]
pub(crate) async fn get_operation(
    State(app): State<App>,
    PathParam(id): PathParam<OperationId>,
) -> Result<Json<Operation>, ApiError> {
    let id = id.ok_or_else(ApiError::operation_not_found)?;
    load::load_operation(&app, id).await.map(Json)
}
