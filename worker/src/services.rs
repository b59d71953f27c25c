//! Dependencies that the loops and the steps of one worker share.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::clock::seconds;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::db::notify::{ChangeNotifier, WorkNotifier};
use freehold_tenancy::db::rates::CallRate;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::{Clock, Config, InstallationId};

use crate::aws::Aws;
use crate::aws_access::AwsAccess;
use crate::poll_schedule::DurationHistory;
use crate::template::{ReleaseCache, TemplateError, TemplateSource};
use crate::wakeups::WakeSignals;

/// Duration of a claim without renewal, in real time. It exceeds the longest AWS call (20 s).
const LEASE_DURATION: Duration = Duration::from_secs(25);

/// Error in the setup of a worker.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Template(#[from] TemplateError),
}

pub(crate) struct Services {
    pub(crate) pool: PgPool,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) aws: Arc<Aws>,
    pub(crate) work_notifier: WorkNotifier,
    pub(crate) change_notifier: ChangeNotifier,
    pub(crate) wake_signals: WakeSignals,
    pub(crate) aws_access: AwsAccess,
    pub(crate) installation: InstallationId,
    /// Template of the tenant stack.
    pub(crate) template: TemplateSource,
    pub(crate) releases: ReleaseCache,
    pub(crate) durations: DurationHistory,
    pub(crate) real_time_lease: Duration,
    /// Lock that serialises account requests. If AWS rejects a request for the whole fleet, the following requests are
    /// not made.
    pub(crate) create_account_lock: tokio::sync::Mutex<()>,
}

impl Services {
    /// Creates the services of the worker `name`. `lease` overrides the default duration of a claim.
    pub(crate) fn new(
        name: &str,
        pool: PgPool,
        config: Arc<Config>,
        clock: Clock,
        installation: &Installation,
        aws: Arc<Aws>,
        lease: Option<Duration>,
    ) -> Result<Self, SetupError> {
        let aws = Arc::new(Aws::clone(&aws).for_installation(installation.id));
        Ok(Self {
            template: TemplateSource::open(Arc::clone(&config))?,
            releases: ReleaseCache::default(),
            work_notifier: WorkNotifier::new(pool.clone()),
            change_notifier: ChangeNotifier::new(pool.clone()),
            durations: DurationHistory::new(pool.clone()),
            wake_signals: WakeSignals::default(),
            aws_access: AwsAccess::new(name, pool.clone(), clock.clone(), Arc::clone(&aws)),
            installation: installation.id,
            real_time_lease: lease.unwrap_or(LEASE_DURATION),
            create_account_lock: tokio::sync::Mutex::new(()),
            pool,
            config,
            clock,
            aws,
        })
    }

    /// Reports that this worker has written events, to its delivery loop and to the API processes, whose callers may
    /// follow the operation.
    pub(crate) fn report_events(&self) {
        self.wake_signals.notify_webhooks();
        self.change_notifier.notify();
    }

    /// Returns the duration of a claim, measured on the installation's clock. In a sandbox with a faster clock, it is
    /// longer than in real time.
    pub(crate) fn lease(&self) -> TimeDelta {
        seconds(self.real_time_lease.as_secs_f64() * self.clock.speed().max(1.0))
    }

    /// Returns the rate limit of the AWS call that needs a slot of `quota`, or `None` if the slots and the rate limit
    /// have separate queues.
    pub(crate) fn rate_limit_of_quota(&self, quota: Quota) -> Option<CallRate> {
        let rate = quota.rate_limited_call().and_then(|call| CallRate::of(&self.config.quotas, call));
        rate.map(|rate| rate.at_speed(self.clock.speed()))
    }
}
