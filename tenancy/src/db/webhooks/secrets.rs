//! Stores the encrypted secrets of webhook endpoints. This module never decrypts a secret.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::endpoints;
use crate::WebhookEndpointId;
use crate::db::idempotency::{self, Reservation, StoredResponse};
use crate::db::{PgPool, Result, finish_transaction};
use crate::secrets::KeyId;
use crate::webhook::Endpoint;

/// Encrypted secrets of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedSecrets {
    pub endpoint_id: WebhookEndpointId,
    /// Current secret, which signs all deliveries.
    pub secret: Vec<u8>,
    /// Previous secret, which also signs deliveries until it expires.
    pub previous: Option<Vec<u8>>,
}

/// Replaces the secret of an endpoint and stores the response. The previous secret stays valid until `until`. Returns
/// the endpoint, or `None` if it does not exist.
pub async fn rotate(
    pool: &PgPool,
    id: WebhookEndpointId,
    sealed: &[u8],
    until: DateTime<Utc>,
    now: DateTime<Utc>,
    reservation: Option<&Reservation>,
    answer: impl FnOnce(&Endpoint) -> StoredResponse,
) -> Result<Option<Endpoint>> {
    let mut tx = pool.begin().await?;
    let rotated = async {
        if !replace_secret(&mut tx, id, sealed, until, now).await? {
            return Ok(None);
        }
        let endpoint = endpoints::get(&mut *tx, id).await?;
        if let Some(endpoint) = &endpoint {
            idempotency::complete_in_tx(&mut tx, reservation, &answer(endpoint)).await?;
        }
        Ok(endpoint)
    };
    let rotated = rotated.await;
    finish_transaction(tx, rotated, Option::is_some).await
}

async fn replace_secret(
    tx: &mut PgConnection,
    id: WebhookEndpointId,
    sealed: &[u8],
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::webhooks::secrets::rotate */
        update webhook_endpoints set previous_secret = secret, previous_secret_until = $3, secret = $2,
            updated_at = greatest($4, updated_at + interval '1 microsecond')
        where id = $1"#,
        id.as_uuid(),
        sealed,
        until,
        now,
    );
    Ok(done.execute(tx).await?.rows_affected() == 1)
}

/// Returns the endpoints with a secret that was encrypted with a key other than `current`.
pub async fn list_with_other_key(pool: &PgPool, current: KeyId) -> Result<Vec<EncryptedSecrets>> {
    // The id of the key follows the version byte, see secrets.rs.
    let rows = sqlx::query!(
        r#"/* db::webhooks::secrets::list_with_other_key */
        select id, secret, previous_secret from webhook_endpoints
        where substring(secret from 2 for 8) <> $1 or substring(previous_secret from 2 for 8) <> $1 order by id"#,
        &current[..],
    );
    let rows = rows.fetch_all(pool).await?;
    let sealed = rows.into_iter().map(|row| EncryptedSecrets {
        endpoint_id: row.id.into(),
        secret: row.secret,
        previous: row.previous_secret,
    });
    Ok(sealed.collect())
}

/// Replaces the secrets `before` of an endpoint with the re-encrypted secrets `after`. Returns false if the secrets
/// have changed in the meantime.
pub async fn replace(pool: &PgPool, before: &EncryptedSecrets, after: &EncryptedSecrets) -> Result<bool> {
    let done = sqlx::query!(
        r#"/* db::webhooks::secrets::replace */
        update webhook_endpoints set secret = $4, previous_secret = $5
        where id = $1 and secret = $2 and previous_secret is not distinct from $3"#,
        before.endpoint_id.as_uuid(),
        &before.secret,
        before.previous.as_deref(),
        &after.secret,
        after.previous.as_deref(),
    );
    Ok(done.execute(pool).await?.rows_affected() == 1)
}

/// Deletes all previous secrets that have expired.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::webhooks::secrets::delete_expired */
        update webhook_endpoints set previous_secret = null, previous_secret_until = null
            where previous_secret_until <= $1"#,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}
