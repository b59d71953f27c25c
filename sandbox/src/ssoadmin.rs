//! Identity Center's administration: permission sets and account assignments.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State};

/// The Identity Center instance of the organisation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IdentityCenter {}

impl IdentityCenter {
    /// An instance in the home region, without permission sets.
    pub fn new(_settings: &Settings, _now: DateTime<Utc>) -> Self {
        Self {}
    }
}

/// Answers a call.
pub fn call(_state: &mut State, _ctx: &Ctx, operation: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::unknown_operation(operation))
}
