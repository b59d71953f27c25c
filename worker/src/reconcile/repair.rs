//! Starts repairs of findings that are safe to repair. A repair is an ordinary operation, which reads before it writes.
//!
//! A finding is repaired once. If it still exists after the repair, the repair did not fix the cause, and a person must
//! act.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::{DbError, PgPool, findings, lifecycle};
use freehold_tenancy::finding::{Finding, FindingRemedy};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::{EnvironmentId, FindingId, OperationId, TenantId};
use serde_json::json;

use super::{RepairMode, ReportedFinding};
use crate::services::Services;

/// Starts a repair of each environment with findings that are safe to repair, and records the repair in these findings.
pub(super) async fn start_repairs(
    services: &Services,
    mode: RepairMode,
    reported: &mut [ReportedFinding],
) -> Result<(), DbError> {
    if mode == RepairMode::Off {
        return Ok(());
    }
    let mut to_repair: BTreeMap<(TenantId, EnvironmentId), Vec<&mut ReportedFinding>> = BTreeMap::new();
    let needs_repair = |one: &Finding| one.remedy == FindingRemedy::Repair && one.operation_id.is_none();
    for one in reported.iter_mut().filter(|one| needs_repair(&one.finding)) {
        if let Some(environment) = one.finding.environment {
            to_repair.entry(environment).or_default().push(one);
        }
    }
    let max = services.config.reconcile.max_repairs_per_run;
    if mode == RepairMode::Limited && to_repair.len() > max {
        tracing::error!(
            environments = to_repair.len(),
            max,
            "{} environments need a repair, but reconcile.max_repairs_per_run is {max}, so none was started: check \
             the findings, then run `freehold reconcile --repair`",
            to_repair.len()
        );
        return Ok(());
    }
    let now = services.clock.now();
    for ((tenant, environment), found) in to_repair {
        let ids: Vec<FindingId> = found.iter().map(|one| one.finding.id).collect();
        let Some(operation) = create_repair(&services.pool, environment, &ids, now).await? else { continue };
        findings::set_repair_operation(&services.pool, &ids, operation).await?;
        for one in found {
            one.finding.operation_id = Some(operation);
        }
        tracing::info!(%tenant, %environment, %operation, "repair {operation} of environment {environment} started");
        services.work_notifier.notify();
    }
    Ok(())
}

/// Creates a repair operation for an environment with these findings. Returns `None` if the environment has another
/// open operation.
async fn create_repair(
    pool: &PgPool,
    environment: EnvironmentId,
    found: &[FindingId],
    now: DateTime<Utc>,
) -> Result<Option<OperationId>, DbError> {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let by = Requester { issuer: "freehold".to_owned(), subject: "reconciler".to_owned() };
    lifecycle::open_repair(pool, environment, &json!({ "findings": found }), &by, now).await
}
