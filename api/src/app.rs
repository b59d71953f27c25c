//! The API as a whole: what its routes share, and serving it.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::db::installation::InstallationKind;
use freehold_tenancy::db::{PgPool, notify::WorkNotifier};
use freehold_tenancy::secrets::Keyring;
use freehold_tenancy::webhook::{DestinationPolicy, Resolver};
use freehold_tenancy::{Clock, Config};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{KeysError, RateLimiter, Roles, Tokens, UnknownScope};
use crate::metrics::Metrics;

/// How long answers that have begun may take to end after a shutdown was asked for: a little less than the 30 seconds that
/// supervisors give a process before they kill it (Kubernetes, Amazon ECS).
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(25);

/// How many may be sent all account mappings at a time.
const EXPORTS_AT_A_TIME: usize = 3;

/// How often measurements are summed up.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// What the routes share; cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) pool: PgPool,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) work_notifier: WorkNotifier,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) pace: RateLimiter,
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
        let pace = RateLimiter::new(config.api.requests_per_minute);
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
            pace,
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

/// The routes of `app`, to be served by [`serve`] or called in place.
pub fn router(app: App) -> Router {
    crate::router::router(app)
}

/// Serves `app` on `listener` until `shutdown`, then lets the answers that have begun come to their end, for at most
/// 25 seconds.
pub async fn serve(mut app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<(), AppError> {
    app.shutdown = shutdown.clone();
    let (metrics, tasks) = (app.metrics.clone(), app.tasks.clone());
    let routes = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let upkeep = async {
        loop {
            tokio::time::sleep(SUM_UP_EVERY).await;
            metrics.run_upkeep();
        }
    };
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE_PERIOD).await;
    };
    let last = async {
        server.into_future().await?;
        tasks.close();
        tasks.wait().await;
        Ok(())
    };
    tokio::select! {
        ended = last => return ended,
        () = too_late => tracing::warn!("some answers did not come to their end in time"),
        () = upkeep => {}
    }
    Ok(())
}
