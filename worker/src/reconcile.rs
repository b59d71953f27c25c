//! Comparison of AWS with the database. Each difference is a finding. Findings that are safe to repair start a repair
//! operation; the others need a person.
//!
//! [`observe`] reads AWS within its rate limits, [`compare`] is a pure function, [`repair`] starts operations, and
//! [`periodic`] repeats the comparison in one worker at a time.

mod compare;
mod observe;
pub(crate) mod periodic;
mod record_access;
mod repair;
pub(crate) mod throttle;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::db::DbError;
use freehold_tenancy::db::findings::{self, FindingFilter, StateChanges};
use freehold_tenancy::db::{account_mappings, notify, reconcile};
use freehold_tenancy::finding::{Finding, FindingState, Severity};
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;
use tracing::field::display;

use crate::services::Services;
use compare::CompareInput;
pub(crate) use observe::all_pages;
pub use throttle::ObserveError;
use throttle::ReadThrottle;

/// Page size that returns all rows.
const NO_LIMIT: i64 = i64::MAX;

/// Reconciler that compares AWS with the database.
pub struct Reconciler {
    services: Arc<Services>,
}

/// Selection of the findings that are repaired automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    /// No repairs are started. Findings are only recorded.
    Off,
    /// Safe repairs are started, unless their number exceeds the configured limit.
    Limited,
    /// All safe repairs are started, because a person has requested it.
    All,
}

/// Error of a comparison of AWS with the database.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("AWS could not be compared with the database: {0}")]
    Aws(#[from] ObserveError),
    #[error("{0}")]
    Database(#[from] DbError),
}

/// Result of a comparison of AWS with the database.
#[derive(Debug, Clone)]
pub struct Report {
    pub started_at: DateTime<Utc>,
    /// Time at which the comparison finished and all findings were recorded.
    pub finished_at: DateTime<Utc>,
    /// Number of accounts in the organisation.
    pub accounts: usize,
    /// Number of environments with an account.
    pub environments: usize,
    /// Findings of this comparison, with the most severe first.
    pub findings: Vec<ReportedFinding>,
    /// Number of earlier findings that this comparison has resolved.
    pub resolved: usize,
    /// Accounts that could not be read, each with the reason.
    pub unseen: Vec<(AwsAccountId, String)>,
}

/// Finding of a comparison, as recorded in the database.
#[derive(Debug, Clone)]
pub struct ReportedFinding {
    pub finding: Finding,
    /// Whether this comparison has opened the finding.
    pub is_new: bool,
}

impl Report {
    /// Returns whether every account was read and there are no findings.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unseen.is_empty()
    }
}

impl Reconciler {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Compares AWS with the database once, records the findings and starts repairs according to `mode`. `stop`
    /// interrupts the comparison.
    pub fn run_once<'a>(
        &'a self,
        mode: RepairMode,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Report, ReconcileError>> {
        self.compare(mode, stop).boxed()
    }

    async fn compare(&self, mode: RepairMode, stop: &CancellationToken) -> Result<Report, ReconcileError> {
        let started_at = self.services.clock.now();
        let before = reconcile::expected(&self.services.pool).await?;
        let throttle =
            ReadThrottle::new(self.services.clock.clone(), self.services.config.quotas.clone(), stop.clone());
        let seen = observe::observe(&self.services.aws, &self.services.config, &before, &throttle).await?;
        // Read again, so that operations started or finished during the comparison cause no findings.
        let known = reconcile::expected(&self.services.pool).await?;
        let template_hashes = reconcile::template_hashes(&self.services.pool, &seen.regions_of_templates()).await?;
        let input = CompareInput {
            seen: &seen,
            known: &known,
            template_hashes: &template_hashes,
            config: &self.services.config,
            installation: self.services.installation,
            started_at,
        };
        let states: Vec<_> = seen.accounts.values().map(|one| (one.id.clone(), one.state.clone())).collect();
        account_mappings::record_states(&self.services.pool, &states, started_at).await?;
        record_access::record(&self.services.pool, &input, self.services.clock.now()).await?;
        let comparison = compare::compare(&input);
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
        repair::start_repairs(&self.services, mode, &mut report.findings).await?;
        report.findings.sort_by_key(|one| (one.finding.severity, one.finding.kind, one.finding.subject.clone()));
        Ok(report)
    }

    /// Records the findings. Resolves the open findings that this comparison checked and did not find again.
    async fn record(
        &self,
        comparison: &compare::Comparison,
        started_at: DateTime<Utc>,
    ) -> Result<(Vec<ReportedFinding>, usize), ReconcileError> {
        let now = self.services.clock.now();
        let (recorded, opened) = findings::record(&self.services.pool, &comparison.found, now).await?;
        let reported: Vec<_> =
            recorded.into_iter().map(|(finding, is_new)| ReportedFinding { finding, is_new }).collect();
        for ReportedFinding { finding, .. } in reported.iter().filter(|one| one.is_new) {
            log(finding);
        }
        log_state_changes(&opened);
        let open = FindingFilter { state: Some(FindingState::Open), ..FindingFilter::default() };
        let found_again: BTreeSet<_> = reported.iter().map(|one| one.finding.id).collect();
        let resolvable: Vec<_> = findings::list(&self.services.pool, &open, None, NO_LIMIT)
            .await?
            .into_iter()
            .filter(|finding| !found_again.contains(&finding.id) && comparison.would_have_found(finding))
            .map(|finding| finding.id)
            .collect();
        let (resolved, closed) = findings::resolve(&self.services.pool, &resolvable, started_at, now).await?;
        for Finding { id, kind, aws_account_id: account, .. } in &resolved {
            tracing::info!(%id, %kind, ?account, "finding {id} ({kind}) resolved");
        }
        log_state_changes(&closed);
        if !resolved.is_empty() || reported.iter().any(|one| one.is_new) {
            // Findings about environments are events, which may have to be delivered to webhook endpoints. The process
            // may exit next, so the notification is sent now.
            notify::notify_now(&self.services.pool).await?;
        }
        Ok((reported, resolved.len()))
    }
}

fn log(finding: &Finding) {
    let (id, kind, account) = (finding.id, finding.kind, finding.aws_account_id.as_ref());
    let tenant = finding.environment.map(|(tenant, _)| display(tenant));
    let environment = finding.environment.map(|(_, environment)| display(environment));
    match finding.severity {
        Severity::Critical | Severity::Error => {
            tracing::error!(
                %id, %kind, ?account, tenant, environment,
                "new finding {id} ({kind}): {}", finding.message
            );
        }
        Severity::Warning => {
            tracing::warn!(%id, %kind, ?account, tenant, environment, "new finding {id} ({kind}): {}", finding.message);
        }
    }
    metrics::counter!("freehold_findings_total", "severity" => finding.severity.as_str()).increment(1);
}

fn log_state_changes(changes: &StateChanges) {
    for (tenant, environment) in &changes.degraded {
        tracing::warn!(
            %tenant, %environment,
            "environment {environment} of tenant {tenant} is degraded by a critical finding"
        );
    }
    for (tenant, environment) in &changes.recovered {
        tracing::info!(%tenant, %environment, "environment {environment} of tenant {tenant} is no longer degraded");
    }
}
