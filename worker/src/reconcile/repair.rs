//! Putting right what is safe: by an ordinary operation, which observes before it acts, like any other.
//!
//! A finding is healed once. One that is still there when its repair has ended waits for a person: whatever is behind it, a
//! repair does not mend it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::{DbError, PgPool, findings, lifecycle};
use freehold_tenancy::finding::{Finding, FindingRemedy};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::{EnvironmentId, FindingId, OperationId, TenantId};
use serde_json::json;

use super::{RepairMode, Reported};
use crate::services::Services;

/// Begins a repair of every environment with something that is safe to put right, and notes it with the findings.
pub(super) async fn heal(services: &Services, heal: RepairMode, reported: &mut [Reported]) -> Result<(), DbError> {
    if heal == RepairMode::Off {
        return Ok(());
    }
    let mut to_repair: BTreeMap<(TenantId, EnvironmentId), Vec<&mut Reported>> = BTreeMap::new();
    let waits = |one: &Finding| one.remedy == FindingRemedy::Repair && one.operation_id.is_none();
    for one in reported.iter_mut().filter(|one| waits(&one.finding)) {
        if let Some(environment) = one.finding.environment {
            to_repair.entry(environment).or_default().push(one);
        }
    }
    let most = services.config.reconcile.max_repairs_per_run;
    if heal == RepairMode::Limited && to_repair.len() > most {
        tracing::error!(
            environments = to_repair.len(),
            most,
            "more environments want a repair at once than reconcile.max_repairs_per_run allows: look at them, then run \
             `freehold reconcile --repair`"
        );
        return Ok(());
    }
    let now = services.clock.now();
    for ((tenant, environment), found) in to_repair {
        let ids: Vec<FindingId> = found.iter().map(|one| one.finding.id).collect();
        let Some(operation) = open(&services.pool, environment, &ids, now).await? else { continue };
        findings::healed_by(&services.pool, &ids, operation).await?;
        for one in found {
            one.finding.operation_id = Some(operation);
        }
        tracing::info!(%tenant, %environment, %operation, "a repair was begun");
        services.work_notifier.notify();
    }
    Ok(())
}

/// Opens a repair of an environment because of what was found there; nothing where something is under way there.
async fn open(
    pool: &PgPool,
    environment: EnvironmentId,
    found: &[FindingId],
    now: DateTime<Utc>,
) -> Result<Option<OperationId>, DbError> {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let by = Requester { issuer: "freehold".to_owned(), subject: "reconciler".to_owned() };
    lifecycle::open_repair(pool, environment, &json!({ "findings": found }), &by, now).await
}
