//! Fleet hold on the deployments of a rejected stack template. The hold is bound to fingerprints of templates, so that
//! a corrected template is deployed at once, by the worker that has read it first.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::{HoldStarted, ProbeBackoff, enqueue};
use crate::Region;
use crate::db::fence::{Claim, begin_fenced};
use crate::db::quotas::QuotaSlot;
use crate::db::{PgPool, Result};
use crate::fleet_hold::HoldKind;
use crate::quota::Quota;
use crate::step::{StepName, StepState};

/// Quota whose queue contains the operations that wait for a corrected template.
const QUOTA: Quota = Quota::StackDeployments;

/// Template that an operation deploys in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeployedTemplate<'a> {
    /// Hash of the template and of the settings that apply to every tenant.
    pub fingerprint: &'a str,
    pub region: Region,
    /// All regions in which the template is deployed. Other regions have templates of their own.
    pub regions: &'a [Region],
}

/// Fault of a template that affects every tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// Description with the reason that AWS gave. It contains no data of a tenant.
    pub message: String,
    /// Whether other regions may accept the template.
    pub is_regional: bool,
}

/// Result of [`admit`], which decides whether an operation may deploy its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateAdmission {
    /// No hold is active.
    Free,
    /// A hold is active, but only for templates of other regions.
    NotConcerned,
    /// A hold is active, and this operation deploys its template as a probe.
    Probe,
    /// The template is rejected, or another operation probes a template.
    Held {
        /// Fault of the rejected template.
        fault: String,
        /// Number of operations ahead in the queue.
        ahead: i64,
    },
}

/// Returns the fingerprint of a template: the SHA-256 hash of its text and of the settings that belong to it.
pub fn fingerprint<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // The length separates the texts.
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

impl DeployedTemplate<'_> {
    /// Returns the key of the template in a region, as in the column `rejected_templates`.
    fn key(&self, region: Region) -> String {
        format!("{}/{region}", self.fingerprint)
    }

    /// Returns the keys of the template in all its regions except `accepted`, at least in the region of the operation.
    fn keys_except(&self, accepted: &[String]) -> Vec<String> {
        let others = self.regions.iter().copied().filter(|region| *region != self.region);
        let others = others.filter(|region| !accepted.iter().any(|one| one == region.as_str()));
        std::iter::once(self.region).chain(others).map(|region| self.key(region)).collect()
    }

    /// Returns whether the template is among the rejected ones.
    fn is_in(&self, rejected: &[String]) -> bool {
        rejected.contains(&self.key(self.region))
    }

    /// Returns whether a template was rejected in the region of the operation.
    fn has_rejected_region(&self, rejected: &[String]) -> bool {
        let suffix = format!("/{}", self.region);
        rejected.iter().any(|one| one.ends_with(&suffix))
    }
}

