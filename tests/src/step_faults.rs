//! Fault injection at one AWS call of one step.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use freehold_worker::step::Step;
use tokio::sync::Notify;

/// Upper bound of the number of calls of one step.
const MAX_CALLS: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepFault {
    /// The connection is reset before the call has any effect.
    ResetBeforeCall,
    /// The call has its effect, but the connection is reset before the response.
    ResetAfterCall,
    /// The worker crashes before the call has any effect.
    CrashBeforeCall,
    /// The worker crashes after the call, before the outcome is written to the journal.
    CrashAfterCall,
}

impl StepFault {
    pub const ALL: [Self; 4] =
        [Self::ResetBeforeCall, Self::ResetAfterCall, Self::CrashBeforeCall, Self::CrashAfterCall];

    fn has_effect(self) -> bool {
        matches!(self, Self::ResetAfterCall | Self::CrashAfterCall)
    }

    fn is_crash(self) -> bool {
        matches!(self, Self::CrashBeforeCall | Self::CrashAfterCall)
    }
}

/// Fault at one call of one step.
#[derive(Debug, Clone, Copy)]
pub struct PlannedFault {
    step: &'static str,
    /// Number of calls of the step before the fault.
    skip: usize,
    fault: StepFault,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Option<PlannedFault>>,
    crashed: Notify,
}

/// HTTP client that injects at most one planned fault.
#[derive(Clone)]
pub struct FaultInjector {
    inner: SharedHttpClient,
    shared: Arc<Shared>,
}

impl FaultInjector {
    /// Returns a client that forwards all calls to `inner`, without a planned fault.
    pub fn new(inner: SharedHttpClient) -> Self {
        Self { inner, shared: Arc::default() }
    }

    /// Plans a fault at a call of `step`, after `skip` calls of this step.
    pub fn plan(&self, step: &'static str, skip: usize, fault: StepFault) {
        self.plan_fault(Some(PlannedFault { step, skip, fault }));
    }

    /// Plans a fault, or none.
    pub fn plan_fault(&self, fault: Option<PlannedFault>) {
        *self.lock() = fault;
    }

    /// Returns whether the planned fault was injected. A fault that was not injected is discarded.
    pub fn was_injected(&self) -> bool {
        self.lock().take().is_none()
    }

    /// Waits until the injector has simulated the crash.
    pub async fn wait_until_crashed(&self) {
        self.shared.crashed.notified().await;
    }

    /// Returns this client as the type that the AWS SDK expects.
    pub fn shared(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<PlannedFault>> {
        self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of the running step. Returns the fault to inject at this call, or `None`.
    fn next(&self) -> Option<StepFault> {
        let mut plan = self.lock();
        let planned = plan.as_mut().filter(|plan| freehold_worker::current_step() == Some(plan.step))?;
        if planned.skip > 0 {
            planned.skip -= 1;
            return None;
        }
        plan.take().map(|plan| plan.fault)
    }
}

impl fmt::Debug for FaultInjector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl HttpClient for FaultInjector {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { injector: self.clone(), inner })
    }
}

#[derive(Debug)]
struct FaultyConnector {
    injector: FaultInjector,
    inner: SharedHttpConnector,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(fault) = self.injector.next() else { return self.inner.call(request) };
        let response = fault.has_effect().then(|| self.inner.call(request));
        let shared = Arc::clone(&self.injector.shared);
        HttpConnectorFuture::new(async move {
            if let Some(response) = response {
                response.await?;
            }
            if fault.is_crash() {
                shared.crashed.notify_one();
                std::future::pending::<()>().await;
            }
            let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset by the test");
            Err(ConnectorError::io(reset.into()))
        })
    }
}

/// Environment variable that makes walks inject all faults at each place.
const ALL_FAULTS: &str = "FREEHOLD_TEST_ALL_FAULTS";

/// Returns whether walks inject all faults at each place. Otherwise the faults take turns, which halves the time.
pub fn injects_all() -> bool {
    std::env::var_os(ALL_FAULTS).is_some()
}

/// Runs a workflow with faults at each call of each step, and asserts that the result is the same as without a fault.
/// Resets and crashes take turns from call to call, unless `FREEHOLD_TEST_ALL_FAULTS` is set. `run` returns the result,
/// and whether the fault was injected. Returns the sum of the numbers of calls that each fault has reached.
pub async fn assert_same_result<'a, T: fmt::Debug + PartialEq>(
    steps: impl Iterator<Item = &'a Step> + Clone,
    faults: &[StepFault],
    run: impl AsyncFn(Option<PlannedFault>) -> (T, bool),
) -> usize {
    let (expected, _) = run(None).await;
    let injects_all = injects_all();
    let mut calls = 0;
    for fault in faults.iter().copied() {
        for (number, step) in steps.clone().enumerate() {
            let mut reached = 0;
            for skip in 0..MAX_CALLS {
                let is_turn = ((number + skip) % 2 == 1) == fault.is_crash();
                if !injects_all && !is_turn {
                    continue;
                }
                let (found, was_injected) = run(Some(PlannedFault { step: step.name.as_str(), skip, fault })).await;
                if !was_injected {
                    break;
                }
                reached = skip + 1;
                assert_eq!(found, expected, "{fault:?} at call {} of {} changed the result", skip + 1, step.name);
            }
            calls += reached;
        }
    }
    calls
}
