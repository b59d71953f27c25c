//! Claims and records of the alarms that workers read in a bake. An alarm of an environment is an output of its tenant
//! stacks whose name ends in [`ALARM_OUTPUT`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::to_number;
use crate::db::{PgPool, Result, parse_text};
use crate::environment_stack::ALARM_OUTPUT;
use crate::{AwsAccountId, EnvironmentId, Region, RolloutId};

/// Environment in a bake, with the ARNs of its alarms by region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BakingMember {
    pub rollout_id: RolloutId,
    pub environment_id: EnvironmentId,
    pub account: AwsAccountId,
    pub alarms: BTreeMap<Region, Vec<String>>,
}

/// Claims at most `limit` environments in a bake whose alarms are due to be read. Another worker can claim them at
/// `next`, also if this one dies.
pub async fn claim_alarms(
    pool: &PgPool,
    now: DateTime<Utc>,
    next: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BakingMember>> {
    let rows = sqlx::query!(
        r#"/* db::rollout_members::claim_alarms */
        with due as (
            select m.rollout_id, m.environment_id
            from rollouts r join rollout_members m on m.rollout_id = r.id and m.wave = r.wave
                -- The alarms of an environment that leaves the fleet say nothing about the release.
                join environments e on e.id = m.environment_id and e.state not in ('offboarding', 'offboarded')
                join tenants t on t.id = e.tenant_id and t.suspended_at is null
                join account_mappings a on a.environment_id = e.id and a.valid_to is null
            where r.finished_at is null and m.state = 'baking'
                and (m.alarms_due_at is null or m.alarms_due_at <= $1) and exists (
                    select from environment_stacks s cross join jsonb_object_keys(s.outputs) o (name)
                    where s.environment_id = m.environment_id and s.kind = 'tenant' and s.state <> 'deleted'
                        and o.name like '%' || $4
                )
            order by m.alarms_due_at nulls first limit $3 for no key update of m skip locked
        ), claimed as (
            update rollout_members m set alarms_due_at = $2 from due
            where m.rollout_id = due.rollout_id and m.environment_id = due.environment_id
            returning m.rollout_id, m.environment_id
        )
        select c.rollout_id, c.environment_id, a.aws_account_id, s.region, o.arn as "arn!"
        from claimed c
            join account_mappings a on a.environment_id = c.environment_id and a.valid_to is null
            join environment_stacks s
                on s.environment_id = c.environment_id and s.kind = 'tenant' and s.state <> 'deleted'
            cross join jsonb_each_text(s.outputs) o (name, arn)
        where o.name like '%' || $4
        order by c.environment_id"#,
        now,
        next,
        limit,
        ALARM_OUTPUT,
    );
    let mut members: Vec<BakingMember> = Vec::new();
    for row in rows.fetch_all(pool).await? {
        let environment_id = EnvironmentId::from(row.environment_id);
        if members.last().is_none_or(|member| member.environment_id != environment_id) {
            members.push(BakingMember {
                rollout_id: row.rollout_id.into(),
                environment_id,
                account: parse_text(row.aws_account_id)?,
                alarms: BTreeMap::new(),
            });
        }
        if let Some(member) = members.last_mut() {
            member.alarms.entry(parse_text(row.region)?).or_default().push(row.arn);
        }
    }
    Ok(members)
}

/// Records that the alarms of an environment were read, or the reason why they could not be read.
pub async fn record_alarms_read(
    pool: &PgPool,
    member: &BakingMember,
    problem: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::rollout_members::record_alarms_read */
        update rollout_members set reason = $3,
            alarms_read_at = case when $3::text is null then $4 else alarms_read_at end
        where rollout_id = $1 and environment_id = $2 and state = 'baking'"#,
        member.rollout_id.as_uuid(),
        member.environment_id.as_uuid(),
        problem,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Fails an environment in the bake because of an alarm. Returns false if its bake is over.
pub(in crate::db) async fn fail_by_alarm(
    tx: &mut PgConnection,
    member: &BakingMember,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::rollout_members::fail_by_alarm */
        update rollout_members set state = 'failed', failed_in_bake = true, reason = $3, finished_at = $4
        where rollout_id = $1 and environment_id = $2 and state = 'baking'"#,
        member.rollout_id.as_uuid(),
        member.environment_id.as_uuid(),
        reason,
        now,
    );
    Ok(done.execute(tx).await?.rows_affected() > 0)
}

/// Counts the environments of a wave in the bake that have alarms which were not read since `since`.
pub(in crate::db) async fn count_unread_alarms(
    tx: &mut PgConnection,
    rollout: RolloutId,
    wave: usize,
    since: DateTime<Utc>,
) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"/* db::rollout_members::count_unread_alarms */
        select count(*) as "count!" from rollout_members m
            join environments e on e.id = m.environment_id and e.state not in ('offboarding', 'offboarded')
            join tenants t on t.id = e.tenant_id and t.suspended_at is null
            join account_mappings a on a.environment_id = e.id and a.valid_to is null
        where m.rollout_id = $1 and m.wave = $2 and m.state = 'baking'
            and (m.alarms_read_at is null or m.alarms_read_at < greatest($3, m.finished_at)) and exists (
                select from environment_stacks s cross join jsonb_object_keys(s.outputs) o (name)
                where s.environment_id = m.environment_id and s.kind = 'tenant' and s.state <> 'deleted'
                    and o.name like '%' || $4
            )"#,
        rollout.as_uuid(),
        to_number(wave)?,
        since,
        ALARM_OUTPUT,
    );
    Ok(count.fetch_one(tx).await?)
}
