//! What follows when an environment is gone, and when the last of a tenant is.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use crate::db::Result;
use crate::event::{EventType, NewEvent};
use crate::{OperationId, TenantId};

/// The account is no longer the environment's; within the transaction that ends the offboarding.
pub(in crate::db) async fn release_accounts(
    tx: &mut PgConnection,
    id: OperationId,
    now: DateTime<Utc>,
) -> Result<Vec<NewEvent>> {
    let accounts = sqlx::query_scalar!(
        r#"/* db::offboarding::release_accounts */
        update account_mappings m set valid_to = greatest($2, m.valid_from + interval '1 microsecond')
        from operations o where o.id = $1 and m.environment_id = o.environment_id and m.valid_to is null
        returning m.aws_account_id"#,
        id.as_uuid(),
        now,
    )
    .fetch_all(tx)
    .await?;
    let released =
        |account| NewEvent { event_type: EventType::AccountReleased, data: json!({ "aws_account_id": account }) };
    let mut news: Vec<_> = accounts.into_iter().map(released).collect();
    news.push(NewEvent { event_type: EventType::EnvironmentOffboarded, data: json!({}) });
    Ok(news)
}

/// The tenant of an operation is gone once all of its environments are, and with it whom it has named.
pub(in crate::db) async fn close_tenant(tx: &mut PgConnection, id: OperationId, now: DateTime<Utc>) -> Result<()> {
    // Whoever adds an environment meanwhile has it committed before it is looked whether there is one, or finds none to add to.
    let tenant = sqlx::query_scalar!(
        r#"/* db::offboarding::close_tenant */
        select t.id from tenants t where t.id = (select tenant_id from operations where id = $1) for no key update"#,
        id.as_uuid(),
    );
    let tenant = TenantId::from(tenant.fetch_one(&mut *tx).await?);
    let done = sqlx::query!(
        r#"/* db::offboarding::close_tenant */
        update tenants t set offboarded_at = $2, updated_at = $2
        where t.id = $1 and t.offboarded_at is null
          and not exists (select from environments e where e.tenant_id = t.id and e.state <> 'offboarded')"#,
        tenant.as_uuid(),
        now,
    );
    if done.execute(&mut *tx).await?.rows_affected() == 1 {
        erase_personal_data(tx, tenant).await?;
    }
    Ok(())
}

/// Forgets whom a tenant that is gone has named, unless nothing of it may be destroyed.
pub(super) async fn erase_personal_data(tx: &mut PgConnection, tenant: TenantId) -> Result<()> {
    let done = sqlx::query!(
        r#"/* db::offboarding::erase_personal_data */
        update tenants set admin_email = null
        where id = $1 and offboarded_at is not null and legal_hold_at is null and admin_email is not null"#,
        tenant.as_uuid(),
    );
    if done.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    // The answer to its signup names the person too; whoever asks again with the same key gets the rest of it.
    sqlx::query!(
        r#"/* db::offboarding::erase_personal_data */
        update idempotency_keys set response = jsonb_set(response::jsonb, '{admin_email}', 'null')::json
        where location = $1"#,
        format!("/v1/tenants/{tenant}"),
    )
    .execute(tx)
    .await?;
    Ok(())
}
