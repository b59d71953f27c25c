//! Making the world misbehave on purpose.

use serde::{Deserialize, Serialize};

use crate::world::{Ctx, Request};

/// What goes wrong with a call, or with the work that it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The call ends in this error; nothing happens.
    Error {
        /// HTTP status.
        status: u16,
        /// Error code.
        code: String,
        /// Message.
        message: String,
    },
    /// The call is accepted and the work never ends.
    Stuck,
    /// The call is accepted and the work ends in a failed state for this reason.
    FailedState {
        /// As in `FailureReason` or a stack's status reason.
        reason: String,
    },
    /// The call is refused because there were too many.
    Throttle,
    /// A list answers with an empty page and a token for the next.
    EmptyPage,
}

/// The rules in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Faults {}

impl Faults {
    /// The fault that this call is to suffer, if any.
    pub fn next(&mut self, _ctx: &Ctx, _request: &Request) -> Option<Fault> {
        None
    }
}
