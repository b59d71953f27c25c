//! The simulated organisation as a whole: one lock around everything, one door through which every call comes.

mod answer;
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
mod saved;
mod service;
mod session;
pub mod shape;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use freehold_tenancy::Clock;
use winterbaume_core::{MockRequest, MockResponse};

pub(crate) use answer::refusal;
pub use authorize::access_denied;
pub use busy::BusySpan;
pub use calls::{CallCount, CallLog, CallRecord};
pub use error::AwsError;
pub use inspect::{AccountView, AssignmentView, PolicyView, StackView, UnitView};
pub use page::page;
pub use request::{Request, Signature};
pub use saved::SaveError;
pub use service::{Protocol, Service};
pub use session::{Caller, Ctx, Session};
pub use state::{AccountId, AccountState, RegionState, State};

use crate::settings::Settings;

/// A simulated AWS organisation. Cheap to clone; clones are the same world.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    clock: Clock,
    base_url: RwLock<Option<String>>,
    state: Mutex<State>,
}

impl World {
    /// A new organisation: a management account, Freehold's own account, an Identity Center instance, nothing else.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let state = State::new(&settings, clock.now());
        Self::with_state(settings, clock, state)
    }

    fn with_state(settings: Settings, clock: Clock, state: State) -> Self {
        let settings = Arc::new(settings);
        Self(Arc::new(Inner { settings, clock, base_url: RwLock::default(), state: Mutex::new(state) }))
    }

    /// Answers one HTTP request, whatever it is.
    pub fn handle(&self, request: &MockRequest) -> MockResponse {
        dispatch::answer(self, request)
    }

    /// The clock by which everything in this world happens.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How this world was set up.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where this world is served, such as `http://127.0.0.1:4566`; Function URLs begin with it.
    pub fn set_base_url(&self, url: impl Into<String>) {
        *self.0.base_url.write().unwrap_or_else(PoisonError::into_inner) =
            Some(url.into().trim_end_matches('/').into());
    }

    /// Where this world is served, if it is.
    pub fn base_url(&self) -> Option<String> {
        self.0.base_url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole state, locked: for tests that want to look, or to arrange things that no call can.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
