//! Verifies the front door: a request without signature, as of any viewer, gets the response of the environment's
//! function.

use freehold_tenancy::config::{CheckKind, CheckMethod};
use freehold_tenancy::step::StepName;
use freehold_tenancy::wait_reason::WaitReason;

use super::StepResult;
use super::shared::{NO_FRONT_DOOR, region_checks, stack_response};
use crate::cloud::{CheckRequest, CloudErrorKind};
use crate::context::StepContext;
use crate::step_outcome::StepOutcome;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    let url: Option<String> = context.fact_of(StepName::FrontDoor, "url");
    let Some(url) = url else { return Ok(StepOutcome::skipped(NO_FRONT_DOOR)) };
    let check = &context.config().stack.check;
    let home = context.environment().home_region;
    // The front door answers other methods on paths with writes only, and an invocation has no request.
    let is_comparable = check.kind == CheckKind::Url && check.method == CheckMethod::Get;
    let request = if is_comparable { stack_response::request(context, home) } else { CheckRequest::any_answer() };
    match context.aws().call_front_door(&url, &request).await {
        Ok(response) if is_comparable => {
            // A replica answers while the home region does not.
            let regions = std::iter::once(home).chain(context.environment().replicas.iter().map(|one| one.region));
            let mut results = regions.map(|region| stack_response::compare(context, region, &url, &response));
            let first = results.next().unwrap_or(Ok(()));
            if first.is_err() && !results.any(|result| result.is_ok()) {
                first?;
            }
            Ok(StepOutcome::done().with("answered_at", url))
        }
        Ok(_) => Ok(StepOutcome::done().with("answered_at", url)),
        // CloudFront answers 403 until the functions allow it.
        Err(error)
            if matches!(
                error.kind,
                CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown
            ) =>
        {
            region_checks::poll_check(context, WaitReason::FrontDoorResponse { error: error.to_string() }).await
        }
        Err(error) if error.kind == CloudErrorKind::Failed => {
            Err(stack_response::rejected(context, home, &url, &error))
        }
        Err(error) => Err(error.into()),
    }
}
