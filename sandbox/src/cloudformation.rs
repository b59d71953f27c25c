//! CloudFormation.

use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::world::{AwsError, Ctx, Request, State};

/// The stacks of one region of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stacks {}

/// A CloudWatch log group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LogGroup {}

/// Answers a call.
pub fn call(_state: &mut State, _ctx: &Ctx, operation: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::unknown_operation(operation))
}
