//! What a test may ask the world without going through AWS's API.

use serde::Serialize;

use super::{Busy, CallLog, World};

/// An account, as the organisation knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// Id.
    pub id: String,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// Id.
    pub id: String,
}

impl World {
    /// What has been called so far.
    pub fn calls(&self) -> CallLog {
        self.state().calls.clone()
    }

    /// When the world was working, and for whom.
    pub fn busy(&self) -> Vec<Busy> {
        self.state().busy.iter().cloned().collect()
    }
}
