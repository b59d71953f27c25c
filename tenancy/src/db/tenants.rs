//! Reads and updates tenants and their environments.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgExecutor;

use super::environment_stacks::StackRow;
use super::{
    DbError, PgPool, Result, environment_front_doors, environment_replicas, findings, map_constraint_violation,
    parse_json, parse_text,
};
use crate::baseline::BaselineVersion;
use crate::environment::{Environment, EnvironmentState};
use crate::environment_pin::EnvironmentPin;
use crate::environment_stack::{EnvironmentStackState, StackKind, StackSlot};
use crate::feed::FeedType;
use crate::finding::Finding;
use crate::tenant::{LegalHold, Suspension, SuspensionReason, Tenant, TenantState};
use crate::unicode::searchable;
use crate::{CompanyName, EmailAddress, EnvironmentId, ExternalId, OperationId, Region, TenantId, Tier};

/// Filter for tenants; a field that is `None` matches all tenants.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    pub id: Option<TenantId>,
    pub state: Option<TenantState>,
    /// Home region of at least one environment of the tenant.
    pub home_region: Option<Region>,
    /// Home or replica region of at least one environment of the tenant that is not offboarded.
    pub region: Option<Region>,
    pub tier: Option<Tier>,
    /// Id of the tenant in the SaaS.
    pub external_id: Option<String>,
    /// Part of the company name, external id, e-mail address or account id, case-insensitive.
    pub q: Option<String>,
    /// Whether at least one environment of the tenant is degraded or needs attention.
    pub attention: Option<bool>,
}

/// Returns at most `limit` tenants that are older than the tenant `before`, newest first.
pub async fn list(pool: &PgPool, filter: &TenantFilter, before: Option<TenantId>, limit: i64) -> Result<Vec<Tenant>> {
    let text = filter.q.as_deref().map(searchable);
    let ids = sqlx::query_scalar!(
        r#"/* db::tenants::list */
        select t.id from tenants t
        where ($1::uuid is null or t.id < $1)
          and ($2::text is null or t.tier = $2)
          and ($3::text is null or t.external_id = $3)
          and ($4::text is null or t.id in (
              select s.id from search_entries s where s.kind = 'tenant'
                  and s.trigrams @> search_trigrams(lower($4)) and strpos(s.content, lower($4)) > 0))
          and ($5::text is null or exists (
              select from environments e where e.tenant_id = t.id and e.home_region = $5))
          and ($10::text is null or exists (
              select from environments e
              where e.tenant_id = t.id and e.state <> 'offboarded' and (e.home_region = $10 or exists (
                  select from environment_replicas r where r.environment_id = e.id and r.region = $10))))
          and ($6::text is null or $6 = case
              when t.id in (select tenant_id from degraded_environments) then 'degraded' else (
              select case
                  when bool_or(e.state = 'needs_attention') then 'needs_attention'
                  when bool_or(e.state = 'onboarding' and e.created_at = t.created_at) then 'onboarding'
                  when bool_or(e.state = 'restoring') then 'restoring'
                  when bool_or(e.state = 'ready') then 'ready'
                  when bool_or(e.state = 'onboarding') then 'onboarding'
                  when t.id in (select tenant_id from suspended_environments) then 'suspended'
                  when bool_or(e.state = 'offboarding') then 'offboarding'
                  else 'offboarded' end
              from environments e where e.tenant_id = t.id) end)
          and ($9::boolean is null or $9 = (
              t.id in (select tenant_id from degraded_environments) or exists (
                  select from environments e where e.tenant_id = t.id and e.state = 'needs_attention')))
          and ($8::uuid is null or t.id = $8)
        order by t.id desc limit $7"#,
        before.map(TenantId::as_uuid),
        filter.tier.as_ref().map(Tier::as_str),
        filter.external_id,
        text,
        filter.home_region.map(Region::as_str),
        filter.state.map(TenantState::as_str),
        limit,
        filter.id.map(TenantId::as_uuid),
        filter.attention,
        filter.region.map(Region::as_str),
    )
    .fetch_all(pool)
    .await?;
    by_ids(pool, &ids.into_iter().map(TenantId::from).collect::<Vec<_>>()).await
}

