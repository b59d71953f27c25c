//! Security Token Service.

use winterbaume_core::MockResponse;

use crate::world::{AwsError, Ctx, Request, State};

/// Answers a call.
pub fn call(_state: &mut State, _ctx: &Ctx, operation: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::unknown_operation(operation))
}
