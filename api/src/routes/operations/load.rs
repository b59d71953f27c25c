//! Loading of operations and their queue positions for responses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::{OperationId, db, operation};

use crate::app::App;
use crate::problem::ApiError;
use crate::routes::schema::operation::{Approval, Operation, OperationHold, Queue};

/// Converts operations into response bodies and adds their queue positions and fleet holds.
pub(super) async fn with_queue_positions(
    app: &App,
    operations: Vec<operation::Operation>,
) -> Result<Vec<Operation>, ApiError> {
    let all: Vec<_> = operations.iter().collect();
    let queues = db::queue::of(&app.pool, &app.config, &all, app.clock.now()).await?;
    let holds = db::fleet_holds::of(&app.pool, &all).await?;
    let with_queue = |operation: operation::Operation| {
        let queue = queues.get(&operation.id).copied().map(Queue::from);
        let fleet_hold = holds.get(&operation.id).map(OperationHold::from);
        Operation { queue, fleet_hold, ..operation.into() }
    };
    Ok(operations.into_iter().map(with_queue).collect())
}

/// Loads an operation with its steps, approvals and queue position.
pub(super) async fn load_operation(app: &App, id: OperationId) -> Result<Operation, ApiError> {
    let operation = db::operations::get(&app.pool, id).await?.ok_or_else(ApiError::operation_not_found)?;
    let operation =
        with_queue_positions(app, vec![operation]).await?.pop().ok_or_else(ApiError::operation_not_found)?;
    let approvals = db::approvals::list_for_operation(&app.pool, id).await?;
    Ok(Operation { approvals: Some(approvals.into_iter().map(Approval::from).collect()), ..operation })
}

/// Responds with `202 Accepted` and the current state of an operation.
pub(in crate::routes) async fn accepted_response(app: &App, id: OperationId) -> Result<Response, ApiError> {
    let operation = load_operation(app, id).await?;
    let headers = [
        (header::LOCATION, HeaderValue::from_str(&format!("/v1/operations/{id}")).map_err(|_| ApiError::internal())?),
        (header::RETRY_AFTER, HeaderValue::from_static("5")),
    ];
    Ok((StatusCode::ACCEPTED, headers, Json(operation)).into_response())
}
