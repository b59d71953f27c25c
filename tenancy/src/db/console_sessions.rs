//! Stores the sessions of the console. A session is found by the hash of its id, so that the
//! content of the table does not sign anyone in.

use chrono::{DateTime, Utc};

use super::{PgPool, Result};

/// Session of a person in the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSession {
    pub issuer: String,
    pub subject: String,
    pub client: String,
    pub scopes: Vec<String>,
    pub expires_at: DateTime<Utc>,
}

/// SHA-256 of the id of a session.
pub type SessionHash = [u8; 32];

/// Creates a session, and deletes those that have expired.
pub async fn create(pool: &PgPool, id: SessionHash, session: &ConsoleSession, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"/* db::console_sessions::create */
        with expired as (delete from console_sessions where expires_at <= $7)
        insert into console_sessions (id_sha256, issuer, subject, client, scopes, expires_at, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)"#,
        &id[..],
        session.issuer,
        session.subject,
        session.client,
        &session.scopes,
        session.expires_at,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Returns a session that has not expired.
pub async fn find(pool: &PgPool, id: SessionHash, now: DateTime<Utc>) -> Result<Option<ConsoleSession>> {
    let session = sqlx::query_as!(
        ConsoleSession,
        r#"/* db::console_sessions::find */
        select issuer, subject, client, scopes, expires_at from console_sessions
        where id_sha256 = $1 and expires_at > $2"#,
        &id[..],
        now,
    );
    Ok(session.fetch_optional(pool).await?)
}

/// Deletes a session before it expires.
pub async fn delete(pool: &PgPool, id: SessionHash) -> Result<()> {
    sqlx::query!(
        r#"/* db::console_sessions::delete */
        delete from console_sessions where id_sha256 = $1"#,
        &id[..],
    )
    .execute(pool)
    .await?;
    Ok(())
}
