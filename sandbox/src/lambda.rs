//! Lambda functions: created by stacks, called through their Function URLs.

use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::world::{AwsError, Ctx, Request, State};

/// The functions of one region of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Functions {}

/// Answers a call of the Function URL `url_id` in `ctx.region`; `ctx.caller` may be anonymous.
pub fn invoke_url(_state: &mut State, _ctx: &Ctx, _url_id: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::new("ResourceNotFoundException", "Function URL not found.").status(404))
}
