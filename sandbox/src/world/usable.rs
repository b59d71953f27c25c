//! Is there anything to ask? A region may not be enabled, an account may be closed or not ready yet.

use super::dispatch::invalid_token;
use super::{AwsError, Ctx, Service, State};
use crate::organizations::Lifecycle;
use crate::sts::refusal::region_disabled;

/// Refuses a call of a region that the caller's account has not enabled, from an account that is closed, or of a
/// service that a fresh account cannot use yet.
pub(super) fn check(state: &State, ctx: &Ctx) -> Result<(), AwsError> {
    let account = &ctx.caller.account;
    if ctx.caller.session.is_none() {
        return Ok(());
    }
    let closed = |lifecycle| lifecycle != Lifecycle::Active;
    if state.organization.members.get(account).is_some_and(|member| closed(member.lifecycle)) {
        return Err(invalid_token(ctx.service));
    }
    // A Function URL is asked in the region of its function, whichever regions the caller's account uses.
    if ctx.service != Service::Lambda && !state.region_enabled(account, &ctx.region, ctx.now) {
        return Err(match ctx.service {
            Service::Sts => region_disabled(&ctx.region, account),
            service => invalid_token(service),
        });
    }
    let fresh = state.accounts.get(account).is_some_and(|account| account.subscribed_at > ctx.now);
    if ctx.service == Service::CloudFormation && fresh {
        let message = "The AWS Access Key Id needs a subscription for the service";
        return Err(AwsError::new("OptInRequired", message).status(403));
    }
    Ok(())
}
