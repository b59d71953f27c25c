//! Worker of one process. It runs loops that share their services.

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::Result;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::webhook::Resolver;
use freehold_tenancy::{Clock, Config};
use tokio_util::sync::CancellationToken;

use crate::aws::Aws;
use crate::aws_access::AwsAccessStatus;
use crate::key_cleanup;
use crate::operation_loop::OperationLoop;
use crate::reconcile::periodic::PeriodicReconciler;
use crate::reconcile::{ReconcileError, Reconciler};
use crate::recover::Recoverer;
use crate::region_removals;
use crate::releases;
use crate::rollouts;
use crate::services::{Services, SetupError};
use crate::webhooks::delivery_loop::DeliveryLoop;

/// Worker that claims operations and runs their steps. Any number of workers can share a database.
pub struct Worker {
    name: String,
    services: Arc<Services>,
    operations: Arc<OperationLoop>,
    deliveries: Arc<DeliveryLoop>,
    reconciliation: PeriodicReconciler,
}

/// Settings of a worker that only tests and sandboxes change.
#[derive(Default)]
pub struct WorkerOptions {
    /// Duration of a claim in real time. It can be shorter with a simulated AWS, whose calls take less time than those
    /// of AWS.
    pub lease: Option<Duration>,
    /// DNS resolver for webhook endpoints.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl Worker {
    /// Creates a worker. `name` appears in logs and claims and need not be unique.
    pub fn new(
        name: impl Into<String>,
        pool: PgPool,
        config: Arc<Config>,
        clock: Clock,
        installation: &Installation,
        aws: Arc<Aws>,
    ) -> std::result::Result<Self, SetupError> {
        Self::with_options(name, pool, config, clock, installation, aws, WorkerOptions::default())
    }

    pub fn with_options(
        name: impl Into<String>,
        pool: PgPool,
        config: Arc<Config>,
        clock: Clock,
        installation: &Installation,
        aws: Arc<Aws>,
        options: WorkerOptions,
    ) -> std::result::Result<Self, SetupError> {
        let name = name.into();
        let services = Arc::new(Services::new(&name, pool, config, clock, installation, aws, options.lease)?);
        Ok(Self {
            operations: Arc::new(OperationLoop::new(name.clone(), Arc::clone(&services))),
            deliveries: Arc::new(DeliveryLoop::new(Arc::clone(&services), installation, options.resolver)),
            reconciliation: PeriodicReconciler::new(name.clone(), Arc::clone(&services)),
            name,
            services,
        })
    }

    /// Runs the loops until `shutdown` is cancelled. Operations are claimed, and AWS is compared with the database,
    /// only while the worker can call AWS. Returns when the steps and deliveries in progress have finished.
    pub async fn run(&self, shutdown: CancellationToken) {
        let services = &self.services;
        tokio::join!(
            services.wake_signals.listen(&services.pool, &shutdown),
            Box::pin(services.aws_access.run(&shutdown)),
            self.operations.run(&shutdown),
            self.deliveries.run(&shutdown),
            self.reconciliation.run(&shutdown),
            key_cleanup::run(services, &shutdown),
            Box::pin(region_removals::run(services, &shutdown)),
            Box::pin(releases::run(services, &shutdown)),
            Box::pin(rollouts::run(&self.name, services, &shutdown)),
            Box::pin(rollouts::alarms::run(services, &shutdown)),
        );
    }

    /// Returns the AWS access of this worker, which changes while [`Worker::run`] checks the credentials.
    pub fn aws_access(&self) -> AwsAccessStatus {
        self.services.aws_access.status()
    }

    /// Checks the AWS credentials once. Tests that move the clock use this.
    pub async fn check_aws_access(&self) {
        self.services.aws_access.check().await;
    }

    /// Opens the operations that delete removed replicas and are due, and returns their number. Tests that move the
    /// clock use this.
    pub async fn open_due_removals(&self) -> Result<usize> {
        region_removals::open_due(&self.services).await
    }

    /// Checks the registered releases, and returns their number. Tests that move the clock use this.
    pub async fn check_releases(&self) -> Result<usize> {
        releases::check_registered(&self.services).await
    }

    /// Continues the rollout that is due until it waits, and returns the number of decisions. Tests that move the clock
    /// use this.
    pub async fn drain_rollouts(&self) -> Result<usize> {
        rollouts::drain(&self.name, &self.services).await
    }

    /// Reads the alarms of environments in a bake that are due, and returns the number of environments. Tests that move
    /// the clock use this.
    pub async fn read_alarms(&self) -> Result<usize> {
        rollouts::alarms::read_due(&self.services, &CancellationToken::new()).await
    }

    /// Runs all operations that are due and returns the number of claims. Tests that move the clock use this.
    pub async fn drain(&self) -> Result<usize> {
        self.operations.drain().await
    }

    /// Runs all due operations like [`Worker::drain`], except those that another worker ran before. This simulates
    /// several concurrent workers.
    pub async fn drain_own(&self) -> Result<usize> {
        self.operations.drain_own().await
    }

    /// Makes one attempt of each due delivery and returns the number of attempts. Tests that move the clock use this.
    pub async fn drain_webhooks(&self) -> Result<usize> {
        self.deliveries.drain().await
    }

    /// Returns the number of webhook requests that tried to open a connection. For tests.
    pub fn webhooks_sent(&self) -> u64 {
        self.deliveries.sent()
    }

    pub fn reconciler(&self) -> Reconciler {
        Reconciler::new(Arc::clone(&self.services))
    }

    pub fn recoverer(&self) -> Recoverer {
        Recoverer::new(Arc::clone(&self.services))
    }

    /// Compares AWS with the database if that is due and no other worker is comparing. Returns whether the comparison
    /// was made.
    pub async fn compare_if_due(&self, shutdown: &CancellationToken) -> std::result::Result<bool, ReconcileError> {
        self.reconciliation.compare_if_due(shutdown).await
    }
}
