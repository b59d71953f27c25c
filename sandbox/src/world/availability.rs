//! Checks that the account of a caller is active and ready, and that the called region is enabled.

use super::dispatch::invalid_token_error;
use super::{AwsError, Ctx, Service, State};
use crate::organizations::Lifecycle;
use crate::sts::errors::region_disabled;

/// Returns an error for a call from a closed account, to a region that the account has not enabled, or to a service
/// that a new account cannot use yet.
pub(super) fn check_availability(state: &State, ctx: &Ctx) -> Result<(), AwsError> {
    let account = &ctx.caller.account;
    if ctx.caller.session.is_none() {
        return Ok(());
    }
    let is_closed = |lifecycle| lifecycle != Lifecycle::Active;
    if state.organization.members.get(account).is_some_and(|member| is_closed(member.lifecycle)) {
        return Err(invalid_token_error(ctx.service));
    }
    // A Function URL can be called even if the caller's account has not enabled the region of the function.
    if ctx.operation != "InvokeFunctionUrl" && !state.is_region_enabled(account, &ctx.region, ctx.now) {
        return Err(match ctx.service {
            Service::Sts => region_disabled(&ctx.region, account),
            service => invalid_token_error(service),
        });
    }
    let is_new = state.accounts.get(account).is_some_and(|account| account.subscribed_at > ctx.now);
    if ctx.service == Service::CloudFormation && is_new {
        let message = "The AWS Access Key Id needs a subscription for the service";
        return Err(AwsError::new("OptInRequired", message).status(403));
    }
    Ok(())
}
