//! CloseAccount and the asynchronous completion of account closures.

use chrono::{DateTime, TimeDelta, Utc};
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::accounts::account_not_found;
use super::{Lifecycle, constraint_violation, error};
use crate::world::{AwsError, BackgroundWorkSpan, Ctx, State};

/// Maximum number of account closures in progress (AWS Organizations quotas).
const MAX_CLOSURES_IN_PROGRESS: usize = 3;

pub(super) fn close(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_close_account_request(body).map_err(AwsError::serialization)?;
    let id = input.account_id;
    let organization = &mut state.organization;
    if id == organization.management_account {
        return Err(constraint_violation("CANNOT_CLOSE_MANAGEMENT_ACCOUNT", "You can't close the management account."));
    }
    let is_closing = |lifecycle: Lifecycle| matches!(lifecycle, Lifecycle::Closing(_));
    let in_progress = organization.members.values().filter(|member| is_closing(member.lifecycle)).count();
    match organization.members.get(&id).map(|member| member.lifecycle) {
        None => return Err(account_not_found()),
        Some(Lifecycle::Closed(_)) => {
            return Err(error(
                "AccountAlreadyClosedException",
                "You attempted to close an account that is already closed.",
            ));
        }
        Some(Lifecycle::Closing(_)) => {
            return Err(error("ConflictException", "The account is already being closed."));
        }
        Some(Lifecycle::Active) => {}
    }
    if in_progress >= MAX_CLOSURES_IN_PROGRESS {
        return Err(constraint_violation(
            "CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED",
            "You have exceeded the number of accounts that you can close at one time.",
        ));
    }
    let month_ago = ctx.now - TimeDelta::days(30);
    organization.closures.retain(|at| *at > month_ago);
    if organization.closures.len() >= monthly_quota(organization.members.len()) {
        return Err(constraint_violation(
            "CLOSE_ACCOUNT_QUOTA_EXCEEDED",
            "You have exceeded the number of accounts that you can close in a 30-day period.",
        ));
    }
    let until = ctx.now + ctx.draw_duration(ctx.settings.durations.close_account, &format!("close-account:{id}"));
    organization.closures.push(ctx.now);
    if let Some(member) = organization.members.get_mut(&id) {
        member.lifecycle = Lifecycle::Closing(until);
    }
    organization.schedule(until);
    state.record_background_work(BackgroundWorkSpan::account(&id, "close-account", ctx.now, until));
    Ok(wire::serialize_close_account_response())
}

/// Returns the number of accounts that can be closed within 30 days: 20 % of the accounts, at least 250 and at most
/// 1,000 (AWS Organizations quotas).
fn monthly_quota(accounts: usize) -> usize {
    (accounts / 5).clamp(250, 1_000)
}

/// Completes the account closures that are due at `now`.
pub(super) fn advance(state: &mut State, now: DateTime<Utc>) {
    let mut pending = Vec::new();
    for member in state.organization.members.values_mut() {
        match member.lifecycle {
            Lifecycle::Closing(until) if until <= now => member.lifecycle = Lifecycle::Closed(until),
            Lifecycle::Closing(until) => pending.push(until),
            Lifecycle::Active | Lifecycle::Closed(_) => {}
        }
    }
    for at in pending {
        state.organization.schedule(at);
    }
}
