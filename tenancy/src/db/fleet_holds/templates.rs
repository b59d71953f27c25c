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
    /// No hold applies to the template.
    Free,
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
    fn regional_key(&self) -> String {
        format!("{}/{}", self.fingerprint, self.region)
    }

    /// Returns whether the template is among the rejected ones.
    fn is_in(&self, rejected: &[String]) -> bool {
        rejected.iter().any(|one| *one == self.fingerprint || *one == self.regional_key())
    }

    /// Returns whether the template is rejected, but in other regions only.
    fn is_rejected_elsewhere(&self, rejected: &[String]) -> bool {
        let prefix = format!("{}/", self.fingerprint);
        !self.is_in(rejected) && rejected.iter().any(|one| one.starts_with(&prefix))
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
        where name = $1 and state = $2 and facts ->> 'template_fingerprint' = $3 and facts ? 'region'"#,
        StepName::DeployStack.as_str(),
        StepState::Done.as_str(),
        template.fingerprint,
    );
    let deployed_in = deployed_in.fetch_all(pool).await?;
    if deployed_in.iter().any(|region| region == template.region.as_str()) {
        return Ok(None);
    }
    let is_regional = fault.is_regional || !deployed_in.is_empty();
    let key = if is_regional { template.regional_key() } else { template.fingerprint.to_owned() };
    let mut tx = begin_fenced(pool, claim).await?;
    enqueue(&mut tx, claim, slot, now).await?;
    let inserted = sqlx::query!(
        r#"/* db::fleet_holds::templates::start */
        insert into fleet_holds (quota, kind, started_at, probe_at, rejected_templates, detail)
        values ($1, $2, $3, $4, array[$5::text], $6) on conflict do nothing"#,
        QUOTA.as_str(),
        HoldKind::TemplateRejected.as_str(),
        now,
        now + pause.after(0),
        key,
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
    let is_known = hold.rejected_templates.contains(&key);
    let probes = if is_known { hold.probes + i32::from(is_probe) } else { 0 };
    let probe_at = if is_known && !is_probe { hold.probe_at } else { now + pause.after(probes) };
    sqlx::query!(
        r#"/* db::fleet_holds::templates::start */
        update fleet_holds set probe_at = $2, probes = $3,
            rejected_templates = case when $4 then rejected_templates else rejected_templates || $5::text end,
            detail = case when $4 then detail else $6 end,
            probing_operation = case when $7 then null else probing_operation end,
            probing_until = case when $7 then null else probing_until end
        where quota = $1"#,
        QUOTA.as_str(),
        probe_at,
        probes,
        is_known,
        key,
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
    if rejected.is_none_or(|rejected| template.is_rejected_elsewhere(&rejected)) {
        return Ok(TemplateAdmission::Free);
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
    fn a_template_rejected_in_one_region_is_free_in_another() {
        let of = |region: &str| DeployedTemplate { fingerprint: "a", region: region.parse().unwrap() };
        let rejected = ["a/eu-central-2".to_owned(), "b".to_owned()];
        assert!(of("eu-central-2").is_in(&rejected) && !of("eu-central-2").is_rejected_elsewhere(&rejected));
        assert!(!of("eu-central-1").is_in(&rejected) && of("eu-central-1").is_rejected_elsewhere(&rejected));
        let everywhere = ["a".to_owned()];
        assert!(of("eu-central-1").is_in(&everywhere) && !of("eu-central-1").is_rejected_elsewhere(&everywhere));
        let corrected = DeployedTemplate { fingerprint: "c", ..of("eu-central-1") };
        assert!(!corrected.is_in(&rejected) && !corrected.is_rejected_elsewhere(&rejected));
    }
}
