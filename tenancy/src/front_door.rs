//! Front door of an environment: a CloudFront distribution that answers at one address for all of its regions.

use chrono::{DateTime, Utc};

use crate::Region;
use crate::string_enum::string_enum;

/// Name of the stack with the distribution in a tenant's account.
pub const FRONT_DOOR_STACK: &str = "freehold-front-door";

/// Field of the input of an operation with its change of the front door.
pub const FRONT_DOOR_FIELD: &str = "front_door";

string_enum! {
    /// State of a front door.
    FrontDoorState {
        /// The distribution is being created or verified for the first time.
        Creating = "creating",
        /// The distribution is verified.
        Deployed = "deployed",
        /// An operation changes or verifies a distribution that was deployed before.
        Updating = "updating",
        /// The environment is suspended, and the distribution answers no request.
        Disabled = "disabled",
        /// The front door was removed, and its stack is being deleted.
        Deleting = "deleting",
        /// The front door needs a person.
        Failed = "failed",
    }
}

string_enum! {
    /// Change of a front door by an operation that changes an environment which serves.
    FrontDoorChange {
        /// Creates the front door, or brings it to the current regions.
        Deploy = "deploy",
        /// Deletes the front door.
        Delete = "delete",
    }
}

/// Front door of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontDoor {
    pub state: FrontDoorState,
    /// Time since which the front door has this state.
    pub since: DateTime<Utc>,
    /// Reason of the state; `None` if there is none.
    pub message: Option<String>,
    /// Domain name of the distribution; `None` until the distribution is created.
    pub domain: Option<String>,
    /// URL of the distribution; `None` until the distribution is created.
    pub url: Option<String>,
    /// Replica region that answers reads if the home region fails; `None` without a replica.
    pub failover_region: Option<Region>,
    /// Time of the first successful verification.
    pub deployed_at: Option<DateTime<Utc>>,
}

impl FrontDoor {
    /// Creates a front door that was requested at `now`.
    pub fn requested(now: DateTime<Utc>) -> Self {
        Self {
            state: FrontDoorState::Creating,
            since: now,
            message: None,
            domain: None,
            url: None,
            failover_region: None,
            deployed_at: None,
        }
    }

    /// Returns the URL at which the environment answers, or `None` if the front door does not answer.
    pub fn serving_url(&self) -> Option<&str> {
        let serves = matches!(self.state, FrontDoorState::Deployed | FrontDoorState::Updating);
        self.url.as_deref().filter(|_| serves && self.deployed_at.is_some())
    }
}

/// Returns the region of the front door's stack, in which CloudFront keeps its configuration.
pub fn stack_region() -> Region {
    Region::US_EAST_1
}
