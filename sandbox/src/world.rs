//! The complete simulated AWS: its state, protected by one lock, and the entry point for all API calls.

mod authorize;
mod availability;
mod busy;
mod calls;
mod dispatch;
mod error;
pub mod ids;
mod inspect;
mod page;
pub(crate) mod permissions;
mod request;
mod response;
mod saved;
mod service;
mod session;
pub mod shape;
mod sign_in;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod unsimulated;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use freehold_tenancy::Clock;
use winterbaume_core::{MockRequest, MockResponse};

pub use authorize::access_denied;
pub use busy::BackgroundWorkSpan;
pub use calls::{CallCount, CallLog, CallRecord};
pub use error::AwsError;
pub use inspect::{AccountView, AssignmentView, OrganizationalUnitView, PolicyView, StackView};
pub use page::page;
pub use request::{Request, Signature};
pub(crate) use request::{parse_form, percent_decode};
pub(crate) use response::{error_response, set_header};
pub use saved::SaveError;
pub use service::{Protocol, Service};
pub use session::{Caller, Ctx, Session};
pub use state::{AccountId, AccountState, RegionState, State};

use crate::faults::OutageForm;
use crate::policy::Document;
use crate::settings::Settings;

/// Interval of the sandbox's clock at which a request without a response looks for the end of the outage.
const OUTAGE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A simulated AWS organisation. Clones share one state.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    clock: Clock,
    base_url: RwLock<Option<String>>,
    state: Mutex<State>,
}

impl World {
    /// Creates a simulated organisation with a management account, Freehold's own account and an Identity Center
    /// instance.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let state = State::new(&settings, clock.now());
        Self::with_state(settings, clock, state)
    }

    fn with_state(settings: Settings, clock: Clock, state: State) -> Self {
        let settings = Arc::new(settings);
        Self(Arc::new(Inner { settings, clock, base_url: RwLock::default(), state: Mutex::new(state) }))
    }

    /// Handles an HTTP request. Returns an AWS error response if the request cannot be parsed.
    pub fn handle(&self, request: &MockRequest) -> MockResponse {
        dispatch::handle(self, request)
    }

    /// Returns the form of an outage in which this request gets no response, or `None` if it gets one.
    pub(crate) fn missing_response(&self, request: &MockRequest) -> Option<OutageForm> {
        dispatch::missing_response(self, request)
    }

    /// Waits as long as a client of a request without a response has to: not at all if its connection is refused,
    /// otherwise until the outage ends.
    pub(crate) async fn wait_for_end_of_outage(&self, request: &MockRequest, form: OutageForm) {
        while form != OutageForm::Refused && self.missing_response(request).is_some() {
            self.clock().sleep(OUTAGE_POLL_INTERVAL).await;
        }
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Sets the URL at which the simulated AWS is served, such as `http://127.0.0.1:4566`. Function URLs start with
    /// this URL.
    pub fn set_base_url(&self, url: impl Into<String>) {
        *self.0.base_url.write().unwrap_or_else(PoisonError::into_inner) =
            Some(url.into().trim_end_matches('/').into());
    }

    /// Returns the URL at which the simulated AWS is served, or `None` if it is used only within this process.
    pub fn base_url(&self) -> Option<String> {
        self.0.base_url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the policies of a role in the management account with `policy`.
    pub fn replace_role_policy(&self, role: &str, policy: Document) {
        self.state().replace_role_policy(&self.settings().management_account, role, policy);
    }

    /// Locks the state. Tests use this method to inspect the state, or to create conditions that no API call can
    /// create.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