pub async fn get(pool: &PgPool, id: TenantId) -> Result<Option<Tenant>> {
    Ok(by_ids(pool, &[id]).await?.pop())
}

/// Writes the changed fields of a tenant with an event. Returns false if the tenant was changed or offboarded in the
/// meantime.
pub async fn update(
    executor: impl PgExecutor<'_>,
    tenant: &Tenant,
    changed: &[&str],
    now: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::tenants::update */
        with changed as (
            update tenants set company_name = $3, tier = $4, external_id = $5, labels = $6, admin_email = $10,
                maintenance_windows = $11, updated_at = greatest($7, updated_at + interval '1 microsecond')
            where id = $1 and updated_at = $2 and offboarded_at is null
            returning id
        )
        insert into feed_pending (tenant_id, type, data, occurred_at) select id, $8, $9, $7 from changed"#,
        tenant.id.as_uuid(),
        tenant.updated_at,
        tenant.company_name.as_str(),
        tenant.tier.as_str(),
        tenant.external_id.as_ref().map(ExternalId::as_str),
        json!(tenant.labels),
        now,
        FeedType::TenantUpdated.as_str(),
        json!({ "changed": changed }),
        tenant.admin_email.as_ref().map(EmailAddress::as_str),
        json!(tenant.maintenance_windows),
    )
    .execute(executor)
    .await
    .map_err(map_constraint_violation)?;
    Ok(done.rows_affected() == 1)
}

/// Returns whether a tenant is on legal hold.
pub async fn is_on_legal_hold(pool: &PgPool, id: TenantId) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"/* db::tenants::is_on_legal_hold */
        select legal_hold_at is not null as "held!" from tenants where id = $1"#,
        id.as_uuid(),
    );
    Ok(held.fetch_optional(pool).await?.unwrap_or(false))
}

/// Returns the tenants with the given ids, newest first.
async fn by_ids(pool: &PgPool, ids: &[TenantId]) -> Result<Vec<Tenant>> {
    let uuids: Vec<_> = ids.iter().map(|id| id.as_uuid()).collect();
    let mut environments = environments_of(pool, &uuids).await?;
    let rows = sqlx::query!(
        r#"/* db::tenants::by_ids */
        select id, company_name, admin_email, tier, external_id, labels, maintenance_windows, created_at, updated_at,
            legal_hold_at, legal_hold_reason, suspended_at,
            suspension_reason as "suspension_reason: SuspensionReason", suspension_note
        from tenants where id = any($1) order by id desc"#,
        &uuids,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let id = TenantId::from(row.id);
            Ok(Tenant {
                id,
                company_name: CompanyName::from_stored(row.company_name),
                admin_email: row.admin_email.map(EmailAddress::from_stored),
                tier: parse_text(row.tier)?,
                external_id: row.external_id.map(parse_text).transpose()?,
                labels: serde_json::from_value(row.labels).unwrap_or_default(),
                maintenance_windows: parse_json(row.maintenance_windows, "the maintenance windows of a tenant")?,
                created_at: row.created_at,
                updated_at: row.updated_at,
                legal_hold: row
                    .legal_hold_at
                    .zip(row.legal_hold_reason)
                    .map(|(since, reason)| LegalHold { since, reason }),
                suspension: row.suspended_at.zip(row.suspension_reason).map(|(since, reason)| Suspension {
                    since,
                    reason,
                    note: row.suspension_note,
                }),
                environments: environments.remove(&id).unwrap_or_default(),
            })
        })
        .collect()
}

