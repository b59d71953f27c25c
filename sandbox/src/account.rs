//! Account Management: opt-in regions and alternate contacts.

use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::world::{AwsError, Ctx, Request, State};

/// Whether an opt-in region has been enabled.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OptIn {}

/// Whom AWS would write to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AlternateContact {}

/// Answers a call.
pub fn call(_state: &mut State, _ctx: &Ctx, operation: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::unknown_operation(operation))
}
