//! Opening the secrets of endpoints, and sealing them anew after the key was changed.

use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::Result;
use freehold_tenancy::db::webhooks::secrets::{self, EncryptedSecrets};
use freehold_tenancy::secrets::{Keyring, SealError};
use freehold_tenancy::webhook::WebhookSecret;
use secrecy::ExposeSecret;

/// The secrets of an endpoint, the present one first.
pub(super) fn open(keyring: &Keyring, sealed: &EncryptedSecrets) -> std::result::Result<Vec<WebhookSecret>, SealError> {
    let belongs_to = sealed.endpoint_id.to_string();
    let all = std::iter::once(&sealed.secret).chain(&sealed.previous);
    all.map(|one| keyring.open(one, &belongs_to).map(WebhookSecret::from_bytes)).collect()
}

/// Seals with the present key what an older one has sealed, so that the older can be taken out of the configuration.
pub(super) async fn reencrypt_secrets(pool: &PgPool, keyring: &Keyring) -> Result<()> {
    let Some(current) = keyring.current() else { return Ok(()) };
    let mut count = 0;
    for before in secrets::sealed_otherwise(pool, current).await? {
        match anew(keyring, &before) {
            Ok(after) => count += u32::from(secrets::replace(pool, &before, &after).await?),
            Err(error) => {
                tracing::error!(target: "freehold::alert", endpoint = %before.endpoint_id, %error, "a secret cannot be read");
            }
        }
    }
    if count > 0 {
        tracing::info!(count, "secrets of webhook endpoints were encrypted anew with secrets.key");
    }
    Ok(())
}

fn anew(keyring: &Keyring, before: &EncryptedSecrets) -> std::result::Result<EncryptedSecrets, SealError> {
    let belongs_to = before.endpoint_id.to_string();
    let seal = |one: &Vec<u8>| keyring.seal(keyring.open(one, &belongs_to)?.expose_secret(), &belongs_to);
    Ok(EncryptedSecrets {
        endpoint_id: before.endpoint_id,
        secret: seal(&before.secret)?,
        previous: before.previous.as_ref().map(seal).transpose()?,
    })
}