/// Records that a template was rejected. Starts the hold, or adds the template to the active hold and postpones the
/// next probe if this operation was the probe. The operation is queued.
///
/// Returns `None`, and changes nothing, if the template has already been deployed in this region: the fault then
/// belongs to one tenant.
pub async fn start(
    pool: &PgPool,
    claim: &Claim,
    slot: &QuotaSlot,
    template: DeployedTemplate<'_>,
    fault: &TemplateFault,
    pause: ProbeBackoff,
    now: DateTime<Utc>,
) -> Result<Option<HoldStarted>> {
    let deployed_in = sqlx::query_scalar!(
        r#"/* db::fleet_holds::templates::start */
        select distinct facts ->> 'region' as "region!" from operation_steps
        where name = any($1) and state = $2 and facts ->> 'template_fingerprint' = $3 and facts ? 'region'"#,
        &StepName::DEPLOYMENTS.iter().map(ToString::to_string).collect::<Vec<_>>(),
        StepState::Done.as_str(),
        template.fingerprint,
    );
    let deployed_in = deployed_in.fetch_all(pool).await?;
    if deployed_in.iter().any(|region| region == template.region.as_str()) {
        return Ok(None);
    }
    let keys = if fault.is_regional { vec![template.key(template.region)] } else { template.keys_except(&deployed_in) };
    let mut tx = begin_fenced(pool, claim).await?;
    enqueue(&mut tx, claim, slot, now).await?;
    let inserted = sqlx::query!(
        r#"/* db::fleet_holds::templates::start */
        insert into fleet_holds (quota, kind, started_at, probe_at, rejected_templates, detail)
        values ($1, $2, $3, $4, $5, $6) on conflict do nothing"#,
        QUOTA.as_str(),
        HoldKind::TemplateRejected.as_str(),
        now,
        now + pause.after(0),
        &keys,
        fault.message,
    );
    if inserted.execute(&mut *tx).await?.rows_affected() == 1 {
        tx.commit().await?;
        return Ok(Some(HoldStarted { is_new: true, probe_at: now + pause.after(0) }));
    }
    let hold = sqlx::query!(
        r#"/* db::fleet_holds::templates::start */
        select probes, probe_at, probing_operation, rejected_templates from fleet_holds where quota = $1 for update"#,
        QUOTA.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(hold) = hold else {
        // The hold was lifted meanwhile. The next run of the operation shows whether its template is still rejected.
        tx.commit().await?;
        return Ok(Some(HoldStarted { is_new: false, probe_at: now }));
    };
    let is_probe = hold.probing_operation == Some(claim.operation_id.as_uuid());
    let is_known = template.is_in(&hold.rejected_templates);
    let new_keys: Vec<_> = keys.into_iter().filter(|key| !hold.rejected_templates.contains(key)).collect();
    let probes = if is_known { hold.probes + i32::from(is_probe) } else { 0 };
    let probe_at = if is_known && !is_probe { hold.probe_at } else { now + pause.after(probes) };
    sqlx::query!(
        r#"/* db::fleet_holds::templates::start */
        update fleet_holds set probe_at = $2, probes = $3,
            rejected_templates = rejected_templates || $4::text[],
            detail = case when $5 then detail else $6 end,
            probing_operation = case when $7 then null else probing_operation end,
            probing_until = case when $7 then null else probing_until end
        where quota = $1"#,
        QUOTA.as_str(),
        probe_at,
        probes,
        &new_keys,
        is_known && !is_probe,
        fault.message,
        is_probe,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(HoldStarted { is_new: false, probe_at }))
}

/// Admits an operation, makes it the probe of an active hold, or queues it.
///
/// A template that was not rejected yet is probed at once. A rejected template is probed again when a probe is due,
/// because the cause may be outside the template. An operation remains the probe until `until` at the latest.
pub async fn admit(
    pool: &PgPool,
    claim: &Claim,
    slot: &QuotaSlot,
    template: DeployedTemplate<'_>,
    until: DateTime<Utc>,
    takeover_delay: TimeDelta,
    now: DateTime<Utc>,
) -> Result<TemplateAdmission> {
    // Usually there is no hold.
    let rejected = sqlx::query_scalar!(
        r#"/* db::fleet_holds::templates::admit */ select rejected_templates from fleet_holds where quota = $1"#,
        QUOTA.as_str(),
    );
    let rejected = rejected.fetch_optional(pool).await?;
    let Some(rejected) = rejected else { return Ok(TemplateAdmission::Free) };
    if !template.has_rejected_region(&rejected) {
        return Ok(TemplateAdmission::NotConcerned);
    }
    let mut tx = begin_fenced(pool, claim).await?;
    let hold = sqlx::query!(
        r#"/* db::fleet_holds::templates::admit */
        select rejected_templates, detail, probe_at, probing_operation, probing_until from fleet_holds
        where quota = $1 for update"#,
        QUOTA.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(hold) = hold else {
        tx.rollback().await?;
        return Ok(TemplateAdmission::Free);
    };
    let is_probe = hold.probing_operation == Some(claim.operation_id.as_uuid());
    let ahead = if is_probe { 0 } else { enqueue(&mut tx, claim, slot, now).await? };
    let other_is_probing = !is_probe && hold.probing_until.is_some_and(|until| now < until);
    let is_due = now >= hold.probe_at && (ahead == 0 || now >= hold.probe_at + takeover_delay);
    let may_probe = is_due || !template.is_in(&hold.rejected_templates);
    let admission = if is_probe || (may_probe && !other_is_probing) {
        sqlx::query!(
            r#"/* db::fleet_holds::templates::admit */
            update fleet_holds set probing_operation = $2, probing_until = $3 where quota = $1"#,
            QUOTA.as_str(),
            claim.operation_id.as_uuid(),
            until,
        )
        .execute(&mut *tx)
        .await?;
        TemplateAdmission::Probe
    } else {
        TemplateAdmission::Held { fault: hold.detail.unwrap_or_default(), ahead }
    };
    tx.commit().await?;
    Ok(admission)
}

/// Result of [`lift`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiftResult {
    /// The operation proves nothing about the rejected template.
    NotLifted,
    /// The hold is lifted in the regions of the template. Other regions still have a rejected template.
    RegionsLifted,
    /// The hold is lifted.
    HoldLifted,
}

/// Lifts the hold in all regions of a template that this operation has deployed successfully as the probe. A queued
/// operation also lifts it if its stack is complete and the template was not rejected, because then a setting has
/// corrected the fault. If the hold remains for other regions, the next probe is due at once.
pub async fn lift(
    pool: &PgPool,
    claim: &Claim,
    template: DeployedTemplate<'_>,
    now: DateTime<Utc>,
) -> Result<LiftResult> {
    let regions = template.regions.iter().chain([&template.region]);
    let regions: Vec<_> = regions.map(|region| region.as_str().to_owned()).collect();
    let mut tx = pool.begin().await?;
    let remaining = sqlx::query_scalar!(
        r#"/* db::fleet_holds::templates::lift */
        update fleet_holds set probing_operation = null, probing_until = null, probes = 0, probe_at = $4,
            rejected_templates = array(
                select one from unnest(rejected_templates) one where split_part(one, '/', 2) <> all ($3::text[]))
        where quota = $1 and (probing_operation = $2 or $5 <> all (rejected_templates) and exists (
            select from slots where quota = $1 and operation_id = $2))
        returning cardinality(rejected_templates) as "remaining!""#,
        QUOTA.as_str(),
        claim.operation_id.as_uuid(),
        &regions,
        now,
        template.key(template.region),
    );
    let result = match remaining.fetch_optional(&mut *tx).await? {
        None => LiftResult::NotLifted,
        Some(0) => {
            sqlx::query!(
                r#"/* db::fleet_holds::templates::lift */ delete from fleet_holds where quota = $1"#,
                QUOTA.as_str(),
            )
            .execute(&mut *tx)
            .await?;
            LiftResult::HoldLifted
        }
        Some(_) => LiftResult::RegionsLifted,
    };
    tx.commit().await?;
    Ok(result)
}

/// Replaces the description of the fault, for example because the corrected file is rejected too.
pub async fn describe(pool: &PgPool, fault: &str) -> Result<()> {
    sqlx::query!(
        r#"/* db::fleet_holds::templates::describe */
        update fleet_holds set detail = $2 where quota = $1 and detail is distinct from $2"#,
        QUOTA.as_str(),
        fault,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes the operation from the queue.
pub async fn leave_queue(pool: &PgPool, claim: &Claim) -> Result<()> {
    sqlx::query!(
        r#"/* db::fleet_holds::templates::leave_queue */ delete from slots where quota = $1 and operation_id = $2"#,
        QUOTA.as_str(),
        claim.operation_id.as_uuid(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Lifts a hold for which no operation waits any more, for example because the configuration has no region of the
/// rejected template any more. Returns whether a hold was lifted.
pub async fn lift_unused(pool: &PgPool) -> Result<bool> {
    let lifted = sqlx::query!(
        r#"/* db::fleet_holds::templates::lift_unused */
        delete from fleet_holds where quota = $1 and not exists (select from slots where quota = $1)"#,
        QUOTA.as_str(),
    );
    Ok(lifted.execute(pool).await?.rows_affected() == 1)
}

/// Empties the queue after the hold was lifted and its operations were woken.
pub async fn clear_queue(pool: &PgPool) -> Result<()> {
    sqlx::query!(
        r#"/* db::fleet_holds::templates::clear_queue */
        delete from slots where quota = $1 and not exists (select from fleet_holds where quota = $1)"#,
        QUOTA.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_concerns_only_the_regions_of_the_rejected_template() {
        let [home, other, own]: [Region; 3] =
            ["eu-central-1", "us-east-1", "eu-central-2"].map(|region| region.parse().unwrap());
        let rejected = DeployedTemplate { fingerprint: "a", region: home, regions: &[other, home] };
        let keys = rejected.keys_except(&[]);
        assert_eq!(keys, ["a/eu-central-1", "a/us-east-1"]);
        assert!(rejected.is_in(&keys));
        let elsewhere = DeployedTemplate { region: other, ..rejected };
        assert!(elsewhere.is_in(&keys), "the template is the same in both regions");
        assert!(!elsewhere.is_in(&rejected.keys_except(&["us-east-1".to_owned()])), "it is deployed there");
        let corrected = DeployedTemplate { fingerprint: "b", ..rejected };
        assert!(!corrected.is_in(&keys) && corrected.has_rejected_region(&keys));
        let another = DeployedTemplate { fingerprint: "c", region: own, regions: &[own] };
        assert!(!another.has_rejected_region(&keys));
    }
}
