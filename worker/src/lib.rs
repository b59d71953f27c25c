//! The background worker. The only place that knows the AWS SDK.

mod attention_codes;
pub mod aws;
pub mod bootstrap;
pub mod cloud;
pub mod context;
mod fleet_holds;
pub mod guardrail;
pub mod limits;
pub mod offboarding;
pub mod onboarding;
mod operation_loop;
mod poll_schedule;
mod quota;
pub mod reconcile;
pub mod restoring;
mod runner;
pub mod saga;
mod shared_poller;
pub mod step;
pub mod steps;
mod wakeups;
mod webhooks;
pub mod workflows;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::db::notify::WorkNotifier;
use freehold_tenancy::db::rates::CallRate;
use freehold_tenancy::webhook::Resolver;
use freehold_tenancy::{Clock, Config, InstallationId};

pub use crate::runner::current_step;

use crate::cloud::Cloud;
use crate::poll_schedule::DurationHistory;
use crate::wakeups::WakeSignals;
use crate::webhooks::Webhooks;

/// How long a claim holds without a sign of life, in real time; longer than any single call to AWS may take (20 s).
const LEASE: Duration = Duration::from_secs(25);

/// The template of the stack where the configuration names none.
const TEMPLATE: &str = include_str!("../../stacks/tenant.yaml");

/// What Freehold knows of AWS's refusals and failures, row by row: the scenario of docs/scenarios.md that a row serves (0: any)
/// and the row in words.
pub fn rows() -> Vec<(u8, String)> {
    let failures = steps::creation_failures::rows().chain(steps::work_failures::rows());
    aws::rows().chain(attention_codes::rows()).chain(failures).collect()
}

/// One worker: claims operations and walks their lists. Any number of them share a database.
pub struct Worker {
    pub(crate) pool: PgPool,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) cloud: Arc<dyn Cloud>,
    pub(crate) work_notifier: WorkNotifier,
    pub(crate) name: String,
    pub(crate) installation: InstallationId,
    pub(crate) template: String,
    pub(crate) durations: DurationHistory,
    pub(crate) lease_real: Duration,
    /// When a look for several operations was found to be due next.
    pub(crate) next_poll_at: Mutex<Option<DateTime<Utc>>>,
    /// Held by the one that is asking AWS for an account: what is refused the first, nobody else need ask.
    pub(crate) create_account_lock: tokio::sync::Mutex<()>,
    pub(crate) calls: WakeSignals,
    pub(crate) webhooks: Webhooks,
}

/// Why a worker cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The stack's template cannot be read.
    #[error("stack.template: {path} cannot be read: {error}")]
    Template {
        /// As configured.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Worker {
    /// A worker called `name` (for people; it need not be unique).
    pub fn new(
        name: impl Into<String>,
        pool: PgPool,
        config: Arc<Config>,
        clock: Clock,
        installation: &Installation,
        cloud: Arc<dyn Cloud>,
    ) -> Result<Self, SetupError> {
        let template = match &config.stack.template {
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| SetupError::Template { path: path.clone(), error })?
            }
            None => TEMPLATE.to_owned(),
        };
        Ok(Self {
            work_notifier: WorkNotifier::new(pool.clone()),
            durations: DurationHistory::new(pool.clone()),
            name: name.into(),
            installation: installation.id,
            template,
            lease_real: LEASE,
            next_poll_at: Mutex::default(),
            create_account_lock: tokio::sync::Mutex::new(()),
            calls: WakeSignals::default(),
            webhooks: Webhooks::new(&config, installation),
            pool,
            config,
            clock,
            cloud,
        })
    }

    /// The rate of the call that a place under `quota` is for, where the two are given together.
    pub(crate) fn rate_limit_of_quota(&self, quota: &str) -> Option<CallRate> {
        quota::call(quota).and_then(|call| CallRate::of(&self.config.quotas, call))
    }

    /// With claims that hold for `lease` of real time, for stand-ins for AWS whose calls take much less than its own.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease_real = lease;
        self
    }

    /// With another way to find the addresses of who is sent webhooks.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.webhooks = self.webhooks.with_resolver(resolver);
        self
    }

    /// How long a claim holds, on the installation's clock: a sandbox's runs faster than the calls it has to outlast.
    pub(crate) fn lease(&self) -> TimeDelta {
        seconds(self.lease_real.as_secs_f64() * self.clock.speed().max(1.0))
    }
}