async fn environments_of(pool: &PgPool, tenants: &[uuid::Uuid]) -> Result<HashMap<TenantId, Vec<Environment>>> {
    let rows = sqlx::query!(
        r#"/* db::tenants::environments_of */
        select e.id, e.tenant_id, e.name, e.residency, e.home_region,
            case when e.id in (select environment_id from degraded_environments)
                then 'degraded'
                when e.state = 'offboarding' and e.id in (select environment_id from suspended_environments)
                then 'suspended' else e.state end as "state!: EnvironmentState",
            e.id in (select environment_id from findings where resolved_at is null) as has_findings,
            e.created_at, e.updated_at, e.ready_at, e.offboarded_at, m.aws_account_id as "aws_account_id?", e.baseline_version,
            o.id as operation_id, s.region as "stack_region?", s.stack_name as "stack_name?", s.stack_id,
            s.state as "stack_state?: EnvironmentStackState", s.outputs as "outputs?", s.changed_at,
            s.release_id, s.parameters as stack_parameters, e.parameters,
            p.reason as "pin_reason?", p.until as pinned_until, p.pinned_by as "pinned_by?",
            p.pinned_at as "pinned_at?",
            e.id in (select environment_id from environment_replicas) as has_replicas,
            e.id in (select environment_id from environment_front_doors) as has_front_door
        from environments e
        left join account_mappings m on m.environment_id = e.id and m.valid_to is null
        left join environment_stacks s on s.environment_id = e.id and s.kind = 'tenant' and s.slot = 0
            and s.state <> 'deleted'
        left join environment_pins p on p.environment_id = e.id
        join lateral (
            select id from operations where environment_id = e.id
                and tenant_id = e.tenant_id order by (finished_at is null) desc, id desc limit 1
        ) o on true
        where e.tenant_id = any($1) order by e.id"#,
        tenants,
    )
    .fetch_all(pool)
    .await?;
    let mut findings: HashMap<EnvironmentId, Vec<Finding>> = HashMap::new();
    if rows.iter().any(|row| row.has_findings == Some(true)) {
        for finding in findings::open_of_tenants(pool, tenants).await? {
            if let Some((_, environment)) = finding.environment {
                findings.entry(environment).or_default().push(finding);
            }
        }
    }
    let with_replicas: Vec<_> = rows.iter().filter(|row| row.has_replicas == Some(true)).map(|row| row.id).collect();
    let mut replicas = if with_replicas.is_empty() {
        HashMap::new()
    } else {
        environment_replicas::of_environments(pool, &with_replicas).await?
    };
    let with_front_door = rows.iter().filter(|row| row.has_front_door == Some(true)).map(|row| row.id);
    let with_front_door: Vec<_> = with_front_door.collect();
    let mut front_doors = if with_front_door.is_empty() {
        HashMap::new()
    } else {
        environment_front_doors::of_environments(pool, &with_front_door).await?
    };
    let mut environments: HashMap<TenantId, Vec<Environment>> = HashMap::new();
    for row in rows {
        let stack = row.stack_region.zip(row.stack_name).zip(row.stack_state);
        let home_stack = stack.map(|((region, stack_name), state)| StackRow {
            kind: StackKind::Tenant,
            slot: StackSlot::Home.number(),
            region,
            stack_name,
            stack_id: row.stack_id,
            state,
            outputs: row.outputs.unwrap_or_default(),
            changed_at: row.changed_at,
            release_id: row.release_id,
            parameters: row.stack_parameters,
        });
        let pin = row.pin_reason.zip(row.pinned_by).zip(row.pinned_at).map(|((reason, by), pinned_at)| {
            let pinned_by = parse_json(by, "the author of a pin")?;
            Ok::<_, DbError>(EnvironmentPin { reason, until: row.pinned_until, pinned_by, pinned_at })
        });
        let tenant_id = TenantId::from(row.tenant_id);
        environments.entry(tenant_id).or_default().push(Environment {
            id: row.id.into(),
            tenant_id,
            name: parse_text(row.name)?,
            residency: parse_text(row.residency)?,
            home_region: parse_text(row.home_region)?,
            replicas: replicas.remove(&row.id.into()).unwrap_or_default(),
            front_door: front_doors.remove(&row.id.into()),
            parameters: parse_json(row.parameters, "the parameters of an environment")?,
            home_stack: home_stack.map(StackRow::stack).transpose()?,
            state: row.state,
            aws_account_id: row.aws_account_id.map(parse_text).transpose()?,
            baseline_version: match row.baseline_version {
                Some(version) => Some(parse_text(version)?),
                None => row.ready_at.map(|_| BaselineVersion::first()),
            },
            operation_id: OperationId::from(row.operation_id),
            created_at: row.created_at,
            updated_at: row.updated_at,
            ready_at: row.ready_at,
            pin: pin.transpose()?,
            offboarded_at: row.offboarded_at,
            findings: findings.remove(&row.id.into()).unwrap_or_default(),
        });
    }
    Ok(environments)
}
