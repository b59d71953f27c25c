//! Recovery after the restore of an older database. It compares the accounts in AWS with the database, records in the
//! database what has happened since the backup, and changes nothing in AWS.
//!
//! [`observe`] reads AWS within its rate limits, [`plan`] is pure, and the changes are one database transaction.

mod details;
mod item;
mod observe;
mod plan;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::recovery::{self, KnownState};
use freehold_tenancy::db::{DbError, lifecycle};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::recovery::{Change, TenantDetails};
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

pub use freehold_tenancy::db::lifecycle::RecoverResult;
pub use item::{RecoveryItem, Resolution};

use crate::reconcile::ObserveError;
use crate::reconcile::throttle::ReadThrottle;
use crate::services::Services;
use plan::PlanInput;

/// Recoverer, which brings a restored database up to date with AWS.
pub struct Recoverer {
    services: Arc<Services>,
}

/// Changes that bring the database up to date with AWS.
#[derive(Debug, Clone)]
pub struct RecoveryPlan {
    /// Time of the latest change in the database.
    pub latest_change_at: Option<DateTime<Utc>>,
    /// Number of accounts in the organisation.
    pub accounts: usize,
    /// Differences, each with the way in which it is resolved.
    pub items: Vec<RecoveryItem>,
    /// Whether feed positions are skipped, because this database was not recovered since its restore.
    pub skips_positions: bool,
    known: KnownState,
    identity: String,
}

/// Error of a recovery.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("AWS could not be compared with the database: {0}")]
    Aws(#[from] ObserveError),
    #[error("{0}")]
    Database(#[from] DbError),
}

impl RecoveryPlan {
    /// Returns whether the database is up to date and no person must act.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && !self.skips_positions
    }

    /// Returns whether all differences are resolved by the recovery.
    pub fn is_complete(&self) -> bool {
        self.items.iter().all(|item| item.resolution == Resolution::Recover)
    }

    fn changes(&self) -> Vec<Change> {
        self.items.iter().flat_map(|item| item.changes.iter().cloned()).collect()
    }
}

impl Recoverer {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Compares AWS with the database and returns the changes. Changes nothing. `details` contains the details of lost
    /// environments that the tags of their accounts do not contain. `stop` interrupts the comparison.
    pub fn plan<'a>(
        &'a self,
        details: &'a TenantDetails,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<RecoveryPlan, RecoverError>> {
        self.compare(details, stop).boxed()
    }

    async fn compare(&self, details: &TenantDetails, stop: &CancellationToken) -> Result<RecoveryPlan, RecoverError> {
        let services = &self.services;
        let known = recovery::read_state(&services.pool).await?;
        let throttle = ReadThrottle::new(services.clock.clone(), services.config.quotas.clone(), stop.clone());
        let installation = services.installation.to_string();
        let seen = observe::observe(&services.aws, &services.config, &installation, &known, details, &throttle).await?;
        let input =
            PlanInput { seen: &seen, known: &known, details, config: &services.config, now: services.clock.now() };
        let items = plan::items(&input);
        let origin = recovery::origin(&services.pool).await?;
        let has_changes = items.iter().any(|item| item.resolution == Resolution::Recover);
        Ok(RecoveryPlan {
            latest_change_at: origin.latest_change_at,
            accounts: seen.accounts.len(),
            items,
            // Changes show that the database is behind AWS, so that it was restored again.
            skips_positions: has_changes || !origin.is_recovered,
            known,
            identity: origin.identity,
        })
    }

    /// Makes the changes of the plan in one transaction, in the name of `by`.
    pub async fn apply(&self, plan: &RecoveryPlan, by: &Requester) -> Result<RecoverResult, RecoverError> {
        if !plan.skips_positions {
            return Ok(RecoverResult::Recovered);
        }
        let (services, changes) = (&self.services, plan.changes());
        let now = services.clock.now();
        Ok(lifecycle::recover(&services.pool, &changes, &plan.known, &plan.identity, by, now).await?)
    }
}
