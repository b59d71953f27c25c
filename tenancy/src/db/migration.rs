//! Migrates a database: roles, ownership, tables and privileges.

pub mod grants;
mod roles;
mod statements;

use sqlx::{ConnectOptions, Connection};

use super::{DbError, MIGRATIONS, PgPool, Result, read_schema};
use crate::config::{Database, RoleName};
use statements::execute_all;

/// Changes that [`migrate`] has made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Number of applied migrations.
    pub applied: usize,
    pub created_roles: Vec<RoleName>,
    /// Roles to which a password of the configuration was given.
    pub passwords: Vec<RoleName>,
    /// Roles whose password of the configuration was not set, because the user of the pool may not alter them.
    pub refused_passwords: Vec<RoleName>,
    /// Number of tables, views and functions that the owner role has taken over from another role.
    pub taken_over: usize,
    /// Number of statements that granted or revoked privileges, also on the schema and the database.
    pub privileges: usize,
}

/// Returns whether the table of applied migrations belongs to this role.
pub async fn has_tables_of(pool: &PgPool, owner: &RoleName) -> Result<bool> {
    let has_tables = sqlx::query_scalar!(
        r#"/* db::migration::has_tables_of */
        select exists (
            select from pg_class where oid = to_regclass('public._sqlx_migrations') and pg_get_userbyid(relowner) = $1
        ) as "has_tables!""#,
        owner.as_str(),
    );
    Ok(has_tables.fetch_one(pool).await?)
}

/// Creates the database roles, applies the pending migrations as the owner role, and grants each process its
/// privileges. Changes nothing if everything is up to date, except that passwords of the configuration are set again.
///
/// Fails with [`DbError::ForeignSchema`] or [`DbError::NewerSchema`] before anything is changed, and with
/// [`DbError::MissingPrivilege`] if the user of the pool may not do what is needed.
pub async fn migrate(pool: &PgPool, config: &Database) -> Result<MigrationReport> {
    let schema = read_schema(pool).await?;
    if let Some(version) = schema.newer {
        return Err(DbError::NewerSchema(version));
    }
    // A connection of its own, because its role changes.
    let mut connection = pool.connect_options().connect().await?;
    let roles = config.roles();
    let created_roles = roles::create(&mut connection, &roles).await?;
    let on_schema = roles::prepare_schema(&mut connection, &roles).await?;
    let taken_over = roles::take_over_objects(&mut connection, &roles.owner, &grants::object_names()).await?;
    execute_all(&mut connection, &[format!("set role \"{}\"", roles.owner)]).await?;
    MIGRATIONS.run_direct(None, &mut connection, false).await?;
    let privileges = on_schema + grants::apply(&mut connection, &roles).await?;
    execute_all(&mut connection, &["reset role".to_owned()]).await?;
    let (passwords, refused_passwords) = roles::set_passwords(&mut connection, config).await?;
    connection.close().await?;
    let applied = schema.pending;
    Ok(MigrationReport { applied, created_roles, passwords, refused_passwords, taken_over, privileges })
}
