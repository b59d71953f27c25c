//! Identity Center's directory: users and groups.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State};

/// The directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IdentityStore {}

impl IdentityStore {
    /// A directory with the groups of the settings.
    pub fn new(_settings: &Settings, _now: DateTime<Utc>) -> Self {
        Self {}
    }
}

/// Answers a call.
pub fn call(_state: &mut State, _ctx: &Ctx, operation: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::unknown_operation(operation))
}
