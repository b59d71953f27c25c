//! Fleet hold on a rejected template of the tenant stack. One alert is raised, all deployments wait, and the first
//! operation that has a corrected template probes it for all others.

use chrono::TimeDelta;
use freehold_tenancy::Region;
use freehold_tenancy::db::fleet_holds;
use freehold_tenancy::db::fleet_holds::templates::{
    self, DeployedTemplate, LiftResult, TemplateAdmission, TemplateFault,
};
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::wait_reason::WaitReason;

use super::fleet_holds::probe_backoff;
use super::{StepContext, seconds_of};
use crate::step_outcome::StepError;
use crate::template::CurrentTemplate;

/// Interval at which the first operation in the queue reads the template file again. Each further operation adds this
/// interval, up to [`MAX_ORDERED_POSITION`].
const FILE_CHECK_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Number of queue positions that each add an interval to the time of the next check.
const MAX_ORDERED_POSITION: i64 = 60;

/// Delay after which the next operation in the queue takes over a probe that the first one has not started.
const PROBE_TAKEOVER_DELAY: TimeDelta = TimeDelta::minutes(5);

/// Time between the deadline of a probe's stack and the time at which the probe is considered failed.
const PROBE_GRACE_PERIOD: TimeDelta = TimeDelta::minutes(5);

/// Interval between the wake-ups of queued operations after the hold is lifted.
const WAKE_SPACING: TimeDelta = TimeDelta::milliseconds(100);

/// Maximum number of characters of a fault in a wait reason.
const MAX_FAULT_LENGTH: usize = 600;

impl StepContext {
    /// Checks that the template may be deployed in `region`. While the template is rejected, returns the error that
    /// makes the step wait for a corrected template.
    pub(crate) async fn admit_template(&self, template: &CurrentTemplate, region: Region) -> Result<(), StepError> {
        let (pool, now) = (&self.services.pool, self.now());
        let until = now + seconds_of(self.config().timeouts.stack_seconds) + PROBE_GRACE_PERIOD;
        let deployed = deployed(template, region);
        let slot = self.deployment_slot();
        match templates::admit(pool, &self.claim, &slot, deployed, until, PROBE_TAKEOVER_DELAY, now).await? {
            TemplateAdmission::Free | TemplateAdmission::Probe => Ok(()),
            TemplateAdmission::NotConcerned => self.leave_hold_of_other_regions().await,
            TemplateAdmission::Held { mut fault, ahead } => {
                if let Some(problem) = &template.refused {
                    fault = describe_refused_file(&fault, problem);
                    templates::describe(pool, &fault).await?;
                }
                let position = i32::try_from(ahead.min(MAX_ORDERED_POSITION)).unwrap_or(0);
                Err(wait_for_template(&fault, now + FILE_CHECK_INTERVAL * (1 + position)))
            }
        }
    }

    /// Starts the hold, because the template is rejected for every tenant, and returns the error that makes the step
    /// wait. Raises one alert per hold. Returns `None` if the template has already been deployed for another tenant, so
    /// that the fault belongs to this tenant.
    pub(crate) async fn start_template_hold(
        &self,
        template: &CurrentTemplate,
        region: Region,
        fault: &TemplateFault,
    ) -> Result<Option<StepError>, StepError> {
        let deployed = deployed(template, region);
        let fault = TemplateFault { message: shorten(&fault.message), is_regional: fault.is_regional };
        let (slot, kind, now) = (self.deployment_slot(), HoldKind::TemplateRejected, self.now());
        let (pool, backoff) = (&self.services.pool, probe_backoff(kind));
        let started = templates::start(pool, &self.claim, &slot, deployed, &fault, backoff, now).await?;
        let Some(started) = started else { return Ok(None) };
        if started.is_new {
            let fault = &fault.message;
            let (code, work) = (kind.as_str(), slot.quota.as_str());
            tracing::error!(target: "freehold::alert", code, work, fault, "{}", kind.message());
            metrics::counter!("freehold_fleet_holds_total", "kind" => kind.as_str()).increment(1);
        }
        Ok(Some(wait_for_template(&fault.message, now + FILE_CHECK_INTERVAL)))
    }

