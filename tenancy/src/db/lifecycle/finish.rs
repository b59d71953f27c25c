//! Ends an operation as succeeded or failed and updates its environment. Marks the tenant as offboarded when its last
//! environment is offboarded.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::change_admin::repeat_grant_access;
use super::change_tier::append_approval_rejected;
use crate::db::fence::{Claim, begin_fenced};
use crate::db::{PgPool, Result, access_grants, account_mappings, environment_pins, events, findings, reconcile};
use crate::environment::EnvironmentState;
use crate::event::{EventType, NewEvent};
use crate::operation::OperationKind;
use crate::{OperationId, TenantId};

/// Time between a repair or upgrade and the comparison that resolves its findings. Those that finish meanwhile share
/// it.
const RECONCILE_AFTER_REPAIR: TimeDelta = TimeDelta::minutes(5);

/// Marks an operation as succeeded and updates its environment, account mapping and tenant.
///
/// Returns false if the tenant's administrator has changed in the meantime: the operation stays open, and its step
/// `grant-access` is due again.
pub async fn succeed(pool: &PgPool, claim: &Claim, now: DateTime<Utc>) -> Result<bool> {
    let mut tx = begin_fenced(pool, claim).await?;
    let id = claim.operation_id;
    let kind = sqlx::query_scalar!(
        r#"/* db::lifecycle::succeed */ select kind as "kind: OperationKind" from operations where id = $1"#,
        id.as_uuid(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if kind.state_when_done() == EnvironmentState::Ready && repeat_grant_access(&mut tx, id).await? {
        tx.commit().await?;
        return Ok(false);
    }
    finish_successfully(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Marks an operation as succeeded. The caller must have locked the operation.
pub(super) async fn finish_successfully(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    let operation = sqlx::query!(
        r#"/* db::lifecycle::finish_successfully */
        select kind as "kind: OperationKind", input, environment_id from operations where id = $1"#,
        id.as_uuid(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let achieved = operation.kind.state_when_done();
    let is_ready_already = !events::has_none(&mut *tx, id, EventType::EnvironmentReady).await?;
    let mut news = Vec::new();
    if achieved == EnvironmentState::Offboarded {
        access_grants::end_all(&mut *tx, id, now).await?;
        for account in account_mappings::end(&mut *tx, id, now).await? {
            let data = json!({ "aws_account_id": account });
            news.push(NewEvent { event_type: EventType::AccountReleased, data });
        }
        news.push(NewEvent { event_type: EventType::EnvironmentOffboarded, data: json!({}) });
    } else if operation.kind == OperationKind::Suspend {
        let data = json!({ "reason": operation.input.get("reason") });
        news.push(NewEvent { event_type: EventType::EnvironmentSuspended, data });
    } else if !operation.kind.keeps_environment_state() && !is_ready_already {
        if operation.kind == OperationKind::Resume {
            news.push(NewEvent { event_type: EventType::EnvironmentResumed, data: json!({}) });
        }
        news.push(NewEvent { event_type: EventType::EnvironmentReady, data: json!({}) });
    }
    news.push(NewEvent { event_type: EventType::OperationSucceeded, data: json!({}) });
    events::append(&mut *tx, id, &news, now).await?;
    sqlx::query!(
        r#"/* db::lifecycle::succeed */
        with operation as (
            update operations set state = 'succeeded', finished_at = $2, updated_at = $2, wake_at = null,
                lease_until = null, leased_by = null,
                attention_code = null, attention_message = null, attention_remedies = null,
                attention_aws_request_id = null
            where id = $1 returning environment_id
        )
        update environments e set state = $3, updated_at = $2,
            ready_at = case when $3 = 'ready' then coalesce(ready_at, $2) else ready_at end,
            offboarded_at = case when $3 = 'offboarded' then $2::timestamptz end
        from operation where e.id = operation.environment_id"#,
        id.as_uuid(),
        now,
        achieved.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    // An interrupted onboarding can leave a slot that no step of this operation returns, such as that of a region.
    sqlx::query!("/* db::lifecycle::succeed */ delete from slots where operation_id = $1", id.as_uuid())
        .execute(&mut *tx)
        .await?;
    match operation.kind {
        OperationKind::Onboard if is_ready_already => {}
        OperationKind::Onboard => findings::write_degraded(tx, operation.environment_id.into(), now).await?,
        OperationKind::Repair
        | OperationKind::UpgradeBaseline
        | OperationKind::ChangeRegions
        | OperationKind::RemoveRegions
        | OperationKind::MoveHome
        | OperationKind::Update => {
            reconcile::bring_forward(tx, now + RECONCILE_AFTER_REPAIR).await?;
        }
        OperationKind::Offboard
        | OperationKind::Restore
        | OperationKind::Suspend
        | OperationKind::Resume
        | OperationKind::ProveResidency
        | OperationKind::Preview => {}
    }
    if achieved == EnvironmentState::Offboarded {
        environment_pins::delete(tx, operation.environment_id.into()).await?;
        close_tenant(tx, id, now).await?;
    }
    Ok(())
}

/// Makes the environment ready if its home region is verified and steps of replicas remain. Without such steps,
/// [`succeed`] makes it ready. The caller must have locked the operation.
pub(super) async fn make_ready_with_home(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    let row = sqlx::query!(
        r#"/* db::lifecycle::make_ready_with_home */
        select o.kind as "kind: OperationKind", o.environment_id,
            -- The access of a former administrator is removed first.
            cardinality(t.former_admin_emails) = 0 and exists (
                select from operation_steps s where s.operation_id = o.id and s.state <> 'done'
            ) as "is_ready!"
        from operations o join tenants t on t.id = o.tenant_id where o.id = $1"#,
        id.as_uuid(),
    );
    let row = row.fetch_one(&mut *tx).await?;
    let is_put_into_service =
        row.kind.state_when_done() == EnvironmentState::Ready && !row.kind.keeps_environment_state();
    if !row.is_ready || !is_put_into_service || !events::has_none(tx, id, EventType::EnvironmentReady).await? {
        return Ok(());
    }
    let mut news = Vec::new();
    if row.kind == OperationKind::Resume {
        news.push(NewEvent { event_type: EventType::EnvironmentResumed, data: json!({}) });
    }
    news.push(NewEvent { event_type: EventType::EnvironmentReady, data: json!({}) });
    events::append(&mut *tx, id, &news, now).await?;
    sqlx::query!(
        r#"/* db::lifecycle::make_ready_with_home */
        update environments set state = 'ready', updated_at = $2, ready_at = coalesce(ready_at, $2) where id = $1"#,
        row.environment_id,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if row.kind == OperationKind::Onboard {
        findings::write_degraded(tx, row.environment_id.into(), now).await?;
    }
    Ok(())
}

/// Ends an operation with a failed step as failed. Its environment keeps its state.
pub async fn fail(pool: &PgPool, claim: &Claim, now: DateTime<Utc>) -> Result<()> {
    let mut tx = begin_fenced(pool, claim).await?;
    let id = claim.operation_id;
    let step = sqlx::query!(
        r#"/* db::lifecycle::fail */
        select name, attention ->> 'code' as code, attention ->> 'message' as message from operation_steps
        where operation_id = $1 and state = 'failed' order by position limit 1"#,
        id.as_uuid(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let data = json!({ "step": step.name, "code": step.code, "message": step.message });
    events::append(&mut tx, id, &[NewEvent { event_type: EventType::OperationFailed, data }], now).await?;
    sqlx::query!(
        r#"/* db::lifecycle::fail */
        update operations set state = 'failed', finished_at = $2, updated_at = $2, wake_at = null,
            lease_until = null, leased_by = null,
            attention_code = null, attention_message = null, attention_remedies = null,
            attention_aws_request_id = null
        where id = $1"#,
        id.as_uuid(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Marks the tenant of an operation as offboarded if all its environments are offboarded, and erases its personal
/// data.
pub(super) async fn close_tenant(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    // `add_environment` locks the same row: it has either committed before the check below, or finds the tenant
    // offboarded.
    let tenant = sqlx::query_scalar!(
        r#"/* db::lifecycle::close_tenant */
        select t.id from tenants t where t.id = (select tenant_id from operations where id = $1) for no key update"#,
        id.as_uuid(),
    );
    let tenant = TenantId::from(tenant.fetch_one(&mut *tx).await?);
    let closed = sqlx::query!(
        r#"/* db::lifecycle::close_tenant */
        select is_closed as "is_closed!", expired_approval from close_tenant($1, $2)"#,
        tenant.as_uuid(),
        now,
    );
    let closed = closed.fetch_one(&mut *tx).await?;
    if let Some(approval) = closed.expired_approval {
        append_approval_rejected(tx, tenant, approval.into(), now).await?;
    }
    if closed.is_closed {
        erase_personal_data(tx, tenant).await?;
    }
    Ok(())
}

/// Erases the personal data of an offboarded tenant, unless it is on legal hold.
pub(super) async fn erase_personal_data(tx: &mut PgConnection, tenant: TenantId) -> Result<()> {
    let done = sqlx::query!(
        r#"/* db::lifecycle::erase_personal_data */
        update tenants set admin_email = null, former_admin_emails = '{}'
        where id = $1 and offboarded_at is not null and legal_hold_at is null and admin_email is not null"#,
        tenant.as_uuid(),
    );
    if done.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    // The stored response of the signup contains the e-mail address too.
    sqlx::query!(
        r#"/* db::lifecycle::erase_personal_data */
        update idempotency_keys set response = jsonb_set(response::jsonb, '{admin_email}', 'null')::json
        where location = $1"#,
        format!("/v1/tenants/{tenant}"),
    )
    .execute(tx)
    .await?;
    Ok(())
}
