//! State that the routes share.

use std::io;
use std::sync::Arc;

use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::db::{PgPool, notify::WorkNotifier};
use freehold_tenancy::secrets::Keyring;
use freehold_tenancy::webhook::{DestinationPolicy, Resolver};
use freehold_tenancy::{Clock, Config};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{KeysError, RateLimiter, Roles, Tokens, UnknownScope};
use crate::metrics::Metrics;

/// How many may be sent all account mappings at a time.
const EXPORTS_AT_A_TIME: usize = 3;

/// What the routes share; cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) pool: PgPool,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) work_notifier: WorkNotifier,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) audit: AuditWriter,
    /// Turns at sending all account mappings, each of which keeps a connection.
    pub(crate) exports: Arc<Semaphore>,
    /// Where webhooks may be sent.
    pub(crate) destination_policy: DestinationPolicy,
    /// What their secrets are encrypted with.
    pub(crate) keyring: Keyring,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    /// Changes that come to their end though their caller hangs up.
    pub(crate) tasks: TaskTracker,
}

/// Why the API does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// `[api]` does not say whose tokens to believe.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// `[api.roles]` names a scope that there is not.
    #[error(transparent)]
    Roles(#[from] UnknownScope),
    /// The port.
    #[error("the API cannot be served: {0}")]
    Io(#[from] io::Error),
}

impl App {
    /// An API on the database of `pool`, within a Tokio runtime. `clock` is the installation's: it dates what is
    /// written. Tokens are judged by the wall clock.
    ///
    /// Fails where `[api]` names no issuer or no usable place of its keys; the keys themselves are read when they are
    /// first needed.
    pub fn new(pool: PgPool, config: Arc<Config>, clock: Clock) -> Result<Self, AppError> {
        let tokens = Arc::new(Tokens::new(&config.api, Roles::read(&config.api)?)?);
        let work_notifier = WorkNotifier::new(pool.clone());
        let rate_limiter = RateLimiter::new(config.api.requests_per_minute);
        let audit = AuditWriter::new(pool.clone(), clock.clone());
        let (metrics, shutdown, tasks) = (Metrics::new(), CancellationToken::new(), TaskTracker::new());
        let exports = Arc::new(Semaphore::new(EXPORTS_AT_A_TIME));
        let destination_policy = DestinationPolicy::new(&config.webhooks, InstallationKind::Real);
        let keyring = Keyring::new(&config.secrets);
        Ok(Self {
            pool,
            config,
            clock,
            work_notifier,
            tokens,
            rate_limiter,
            audit,
            exports,
            destination_policy,
            keyring,
            metrics,
            shutdown,
            tasks,
        })
    }

    /// Of an installation of this kind: the API of a sandbox lets webhooks go to its own machine.
    #[must_use]
    pub fn with_installation_kind(mut self, kind: InstallationKind) -> Self {
        self.destination_policy = DestinationPolicy::new(&self.config.webhooks, kind);
        self
    }

    /// With another way to find the addresses of who is sent webhooks.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.destination_policy = self.destination_policy.with_resolver(resolver);
        self
    }

    /// Who writes down what its routes do, and has to be kept going for that to be chained.
    pub fn audit_writer(&self) -> AuditWriter {
        self.audit.clone()
    }
}