    /// Removes the operation from the queue, because its template is deployed in `region`. If the operation is the
    /// probe of the hold, lifts the hold in the regions of the template and wakes the queue.
    pub(crate) async fn lift_template_hold(&self, template: &CurrentTemplate, region: Region) -> Result<(), StepError> {
        let (pool, slot) = (&self.services.pool, self.deployment_slot());
        match templates::lift(pool, &self.claim, deployed(template, region), self.now()).await? {
            LiftResult::NotLifted => templates::leave_queue(pool, &self.claim).await?,
            LiftResult::RegionsLifted => {
                self.wake_deployments(&slot).await?;
                self.leave_hold_of_other_regions().await?;
            }
            LiftResult::HoldLifted => {
                log_lifted_hold();
                self.wake_deployments(&slot).await?;
                templates::clear_queue(pool).await?;
                templates::leave_queue(pool, &self.claim).await?;
            }
        }
        Ok(())
    }

    /// Removes the operation from the queue of a hold that does not concern its region. Lifts the hold if no other
    /// operation waits.
    async fn leave_hold_of_other_regions(&self) -> Result<(), StepError> {
        let pool = &self.services.pool;
        templates::leave_queue(pool, &self.claim).await?;
        if templates::lift_unused(pool).await? {
            log_lifted_hold();
        }
        Ok(())
    }

    /// Transfers the probe to the next operation in the queue, because this operation fails for a reason of its own.
    pub(crate) async fn leave_template_queue(&self) -> Result<(), StepError> {
        let (pool, slot) = (&self.services.pool, self.deployment_slot());
        templates::leave_queue(pool, &self.claim).await?;
        if fleet_holds::end_probe(pool, &self.claim, slot.quota).await? {
            self.wake_deployments(&slot).await?;
        }
        Ok(())
    }

    async fn wake_deployments(&self, slot: &QuotaSlot) -> Result<(), StepError> {
        let limit = slot.quota.limit(&self.config().quotas);
        if fleet_holds::wake_in_order(&self.services.pool, slot.quota, limit, WAKE_SPACING, self.now()).await? > 0 {
            self.services.work_notifier.notify();
        }
        Ok(())
    }

    fn deployment_slot(&self) -> QuotaSlot {
        self.slot(Quota::StackDeployments, "")
    }
}

fn log_lifted_hold() {
    let (code, work) = (HoldKind::TemplateRejected.as_str(), Quota::StackDeployments.as_str());
    tracing::info!(target: "freehold::alert", code, work, "fleet hold {code} of {work} is lifted");
}

fn deployed(template: &CurrentTemplate, region: Region) -> DeployedTemplate<'_> {
    DeployedTemplate { fingerprint: &template.loaded.fingerprint, region, regions: &template.loaded.regions }
}

fn wait_for_template(fault: &str, until: chrono::DateTime<chrono::Utc>) -> StepError {
    let reason = WaitReason::CorrectedTemplate { fault: fault.to_owned() };
    StepError::Blocked { reason, until: Some(until), at_most: None }
}

/// Returns the fault of the rejected template, followed by the problem of the file that should have replaced it.
fn describe_refused_file(fault: &str, problem: &str) -> String {
    const SEPARATOR: &str = " The changed file is not valid either: ";
    let fault = fault.split(SEPARATOR).next().unwrap_or(fault);
    shorten(&format!("{fault}{SEPARATOR}{problem}"))
}

/// Cuts the middle of a long text, because AWS puts the reason at the end.
fn shorten(text: &str) -> String {
    let length = text.chars().count();
    if length <= MAX_FAULT_LENGTH {
        return text.to_owned();
    }
    let half = MAX_FAULT_LENGTH / 2 - 1;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_fault_keeps_its_beginning_and_its_end() {
        let long = format!("The beginning {}the reason", "x".repeat(2_000));
        let short = shorten(&long);
        assert!(short.starts_with("The beginning") && short.ends_with("the reason"), "{short}");
        assert!(short.chars().count() <= MAX_FAULT_LENGTH + 1);
    }

    #[test]
    fn only_the_latest_problem_of_the_file_is_shown() {
        let first = describe_refused_file("No output.", "line 1");
        assert_eq!(first, "No output. The changed file is not valid either: line 1");
        assert_eq!(describe_refused_file(&first, "line 2"), "No output. The changed file is not valid either: line 2");
    }
}
