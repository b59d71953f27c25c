//! Reads the environments that a rollout can select.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ReleaseId;
use crate::db::{Result, parse_json, parse_text};
use crate::environment::EnvironmentState;
use crate::rollout::{Candidate, LeftOutReason};

/// Returns all environments except offboarded ones, each with the reason why it cannot be updated to the release.
///
/// An environment that is being repaired, or whose operation needs a person, is a candidate: whether its update can
/// start is decided when it would start.
pub(super) async fn candidates(
    tx: &mut PgConnection,
    release: ReleaseId,
    now: DateTime<Utc>,
) -> Result<Vec<Candidate>> {
    let rows = sqlx::query!(
        r#"/* db::lifecycle::candidates */
        select e.id, e.tenant_id, e.name, e.home_region, e.state as "state: EnvironmentState", e.ready_at,
            t.tier, t.labels, t.suspended_at is not null as "is_suspended!",
            p.environment_id is not null as "is_pinned!", p.reason as "pin_reason?", p.until as pinned_until,
            s.previous_release, coalesce(s.is_current, false) as "is_current!"
        from environments e join tenants t on t.id = e.tenant_id
            left join environment_pins p on p.environment_id = e.id and (p.until is null or p.until > $2)
            left join (
                select environment_id, bool_and(release_id is not distinct from $1) as is_current,
                    (array_agg(release_id order by slot)
                        filter (where release_id is distinct from $1))[1] as previous_release
                from environment_stacks where kind = 'tenant' and state <> 'deleted' group by environment_id
            ) s on s.environment_id = e.id
        where e.state <> 'offboarded'"#,
        release.as_uuid(),
        now,
    );
    let rows = rows.fetch_all(tx).await?.into_iter();
    rows.map(|row| {
        let left_out = if row.is_suspended {
            Some(LeftOutReason::NotReady(EnvironmentState::Suspended))
        } else if row.state == EnvironmentState::Offboarding || row.ready_at.is_none() {
            let is_onboarding = row.state != EnvironmentState::Offboarding;
            let state = if is_onboarding { EnvironmentState::Onboarding } else { EnvironmentState::Offboarding };
            Some(LeftOutReason::NotReady(state))
        } else if row.is_pinned {
            Some(LeftOutReason::Pinned { reason: row.pin_reason.unwrap_or_default(), until: row.pinned_until })
        } else {
            row.is_current.then_some(LeftOutReason::Current)
        };
        Ok(Candidate {
            environment_id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            name: parse_text(row.name)?,
            tier: parse_text(row.tier)?,
            labels: parse_json(row.labels, "the labels of a tenant")?,
            home_region: parse_text(row.home_region)?,
            release: row.previous_release.map(ReleaseId::from),
            left_out,
        })
    })
    .collect()
}
