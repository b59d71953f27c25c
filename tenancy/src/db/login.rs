//! Checks the database role with which a process has logged in.

use super::{DbError, PgPool, Result};
use crate::config::Database;

/// Kind of process that logs in with a role of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Api,
    Worker,
}

/// Checks the role that a process has logged in as. Returns a warning if the role has more rights than the process
/// needs and `database.allow_owner` permits that.
///
/// Fails with [`DbError::UnsafeRole`].
pub async fn check(pool: &PgPool, config: &Database, process: Process) -> Result<Option<String>> {
    let (expected, other) = match process {
        Process::Api => (&config.api_role, &config.worker_role),
        Process::Worker => (&config.worker_role, &config.api_role),
    };
    let found = sqlx::query!(
        r#"/* db::login::check */
        select u.rolname::text as "user!",
            u.rolsuper or u.rolcreaterole or exists (select from pg_roles r where r.rolname = $1
                and pg_has_role(u.oid, r.oid, 'MEMBER')) or exists (select from pg_class c
                where c.oid = to_regclass('installation') and pg_has_role(u.oid, c.relowner, 'MEMBER')) as "owns!",
            exists (select from pg_roles r where r.rolname = $2 and pg_has_role(u.oid, r.oid, 'MEMBER')) as "is_other!"
        from pg_roles u where u.rolname = current_user"#,
        config.owner_role.as_str(),
        other.as_str(),
    );
    let found = found.fetch_one(pool).await?;
    let role = found.user;
    let problem = if found.owns {
        format!("this process connects to the database as {role}, which owns the tables or is an administrator")
    } else if found.is_other {
        format!("this process connects to the database as {role}, which has the rights of {other}")
    } else {
        return Ok(None);
    };
    let fix = format!("use the role {expected} in database.url");
    if config.allow_owner {
        return Ok(Some(format!("{problem}; {fix}, and remove database.allow_owner")));
    }
    Err(DbError::UnsafeRole(format!(
        "{problem}; {fix} (`freehold migrate` creates the role), or set database.allow_owner = true until then"
    )))
}
