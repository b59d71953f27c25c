//! Application state that the route handlers share.

use std::io;
use std::sync::Arc;

use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::db::{PgPool, notify::WorkNotifier};
use freehold_tenancy::needed_types::NeededTypes;
use freehold_tenancy::secrets::Keyring;
use freehold_tenancy::webhook::{DestinationPolicy, Resolver};
use freehold_tenancy::{Clock, Config};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{IssuersError, RateLimiter, TokenVerifier};
use crate::metrics::Metrics;
use crate::stream_limiter::StreamLimiter;
use crate::watcher::Watcher;

/// Maximum number of concurrent account mapping exports. Each export uses a database connection.
const MAX_CONCURRENT_EXPORTS: usize = 3;

/// Maximum number of support bundles that are created at the same time. Each is in memory as a whole.
const MAX_CONCURRENT_SUPPORT_BUNDLES: usize = 1;

/// Application state that the route handlers share; cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) pool: PgPool,
    pub(crate) config: Arc<Config>,
    /// Resource types that the stacks need, by region.
    pub(crate) needed_types: Arc<NeededTypes>,
    pub(crate) clock: Clock,
    pub(crate) work_notifier: WorkNotifier,
    pub(crate) token_verifier: Arc<TokenVerifier>,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) streams: StreamLimiter,
    pub(crate) watcher: Watcher,
    pub(crate) audit: AuditWriter,
    /// Permits for exports.
    pub(crate) exports: Arc<Semaphore>,
    /// Permits for the creation of support bundles.
    pub(crate) support_bundles: Arc<Semaphore>,
    pub(crate) destination_policy: DestinationPolicy,
    /// Keys that encrypt the secrets of webhook endpoints.
    pub(crate) keyring: Keyring,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    /// Tasks of write requests, which finish even if the client disconnects.
    pub(crate) tasks: TaskTracker,
}

/// Error that prevents the API from starting or running.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The token issuers in the `[api]` configuration are invalid.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
    #[error("the API cannot be served: {0}")]
    Io(#[from] io::Error),
}

impl App {
    /// Creates the state; must be called in a Tokio runtime. `clock` supplies the timestamps of database rows; token
    /// expiry is checked against the system clock.
    ///
    /// Fails if the `[api]` configuration has no issuer, or an issuer without a valid key source. The keys are read on
    /// first use.
    pub fn new(pool: PgPool, config: Arc<Config>, clock: Clock) -> Result<Self, AppError> {
        let token_verifier = Arc::new(TokenVerifier::new(&config.api)?);
        let work_notifier = WorkNotifier::new(pool.clone());
        let rate_limiter = RateLimiter::new(config.api.requests_per_minute);
        let audit = AuditWriter::new(pool.clone(), clock.clone());
        let (metrics, shutdown, tasks) = (Metrics::new(), CancellationToken::new(), TaskTracker::new());
        let streams = StreamLimiter::new(&config.api.limits, metrics.clone());
        let watcher = Watcher::new(pool.clone(), clock.clone());
        let exports = Arc::new(Semaphore::new(MAX_CONCURRENT_EXPORTS));
        let support_bundles = Arc::new(Semaphore::new(MAX_CONCURRENT_SUPPORT_BUNDLES));
        let destination_policy = DestinationPolicy::new(&config.webhooks, InstallationKind::Real);
        let keyring = Keyring::new(&config.secrets);
        Ok(Self {
            pool,
            config,
            needed_types: Arc::default(),
            clock,
            work_notifier,
            token_verifier,
            rate_limiter,
            streams,
            watcher,
            audit,
            exports,
            support_bundles,
            destination_policy,
            keyring,
            metrics,
            shutdown,
            tasks,
        })
    }

    /// Sets the installation kind. A sandbox is allowed to send webhooks to the local machine.
    #[must_use]
    pub fn with_installation_kind(mut self, kind: InstallationKind) -> Self {
        self.destination_policy = DestinationPolicy::new(&self.config.webhooks, kind);
        self
    }

    /// Sets the resource types that the configured templates need. Without them, no region is refused.
    #[must_use]
    pub fn with_needed_types(mut self, types: NeededTypes) -> Self {
        self.needed_types = Arc::new(types);
        self
    }

    /// Replaces the DNS resolver for webhook host names.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.destination_policy = self.destination_policy.with_resolver(resolver);
        self
    }

    /// Returns the writer of the audit trail. The writer must be kept running, because it adds new entries to the hash
    /// chain.
    pub fn audit_writer(&self) -> AuditWriter {
        self.audit.clone()
    }
}
