//! Earlier administrators of tenants, whose access to IAM Identity Center remains to be removed.

use super::{PgPool, Result};
use crate::tenant::Tenant;
use crate::{EmailAddress, TenantId};

/// Returns the earlier administrators of a tenant, or none if the tenant was changed since it was read: another run
/// then applies the change.
pub async fn list(pool: &PgPool, tenant: &Tenant) -> Result<Vec<String>> {
    let emails = sqlx::query_scalar!(
        r#"/* db::former_admins::list */
        select former_admin_emails from tenants where id = $1 and updated_at = $2"#,
        tenant.id.as_uuid(),
        tenant.updated_at,
    );
    Ok(emails.fetch_optional(pool).await?.unwrap_or_default())
}

/// Deletes the list of earlier administrators, unless the tenant or the list was changed since they were read.
pub async fn forget(pool: &PgPool, tenant: &Tenant, listed: &[String]) -> Result<()> {
    sqlx::query!(
        r#"/* db::former_admins::forget */
        update tenants set former_admin_emails = '{}'
        where id = $1 and updated_at = $2 and former_admin_emails = $3"#,
        tenant.id.as_uuid(),
        tenant.updated_at,
        listed,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Adds an administrator who was given access, if the tenant has another administrator by now. Two operations of a
/// tenant that run at the same time may have read different administrators.
pub async fn add_if_replaced(pool: &PgPool, tenant: TenantId, email: &EmailAddress) -> Result<()> {
    sqlx::query!(
        r#"/* db::former_admins::add_if_replaced */
        update tenants set former_admin_emails = former_admin_emails || $2::text
        where id = $1 and offboarded_at is null and admin_email is distinct from $2::text"#,
        tenant.as_uuid(),
        email.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(())
}
