//! May the caller do this? Its own policies and the service control policies above its account decide.

use super::{AwsError, Ctx, Request, State};

/// Authorises the operation that is being called.
pub(super) fn operation(_state: &State, _ctx: &Ctx, _request: &Request) -> Result<(), AwsError> {
    Ok(())
}

impl State {
    /// Whether the caller may do `action` (such as `lambda:CreateFunction`) to `resource` (an ARN, or `*`); the error
    /// is the one that AWS gives.
    pub fn authorize(&self, _ctx: &Ctx, _action: &str, _resource: &str) -> Result<(), AwsError> {
        Ok(())
    }
}
