//! EnableRegion, GetRegionOptStatus and ListRegions.

use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use serde::{Deserialize, Serialize};
use winterbaume_account::wire;
use winterbaume_core::MockResponse;

use crate::faults::Fault;
use crate::world::{AwsError, BackgroundWorkSpan, Ctx, Request, State, page};

/// Maximum number of region opt-ins in progress per account (AWS Account Management quotas).
const MAX_OPT_INS_PER_ACCOUNT: usize = 6;
/// Maximum number of region opt-ins in progress per organisation (AWS Account Management quotas).
const MAX_OPT_INS_PER_ORGANIZATION: usize = 50;

/// The opt-in state of a region that is disabled by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptIn {
    #[default]
    Disabled,
    /// Opt-in was requested. Contains the time at which the region becomes enabled; `None` if the request is stuck.
    Enabling(Option<DateTime<Utc>>),
}

impl OptIn {
    fn status(self, now: DateTime<Utc>) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Enabling(Some(ready_at)) if ready_at <= now => "ENABLED",
            Self::Enabling(_) => "ENABLING",
        }
    }
}

impl State {
    /// Returns the opt-in status of a region (`ENABLED_BY_DEFAULT`, `ENABLED`, `ENABLING` or `DISABLED`), or `None` if
    /// the region does not exist.
    pub fn region_status(&self, account: &str, region: &str, now: DateTime<Utc>) -> Option<&'static str> {
        let parsed: Region = region.parse().ok()?;
        if !parsed.is_opt_in() {
            return Some("ENABLED_BY_DEFAULT");
        }
        let opt_in = self.accounts.get(account).and_then(|account| account.regions.get(region));
        Some(opt_in.map(|region| region.opt_in).unwrap_or_default().status(now))
    }

    /// Returns whether a region is enabled for an account, either by default or by opt-in.
    pub fn is_region_enabled(&self, account: &str, region: &str, now: DateTime<Utc>) -> bool {
        self.region_status(account, region, now).is_some_and(|status| status.starts_with("ENABLED"))
    }

    fn opt_ins_in_progress(&self, account: &str, now: DateTime<Utc>) -> usize {
        let regions = self.accounts.get(account).into_iter().flat_map(|account| account.regions.values());
        regions.filter(|region| region.opt_in.status(now) == "ENABLING").count()
    }
}

pub(super) fn enable(state: &mut State, ctx: &Ctx, account: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: wire::EnableRegionRequest = request.json()?;
    let region = input.region_name;
    match state.region_status(account, &region, ctx.now) {
        None => return Err(invalid_region(&region)),
        Some("ENABLED_BY_DEFAULT") => {
            return Err(AwsError::new("ValidationException", format!("{region} is enabled by default.")));
        }
        Some("ENABLING") => {
            return Err(AwsError::new(
                "ConflictException",
                "The request could not be processed because of a conflict in the current status of the resource.",
            )
            .status(409));
        }
        Some("ENABLED") => return Ok(wire::serialize_enable_region_response()),
        Some(_) => {}
    }
    let total: usize = state.accounts.keys().map(|account| state.opt_ins_in_progress(account, ctx.now)).sum();
    if state.opt_ins_in_progress(account, ctx.now) >= MAX_OPT_INS_PER_ACCOUNT || total >= MAX_OPT_INS_PER_ORGANIZATION {
        return Err(AwsError::new(
            "TooManyRequestsException",
            "The operation failed because it was called too frequently and exceeded a throttle limit.",
        )
        .status(429));
    }
    let key = format!("opt-in:{account}:{region}");
    let ready_at = ctx.now + ctx.draw_duration(ctx.settings.durations.region_opt_in, &key);
    let stuck = ctx.fault == Some(Fault::Stuck);
    if !stuck {
        state.record_background_work(BackgroundWorkSpan::account(account, "opt-in", ctx.now, ready_at));
    }
    if let Some(account) = state.accounts.get_mut(account) {
        account.region(&region).opt_in = OptIn::Enabling((!stuck).then_some(ready_at));
    }
    Ok(wire::serialize_enable_region_response())
}

pub(super) fn status(state: &State, ctx: &Ctx, account: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: wire::GetRegionOptStatusRequest = request.json()?;
    let region = input.region_name;
    let status = state.region_status(account, &region, ctx.now).ok_or_else(|| invalid_region(&region))?;
    Ok(wire::serialize_get_region_opt_status_response(&wire::GetRegionOptStatusResponse {
        region_name: Some(region),
        region_opt_status: Some(status.into()),
    }))
}

pub(super) fn list(state: &State, ctx: &Ctx, account: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: wire::ListRegionsRequest = request.json()?;
    let status_filter = input.region_opt_status_contains.unwrap_or_default();
    let mut regions: Vec<Region> = Region::all().collect();
    regions.sort_by_key(|region| region.as_str());
    let regions = regions.into_iter().filter_map(|region| {
        let status = state.region_status(account, region.as_str(), ctx.now)?;
        let matches_filter = status_filter.is_empty() || status_filter.iter().any(|wanted| wanted == status);
        matches_filter
            .then(|| wire::Region { region_name: Some(region.as_str().into()), region_opt_status: Some(status.into()) })
    });
    let max = input.max_results.and_then(|max| usize::try_from(max).ok());
    let (regions, next_token) = page(ctx, regions, input.next_token.as_deref(), max, || {
        AwsError::new("ValidationException", "The provided NextToken is invalid.")
    })?;
    Ok(wire::serialize_list_regions_response(&wire::ListRegionsResponse { next_token, regions: Some(regions) }))
}

fn invalid_region(region: &str) -> AwsError {
    AwsError::new("ValidationException", format!("{region} is not a valid region."))
}
