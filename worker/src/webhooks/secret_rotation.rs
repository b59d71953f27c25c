//! Decrypts the secrets of endpoints, and re-encrypts them after a change of the key.

use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::Result;
use freehold_tenancy::db::webhooks::secrets::{self, EncryptedSecrets};
use freehold_tenancy::secrets::{Keyring, SealError};
use freehold_tenancy::webhook::WebhookSecret;
use secrecy::ExposeSecret;

/// Decrypts the secrets of an endpoint. The current secret is the first.
pub(super) fn decrypt_secrets(
    keyring: &Keyring,
    sealed: &EncryptedSecrets,
) -> std::result::Result<Vec<WebhookSecret>, SealError> {
    let context = sealed.endpoint_id.to_string();
    let all = std::iter::once(&sealed.secret).chain(&sealed.previous);
    all.map(|one| keyring.open(one, &context).map(WebhookSecret::from_bytes)).collect()
}

/// Encrypts secrets of an older key with the current key, so that the older key can be removed from the configuration.
pub(super) async fn reencrypt_secrets(pool: &PgPool, keyring: &Keyring) -> Result<()> {
    let Some(current) = keyring.current() else { return Ok(()) };
    let mut count = 0;
    for before in secrets::list_with_other_key(pool, current).await? {
        match reencrypt(keyring, &before) {
            Ok(after) => count += u32::from(secrets::replace(pool, &before, &after).await?),
            Err(error) => {
                let endpoint = before.endpoint_id;
                tracing::error!(
                    target: "freehold::alert",
                    %endpoint,
                    %error,
                    "cannot decrypt the secret of webhook endpoint {endpoint}"
                );
            }
        }
    }
    if count > 0 {
        tracing::info!(count, "encrypted the secrets of {count} webhook endpoints with the current secrets.key");
    }
    Ok(())
}

fn reencrypt(keyring: &Keyring, before: &EncryptedSecrets) -> std::result::Result<EncryptedSecrets, SealError> {
    let context = before.endpoint_id.to_string();
    let seal = |one: &Vec<u8>| keyring.seal(keyring.open(one, &context)?.expose_secret(), &context);
    Ok(EncryptedSecrets {
        endpoint_id: before.endpoint_id,
        secret: seal(&before.secret)?,
        previous: before.previous.as_ref().map(seal).transpose()?,
    })
}
