//! Something goes wrong at one particular call of one particular step.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepFault {
    /// The connection is reset before the call has any effect.
    ResetBeforeCall,
    /// The call has its effect, and the answer is lost.
    ResetAfterCall,
    /// The worker dies before the call has any effect.
    CrashBeforeCall,
    /// The worker dies when the call has had its effect, before the outcome is journaled.
    CrashAfterCall,
}

impl StepFault {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::ResetBeforeCall, Self::ResetAfterCall, Self::CrashBeforeCall, Self::CrashAfterCall];

    fn has_effect(self) -> bool {
        matches!(self, Self::ResetAfterCall | Self::CrashAfterCall)
    }

    fn kills(self) -> bool {
        matches!(self, Self::CrashBeforeCall | Self::CrashAfterCall)
    }
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    step: &'static str,
    /// How many more calls of the step go well.
    spared: usize,
    mishap: StepFault,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Option<Plan>>,
    died: Notify,
}

/// An HTTP client on whose way something goes wrong, once.
#[derive(Clone)]
pub struct FaultInjector {
    inner: SharedHttpClient,
    shared: Arc<Shared>,
}

impl FaultInjector {
    /// Nothing goes wrong yet on the way to `inner`.
    pub fn new(inner: SharedHttpClient) -> Self {
        Self { inner, shared: Arc::default() }
    }

    /// Lets `step_faults` befall the call of `step` that comes after so many `spared` ones.
    pub fn plan(&self, step: &'static str, spared: usize, mishap: StepFault) {
        *self.lock() = Some(Plan { step, spared, mishap });
    }

    /// Whether the planned mishap has happened; none is planned any more afterwards.
    pub fn was_injected(&self) -> bool {
        self.lock().take().is_none()
    }

    /// Returns when the worker has died of it.
    pub async fn wait_until_crashed(&self) {
        self.shared.died.notified().await;
    }

    /// This client as the SDK wants it.
    pub fn shared(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Plan>> {
        self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What befalls the call that is being made.
    fn next(&self) -> Option<StepFault> {
        let mut plan = self.lock();
        let planned = plan.as_mut().filter(|plan| freehold_worker::current_step() == Some(plan.step))?;
        if planned.spared > 0 {
            planned.spared -= 1;
            return None;
        }
        plan.take().map(|plan| plan.mishap)
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
        SharedHttpConnector::new(Wire { mishaps: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Wire {
    mishaps: FaultInjector,
    inner: SharedHttpConnector,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(mishap) = self.mishaps.next() else { return self.inner.call(request) };
        let answer = mishap.has_effect().then(|| self.inner.call(request));
        let shared = Arc::clone(&self.mishaps.shared);
        HttpConnectorFuture::new(async move {
            if let Some(answer) = answer {
                answer.await?;
            }
            if mishap.kills() {
                shared.died.notify_one();
                std::future::pending::<()>().await;
            }
            let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset by the test");
            Err(ConnectorError::io(reset.into()))
        })
    }
}
