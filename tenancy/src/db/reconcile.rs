//! Stores the schedule of reconcile runs, and reads the expected state of AWS.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::environment_stacks::parse_slot;
use super::{DbError, PgPool, Result, parse_json, parse_text};
use crate::environment_stack::{DeployedRelease, StackKind, StackSlot};
use crate::step::StepName;
use crate::{
    AwsAccountId, CompanyName, EnvironmentId, EnvironmentName, Region, ReleaseId, ResidencyName, TenantId, Tier,
};

/// Claim of a worker on a reconcile run; see [`crate::db::fence::Claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileClaim {
    fence: i64,
}

/// Schedules the first reconcile run if none is scheduled.
pub async fn schedule(pool: &PgPool, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "/* db::reconcile::schedule */ insert into reconciler (due_at) values ($1) on conflict do nothing",
        due_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Returns the time at which the next unclaimed reconcile run is due; `None` if none is scheduled.
pub async fn next_due(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let due = sqlx::query_scalar!(
        r#"/* db::reconcile::next_due */ select greatest(due_at, coalesce(lease_until, due_at)) as "due!"
            from reconciler"#
    );
    Ok(due.fetch_optional(pool).await?)
}

/// Claims a due reconcile run for the duration `lease`. Returns `None` if none is due or another worker has claimed it.
pub async fn claim(
    pool: &PgPool,
    worker: &str,
    now: DateTime<Utc>,
    lease: TimeDelta,
) -> Result<Option<ReconcileClaim>> {
    let fence = sqlx::query_scalar!(
        r#"/* db::reconcile::claim */
        update reconciler set fence = fence + 1, lease_until = $2, leased_by = $3
        where due_at <= $1 and (lease_until is null or lease_until <= $1) returning fence"#,
        now,
        now + lease,
        worker,
    );
    Ok(fence.fetch_optional(pool).await?.map(|fence| ReconcileClaim { fence }))
}

/// Extends the lease of a claimed reconcile run.
pub async fn prolong(pool: &PgPool, claim: ReconcileClaim, until: DateTime<Utc>) -> Result<()> {
    let done = sqlx::query!(
        "/* db::reconcile::prolong */ update reconciler set lease_until = $2 where fence = $1
            and lease_until is not null",
        claim.fence,
        until,
    );
    if done.execute(pool).await?.rows_affected() == 1 { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Releases a claimed reconcile run. The next run is due at `due_at`.
pub async fn release(pool: &PgPool, claim: ReconcileClaim, due_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    let done = sqlx::query!(
        r#"/* db::reconcile::release */
        update reconciler set due_at = $2, finished_at = $3, lease_until = null, leased_by = null where fence = $1"#,
        claim.fence,
        due_at,
        now,
    );
    if done.execute(pool).await?.rows_affected() == 1 { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Brings the next reconcile run forward to `due_at`, if it is due later.
pub(super) async fn bring_forward(tx: &mut PgConnection, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!("/* db::reconcile::bring_forward */ update reconciler set due_at = $1 where due_at > $1", due_at)
        .execute(tx)
        .await?;
    Ok(())
}

/// Expected state of AWS according to the database.
#[derive(Debug, Clone, Default)]
pub struct ExpectedState {
    /// Environments that currently have an account.
    pub environments: Vec<MappedEnvironment>,
    /// Accounts that belong or belonged to an environment.
    pub accounts: BTreeSet<AwsAccountId>,
    /// Environments that wait for an account.
    pub awaiting_account: BTreeSet<EnvironmentId>,
}

/// Environment with its current AWS account.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedEnvironment {
    pub tenant_id: TenantId,
    pub company_name: CompanyName,
    pub tier: Tier,
    pub id: EnvironmentId,
    pub name: EnvironmentName,
    pub residency: ResidencyName,
    pub home_region: Region,
    pub aws_account_id: AwsAccountId,
    /// Start of the account mapping.
    pub mapped_at: DateTime<Utc>,
    /// Time since which the environment has been ready without an open operation; `None` if it is not ready or has an
    /// open operation.
    pub settled_at: Option<DateTime<Utc>>,
    /// Time since which the environment has been suspended without an open operation; `None` otherwise.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Stacks that are deployed, the baseline first.
    pub stacks: Vec<DeployedStack>,
    /// Fact `grants` of the step `grant-access`.
    pub grants: Value,
}

/// Deployed stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployedStack {
    pub kind: StackKind,
    pub slot: StackSlot,
    pub name: String,
    /// ARN of the stack: `arn:aws:cloudformation:…`
    pub stack_id: String,
    pub region: Region,
    /// Time at which the last change by Freehold was complete.
    pub at: DateTime<Utc>,
    /// Release of a tenant stack; `None` for other stacks, and before releases existed.
    pub release: Option<DeployedRelease>,
}

/// Returns the expected state of all accounts from the database.
pub async fn expected(pool: &PgPool) -> Result<ExpectedState> {
    let accounts = sqlx::query_scalar!(
        "/* db::reconcile::expected */ select distinct aws_account_id from account_mappings order by aws_account_id"
    );
    let accounts = accounts.fetch_all(pool).await?.into_iter().map(parse_text).collect::<Result<_>>()?;
    let awaiting_account = sqlx::query_scalar!(
        r#"/* db::reconcile::expected */
        select o.environment_id from operations o
        where o.state in ('pending', 'running', 'needs_attention') and not exists (
            select from account_mappings m where m.environment_id = o.environment_id and m.valid_to is null)"#
    );
    let awaiting_account = awaiting_account.fetch_all(pool).await?.into_iter().map(EnvironmentId::from).collect();
    Ok(ExpectedState { environments: mapped(pool).await?, accounts, awaiting_account })
}

async fn mapped(pool: &PgPool) -> Result<Vec<MappedEnvironment>> {
    let rows = sqlx::query!(
        r#"/* db::reconcile::mapped */
        select e.id, e.tenant_id, t.company_name, t.tier, e.name, e.residency, e.home_region, m.aws_account_id,
            m.valid_from, case when e.state = 'ready' and o.open = 0 then o.latest end as settled_at,
            case when e.id in (select environment_id from suspended_environments) and o.open = 0
                then o.latest end as suspended_at,
            a.facts -> 'grants' as grants
        from account_mappings m
        join environments e on e.id = m.environment_id
        join tenants t on t.id = e.tenant_id
        join lateral (
            select max(finished_at) as latest, count(*) filter (where finished_at is null) as open
            from operations where tenant_id = e.tenant_id and environment_id = e.id
        ) o on true
        left join lateral (
            select s.facts from operations o join operation_steps s on s.operation_id = o.id
            where o.tenant_id = e.tenant_id and o.environment_id = e.id and s.name = $1 and s.state = 'done'
            order by s.finished_at desc limit 1
        ) a on true
        where m.valid_to is null order by m.id"#,
        StepName::GrantAccess.as_str(),
    )
    .fetch_all(pool)
    .await?;
    let mut stacks = deployed(pool).await?;
    rows.into_iter()
        .map(|row| {
            Ok(MappedEnvironment {
                tenant_id: row.tenant_id.into(),
                company_name: parse_text(row.company_name)?,
                tier: parse_text(row.tier)?,
                id: row.id.into(),
                name: parse_text(row.name)?,
                residency: parse_text(row.residency)?,
                home_region: parse_text(row.home_region)?,
                aws_account_id: parse_text(row.aws_account_id)?,
                mapped_at: row.valid_from,
                settled_at: row.settled_at,
                suspended_at: row.suspended_at,
                stacks: stacks.remove(&row.id.into()).unwrap_or_default(),
                grants: row.grants.unwrap_or_default(),
            })
        })
        .collect()
}

/// Returns the deployed stacks of all environments with an account.
async fn deployed(pool: &PgPool) -> Result<HashMap<EnvironmentId, Vec<DeployedStack>>> {
    let rows = sqlx::query!(
        r#"/* db::reconcile::deployed */
        select s.environment_id, s.kind as "kind: StackKind", s.slot, s.region, s.stack_name, s.stack_id as "stack_id!",
            s.changed_at as "changed_at!", s.release_id, s.parameters
        from environment_stacks s
        join account_mappings m on m.environment_id = s.environment_id and m.valid_to is null
        where s.state = 'present' order by s.environment_id, s.kind, s.slot"#
    );
    let mut stacks: HashMap<EnvironmentId, Vec<DeployedStack>> = HashMap::new();
    for row in rows.fetch_all(pool).await? {
        let parameters = row.parameters.map(|value| parse_json(value, "the parameters of a stack")).transpose()?;
        let release = row.release_id.map(ReleaseId::from);
        stacks.entry(row.environment_id.into()).or_default().push(DeployedStack {
            kind: row.kind,
            slot: parse_slot(row.slot)?,
            name: row.stack_name,
            stack_id: row.stack_id,
            region: parse_text(row.region)?,
            at: row.changed_at,
            release: release.map(|id| DeployedRelease { id, parameters: parameters.unwrap_or_default() }),
        });
    }
    Ok(stacks)
}

/// SHA-256 of the templates of releases, by region and release.
pub type TemplateHashes = BTreeMap<(Region, ReleaseId), String>;

/// Returns the hash of each release's template in each of the regions.
pub async fn template_hashes(pool: &PgPool, regions: &BTreeSet<Region>) -> Result<TemplateHashes> {
    if regions.is_empty() {
        return Ok(TemplateHashes::new());
    }
    let regions: Vec<String> = regions.iter().map(ToString::to_string).collect();
    let rows = sqlx::query!(
        r#"/* db::reconcile::template_hashes */
        select id as "id!", region as "region!", sha256 as "sha256!" from (
            select r.id, g.region, coalesce(
                r.content #>> array['urls', g.region, 'sha256'],
                encode(sha256(convert_to(
                    coalesce(r.content #>> array['region_templates', g.region], r.content ->> 'template'), 'UTF8'
                )), 'hex')
            ) as sha256
            from releases r cross join unnest($1::text[]) as g (region)
        ) as hashes where sha256 is not null"#,
        &regions,
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    rows.map(|row| Ok(((parse_text(row.region)?, row.id.into()), row.sha256))).collect()
}
