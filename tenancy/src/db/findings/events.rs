//! Events of findings about environments, written in the transaction that opens or resolves the findings.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::Result;
use crate::feed::FeedType;
use crate::finding::Finding;
use crate::{EnvironmentId, TenantId};

/// Environment with its tenant.
type TenantEnvironment = (TenantId, EnvironmentId);

/// Environments whose state a change of findings has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Environments that are now degraded.
    pub degraded: Vec<TenantEnvironment>,
    /// Environments that are no longer degraded.
    pub recovered: Vec<TenantEnvironment>,
}

/// Environments whose findings or replicas change in this transaction. Their rows are locked, so that no operation
/// changes their state meanwhile.
pub(in crate::db) struct LockedEnvironments {
    ids: Vec<Uuid>,
    /// Environments that were degraded before the change.
    degraded: BTreeSet<TenantEnvironment>,
}

impl LockedEnvironments {
    /// Locks the environments. Waits for other transactions that change findings, so that each change of a state is
    /// published once.
    pub(in crate::db) async fn lock(tx: &mut PgConnection, ids: Vec<Uuid>) -> Result<Self> {
        sqlx::query!("/* db::findings::lock */ select pg_advisory_xact_lock(hashtextextended('findings', 2))")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "/* db::findings::lock */ select id from environments where id = any($1) order by id for no key update",
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let degraded = degraded(tx, &ids).await?;
        Ok(Self { ids, degraded })
    }

    /// Writes an event for each environment whose state has changed since [`Self::lock`], and returns them.
    pub(in crate::db) async fn write_changes(self, tx: &mut PgConnection, now: DateTime<Utc>) -> Result<StateChanges> {
        let after = degraded(tx, &self.ids).await?;
        let changes = StateChanges {
            degraded: after.difference(&self.degraded).copied().collect(),
            recovered: self.degraded.difference(&after).copied().collect(),
        };
        for (feed_type, environments) in
            [(FeedType::EnvironmentDegraded, &changes.degraded), (FeedType::EnvironmentRecovered, &changes.recovered)]
        {
            let events = environments.iter().map(|environment| (*environment, json!({}))).collect();
            write(tx, feed_type, events, now).await?;
        }
        Ok(changes)
    }
}

/// Returns the degraded environments among `ids`.
async fn degraded(tx: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeSet<TenantEnvironment>> {
    let rows = sqlx::query!(
        r#"/* db::findings::degraded */
        select tenant_id as "tenant_id!", environment_id as "environment_id!" from degraded_environments
        where environment_id = any($1)"#,
        ids,
    );
    let rows = rows.fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id.into(), row.environment_id.into())).collect())
}

/// Writes an event of `feed_type` for each finding about an environment.
pub(super) async fn write_findings(
    tx: &mut PgConnection,
    feed_type: FeedType,
    findings: impl Iterator<Item = &Finding>,
    now: DateTime<Utc>,
) -> Result<()> {
    let events = findings.filter_map(|finding| {
        let data = json!({ "finding_id": finding.id, "kind": finding.kind, "severity": finding.severity });
        Some((finding.environment?, data))
    });
    write(tx, feed_type, events.collect(), now).await
}

async fn write(
    tx: &mut PgConnection,
    feed_type: FeedType,
    events: Vec<(TenantEnvironment, Value)>,
    now: DateTime<Utc>,
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let tenants: Vec<Uuid> = events.iter().map(|((tenant, _), _)| tenant.as_uuid()).collect();
    let environments: Vec<Uuid> = events.iter().map(|((_, environment), _)| environment.as_uuid()).collect();
    let data: Vec<Value> = events.into_iter().map(|(_, data)| data).collect();
    sqlx::query!(
        r#"/* db::findings::write_events */
        insert into feed_pending (tenant_id, environment_id, type, data, occurred_at)
        select news.tenant_id, news.environment_id, $1, news.data, $5
        from unnest($2::uuid[], $3::uuid[], $4::jsonb[]) with ordinality as news (tenant_id, environment_id, data, n)
        order by news.n"#,
        feed_type.as_str(),
        &tenants,
        &environments,
        &data,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the event of an environment that an operation has put into service and that is degraded.
pub(in crate::db) async fn write_degraded(
    tx: &mut PgConnection,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<()> {
    let events = degraded(tx, &[environment.as_uuid()]).await?.into_iter().map(|environment| (environment, json!({})));
    write(tx, FeedType::EnvironmentDegraded, events.collect(), now).await
}
