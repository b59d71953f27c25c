//! AWS Organizations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::settings::Settings;
use crate::world::{AwsError, Ctx, Request, State};

/// The organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Organization {
    /// `o-…`
    pub id: String,
}

impl Organization {
    /// A new organisation.
    pub fn new(_settings: &Settings, _now: DateTime<Utc>) -> Self {
        Self { id: "o-sandbox000".into() }
    }
}

/// Brings accounts that are ready into being.
pub(crate) fn advance(_state: &mut State, _settings: &Settings, _now: DateTime<Utc>) {}

/// Answers a call.
pub fn call(_state: &mut State, _ctx: &Ctx, operation: &str, _request: &Request) -> Result<MockResponse, AwsError> {
    Err(AwsError::unknown_operation(operation))
}
