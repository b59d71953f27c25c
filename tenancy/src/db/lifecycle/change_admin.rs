//! Changes the administrator of a tenant, and has the change applied in IAM Identity Center.
//!
//! The earlier addresses stay in `tenants.former_admin_emails` until `grant-access` has removed their users from the
//! tenant's group. An operation that finds such an address when it finishes runs `grant-access` again.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::change_tier::expire_tier_request;
use super::open_operation::open_operation;
use super::queries::{ActiveEnvironment, active_environments, is_suspended, lock_tenant};
use crate::db::{PgPool, Result, finish_transaction, steps, tenants};
use crate::operation::{OperationKind, Requester};
use crate::step::StepName;
use crate::tenant::{OWN_GROUP, Tenant};
use crate::{EmailAddress, OperationId, TenantId};

/// Result of [`change_admin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeAdminResult {
    Written,
    /// The tenant was changed or offboarded in the meantime. Nothing was written.
    Outdated,
    /// This upgrade of the baseline or change of regions is in progress, and no operation that changes access can
    /// start. Nothing was written.
    UpgradeInProgress(OperationId),
}

/// Writes the changed fields of a tenant like [`tenants::update`], with a new administrator in place of `former`. Opens
/// a repair of one environment that applies the change in Identity Center, if the tenant has a group there
/// (`tier_has_group`, or an earlier tier had one). An open operation applies the change itself, unless it keeps the
/// state of its environment, as an upgrade of the baseline does.
pub async fn change_admin(
    pool: &PgPool,
    tenant: &Tenant,
    changed: &[&str],
    former: &EmailAddress,
    tier_has_group: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ChangeAdminResult> {
    let mut tx = pool.begin().await?;
    let result = change_admin_in_tx(&mut tx, tenant, changed, former, tier_has_group, by, now).await;
    finish_transaction(tx, result, |result| *result == ChangeAdminResult::Written).await
}

async fn change_admin_in_tx(
    tx: &mut PgConnection,
    tenant: &Tenant,
    changed: &[&str],
    former: &EmailAddress,
    tier_has_group: bool,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ChangeAdminResult> {
    lock_tenant(tx, tenant.id).await?;
    let environments = active_environments(tx, tenant.id, None).await?;
    if !tenants::update(&mut *tx, tenant, changed, now).await? {
        return Ok(ChangeAdminResult::Outdated);
    }
    let has_group = tier_has_group || has_own_group(tx, tenant.id).await?;
    let kind = |environment: &ActiveEnvironment| environment.open.as_ref().map(|open| open.kind);
    let keeps_access = |kind: Option<OperationKind>| {
        kind.is_some_and(|kind| {
            kind.keeps_environment_state() || matches!(kind, OperationKind::Offboard | OperationKind::Suspend)
        })
    };
    let mut open = environments.iter().filter_map(|environment| environment.open.as_ref());
    let upgrade = open.find(|open| open.kind.keeps_environment_state()).map(|open| open.id);
    if let Some(id) = upgrade.filter(|_| has_group && environments.iter().all(|one| keeps_access(kind(one)))) {
        return Ok(ChangeAdminResult::UpgradeInProgress(id));
    }
    if has_group || environments.iter().any(|environment| environment.open.is_some()) {
        add_former_admin(tx, tenant, former).await?;
    }
    if changed.contains(&"tier") {
        expire_tier_request(tx, tenant.id, by, now).await?;
    }
    // A repair would move the account of a suspended tenant out of quarantine. Resuming applies the change.
    let suspended = is_suspended(tx, tenant.id).await?;
    let settled = environments.iter().find(|environment| environment.open.is_none() && !suspended);
    if let Some(environment) = settled.filter(|_| has_group) {
        let input = json!({ "changed": ["admin_email"] });
        open_operation(tx, OperationKind::Repair, environment.id, &input, by, now, now).await?;
    }
    Ok(ChangeAdminResult::Written)
}

async fn add_former_admin(tx: &mut PgConnection, tenant: &Tenant, former: &EmailAddress) -> Result<()> {
    sqlx::query!(
        r#"/* db::lifecycle::add_former_admin */
        update tenants
        set former_admin_emails = array_remove(array_remove(former_admin_emails, $2::text) || $2::text, $3::text)
        where id = $1"#,
        tenant.id.as_uuid(),
        former.as_str(),
        tenant.admin_email.as_ref().map(EmailAddress::as_str),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns whether an operation has requested access for the tenant's own group.
async fn has_own_group(tx: &mut PgConnection, tenant: TenantId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"/* db::lifecycle::has_own_group */
        select exists (
            select from operation_steps s join operations o on o.id = s.operation_id
            where o.tenant_id = $1 and s.name = $2 and s.facts ->> 'grants' like '%' || $3::text || '%'
        ) as "found!""#,
        tenant.as_uuid(),
        StepName::GrantAccess.as_str(),
        OWN_GROUP,
    );
    Ok(found.fetch_one(tx).await?)
}

/// Repeats `grant-access` if the administrator was changed after the step. Returns whether the step is repeated. The
/// caller must have locked the operation.
pub(super) async fn repeat_grant_access(tx: &mut PgConnection, id: OperationId) -> Result<bool> {
    let outdated = sqlx::query_scalar!(
        r#"/* db::lifecycle::repeat_grant_access */
        select cardinality(t.former_admin_emails) > 0 as "outdated!"
        from operations o join tenants t on t.id = o.tenant_id where o.id = $1"#,
        id.as_uuid(),
    );
    Ok(outdated.fetch_one(&mut *tx).await? && steps::repeat(tx, id, StepName::GrantAccess).await?)
}
