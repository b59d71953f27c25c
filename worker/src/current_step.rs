//! The step that the current task runs, for the audit trail of AWS calls.

use freehold_tenancy::step::StepName;
use freehold_tenancy::{OperationId, TenantId};

tokio::task_local! {
    static CURRENT_STEP: RunningStep;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RunningStep {
    pub(crate) step: StepName,
    pub(crate) operation: OperationId,
    pub(crate) tenant: TenantId,
}

impl RunningStep {
    /// Runs `work` with this step as the current step.
    pub(crate) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT_STEP.scope(self, work).await
    }

    /// Returns the step that the current task runs, or `None` outside of steps.
    pub(crate) fn current() -> Option<Self> {
        CURRENT_STEP.try_with(|running| *running).ok()
    }
}

/// Returns the name of the step that the current task runs, or `None` outside of steps.
pub fn current_step() -> Option<&'static str> {
    RunningStep::current().map(|running| running.step.as_str())
}
