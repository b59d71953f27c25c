//! Compares AWS with the database: what is not as it should be is a finding. What is safe is put right by an ordinary
//! operation, all else waits for a person.
//!
//! [`observe`] reads AWS (and says how long that takes), [`compare`] is pure, [`repair`] opens operations, [`periodic`] has
//! one worker at a time do it.

mod compare;
mod observe;
pub(crate) mod periodic;
mod repair;
mod throttle;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::findings::{self, FindingFilter};
use freehold_tenancy::db::reconcile;
use freehold_tenancy::finding::{Finding, FindingState, Severity};
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use crate::services::Services;
use compare::CompareInput;
pub use throttle::ObserveError;
use throttle::ReadThrottle;

/// More open findings than there can be.
const ALL: i64 = i64::MAX;

/// Compares AWS with the database, whenever it is told to.
pub struct Reconciler {
    services: Arc<Services>,
}

/// What to do about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    /// Nothing: it is only recorded.
    Off,
    /// Repairs are begun where that is safe, unless there are more than the configuration allows at once.
    Limited,
    /// Repairs are begun wherever that is safe: a person has asked for it.
    All,
}

/// Why a comparison came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// AWS could not be read.
    #[error("AWS could not be compared with the database: {0}")]
    Aws(#[from] ObserveError),
    /// The database.
    #[error("{0}")]
    Database(#[from] DbError),
}

/// What came of a comparison.
#[derive(Debug, Clone)]
pub struct Report {
    /// When the first look was taken.
    pub started_at: DateTime<Utc>,
    /// When all was written down.
    pub finished_at: DateTime<Utc>,
    /// How many accounts the organisation has.
    pub accounts: usize,
    /// How many environments have an account.
    pub environments: usize,
    /// What is not as it should be, the worst first.
    pub findings: Vec<Reported>,
    /// How many earlier findings are gone.
    pub resolved: u64,
    /// Accounts that could not be looked at or into, and why.
    pub unseen: Vec<(AwsAccountId, String)>,
}

/// A finding, and whether it is news.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The finding as it is kept.
    pub finding: Finding,
    /// Whether it was not known before.
    pub is_new: bool,
}

impl Report {
    /// Whether everything was looked at, and is as it should be.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unseen.is_empty()
    }
}

impl Reconciler {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Compares once, writes down what it finds, and has it healed or not; until `stop`.
    pub fn run_once<'a>(
        &'a self,
        heal: RepairMode,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Report, ReconcileError>> {
        self.compare(heal, stop).boxed()
    }

    async fn compare(&self, heal: RepairMode, stop: &CancellationToken) -> Result<Report, ReconcileError> {
        let started_at = self.services.clock.now();
        let before = reconcile::known(&self.services.pool).await?;
        let pace = ReadThrottle::new(self.services.clock.clone(), self.services.config.quotas.clone(), stop.clone());
        let seen = observe::observe(&*self.services.cloud, &self.services.config, &before, &pace).await?;
        // Once more: what was begun, or done, while we looked is not held against it.
        let known = reconcile::known(&self.services.pool).await?;
        let sides = CompareInput {
            seen: &seen,
            known: &known,
            config: &self.services.config,
            installation: self.services.installation,
            started_at,
        };
        let comparison = compare::compare(&sides);
        let (reported, resolved) = self.record(&comparison, started_at).await?;
        let mut report = Report {
            started_at,
            finished_at: self.services.clock.now(),
            accounts: seen.accounts.len(),
            environments: known.environments.len(),
            findings: reported,
            resolved,
            unseen: seen.unseen,
        };
        repair::start_repairs(&self.services, heal, &mut report.findings).await?;
        report.findings.sort_by_key(|one| (one.finding.severity, one.finding.kind, one.finding.subject.clone()));
        Ok(report)
    }

    /// Writes down what was found and resolves what would have been found again and was not.
    async fn record(
        &self,
        comparison: &compare::Comparison,
        started_at: DateTime<Utc>,
    ) -> Result<(Vec<Reported>, u64), ReconcileError> {
        let now = self.services.clock.now();
        let kept = findings::record(&self.services.pool, &comparison.found, now).await?;
        let reported: Vec<_> = kept.into_iter().map(|(finding, is_new)| Reported { finding, is_new }).collect();
        for Reported { finding, .. } in reported.iter().filter(|one| one.is_new) {
            log(finding);
        }
        let open = FindingFilter { state: Some(FindingState::Open), ..FindingFilter::default() };
        let again: BTreeSet<_> = reported.iter().map(|one| one.finding.id).collect();
        let gone: Vec<_> = findings::list(&self.services.pool, &open, None, ALL)
            .await?
            .into_iter()
            .filter(|finding| !again.contains(&finding.id) && comparison.would_have_found(finding))
            .map(|finding| finding.id)
            .collect();
        let resolved = findings::resolve(&self.services.pool, &gone, started_at, now).await?;
        Ok((reported, resolved))
    }
}

fn log(finding: &Finding) {
    let (id, kind, account) = (finding.id, finding.kind, finding.aws_account_id.as_ref());
    match finding.severity {
        Severity::Critical | Severity::Error => tracing::error!(%id, %kind, ?account, "{}", finding.message),
        Severity::Warning => tracing::warn!(%id, %kind, ?account, "{}", finding.message),
    }
    metrics::counter!("freehold_findings_total", "severity" => finding.severity.as_str()).increment(1);
}
