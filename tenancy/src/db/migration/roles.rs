//! Database roles of an installation: the owner of all objects, the role of API processes and the role of workers.
//!
//! Roles belong to the whole server. Therefore several databases can be migrated at the same time with the same roles,
//! and each statement here tolerates that another process has just executed it.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};

use super::statements::execute_all;
use crate::config::{Database, DatabaseRoles, RoleName};
use crate::db::{DbError, Result};
use crate::scram;

/// Maximum number of attempts to create roles while other processes change the same ones.
const MAX_ATTEMPTS: usize = 10;

/// Role of a database server, as far as it exists.
struct ExistingRole {
    can_log_in: bool,
    /// Whether the user of the connection may act as the role.
    can_act_as: bool,
    /// Attributes that give the role rights beyond grants, such as SUPERUSER.
    attributes: Vec<String>,
    /// Roles whose rights the role has, among the roles of the installation and those with rights beyond grants.
    memberships: Vec<String>,
}

/// Creates the roles that do not exist, and lets the user of the connection act as the owner. Returns the created
/// roles.
///
/// Fails with [`DbError::UnsafeRole`] if an existing role has more rights than it needs.
pub(super) async fn create(connection: &mut PgConnection, roles: &DatabaseRoles) -> Result<Vec<RoleName>> {
    let mut attempt = 1;
    loop {
        let existing = read(connection, roles).await?;
        check(&existing, roles)?;
        let missing: Vec<_> = [&roles.owner, &roles.api, &roles.worker]
            .into_iter()
            .filter(|role| !existing.contains_key(role.as_str()))
            .collect();
        let statements = statements(connection, &existing, &missing, roles).await?;
        // In one transaction, so that the report names each role in the process that has created it.
        let mut tx = connection.begin().await?;
        match execute_all(&mut tx, &statements).await {
            Ok(()) => {
                tx.commit().await?;
                return Ok(missing.into_iter().cloned().collect());
            }
            Err(DbError::Sql(error)) if attempt < MAX_ATTEMPTS && is_concurrent_change(&error) => tx.rollback().await?,
            Err(DbError::MissingPrivilege { reason, .. }) => {
                return Err(DbError::MissingPrivilege { reason, statements });
            }
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// Returns the statements that are missing: for a role, for the right to act as the owner, and for the view of the
/// owner on the sessions of workers, which `freehold recover` counts.
async fn statements(
    connection: &mut PgConnection,
    existing: &BTreeMap<String, ExistingRole>,
    missing: &[&RoleName],
    roles: &DatabaseRoles,
) -> Result<Vec<String>> {
    let user = sqlx::query!(
        r#"/* db::migration::roles::statements */
        select quote_ident(rolname) as "name!", rolsuper as "is_superuser!" from pg_roles where rolname = current_user"#
    );
    let user = user.fetch_one(&mut *connection).await?;
    let (owner, worker) = (&roles.owner, &roles.worker);
    let login = |role: &RoleName| if role == owner { "nologin" } else { "login" };
    let mut statements: Vec<_> = missing.iter().map(|role| format!("create role \"{role}\" {}", login(role))).collect();
    let known_owner = existing.get(owner.as_str());
    if !user.is_superuser && known_owner.is_none_or(|owner| !owner.can_act_as) {
        statements.push(format!("grant \"{owner}\" to {}", user.name));
    }
    if known_owner.is_none_or(|owner| !owner.memberships.iter().any(|role| role == worker.as_str())) {
        statements.push(format!("grant \"{worker}\" to \"{owner}\""));
    }
    Ok(statements)
}

async fn read(connection: &mut PgConnection, roles: &DatabaseRoles) -> Result<BTreeMap<String, ExistingRole>> {
    let names = [&roles.owner, &roles.api, &roles.worker].map(ToString::to_string);
    // A member may act as a role unless its membership excludes that, which is possible from PostgreSQL 16 on.
    let rows = sqlx::query!(
        r#"/* db::migration::roles::read */
        select r.rolname::text as "name!", r.rolcanlogin as "can_log_in!",
            pg_has_role(current_user, r.oid, case when current_setting('server_version_num')::int >= 160000
                then 'SET' else 'MEMBER' end) as "can_act_as!",
            array_remove(array[
                case when r.rolsuper then 'SUPERUSER' end,
                case when r.rolcreaterole then 'CREATEROLE' end,
                case when r.rolcreatedb then 'CREATEDB' end,
                case when r.rolreplication then 'REPLICATION' end,
                case when r.rolbypassrls then 'BYPASSRLS' end
            ], null) as "attributes!",
            case when r.rolsuper then '{}' else array(
                select o.rolname::text from pg_roles o
                where o.oid <> r.oid and pg_has_role(r.oid, o.oid, 'MEMBER') and (
                    o.rolname = any($1) or o.rolsuper or o.rolcreaterole or o.rolbypassrls
                    or o.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files',
                        'pg_write_server_files', 'pg_execute_server_program', 'pg_database_owner'))
                order by 1) end as "memberships!"
        from pg_roles r where r.rolname = any($1)"#,
        &names
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    let roles = rows.map(|row| {
        let (can_log_in, can_act_as) = (row.can_log_in, row.can_act_as);
        (row.name, ExistingRole { can_log_in, can_act_as, attributes: row.attributes, memberships: row.memberships })
    });
    Ok(roles.collect())
}

/// Fails with [`DbError::UnsafeRole`], which contains the statement that revokes the surplus right.
fn check(existing: &BTreeMap<String, ExistingRole>, roles: &DatabaseRoles) -> Result<()> {
    for name in [&roles.owner, &roles.api, &roles.worker] {
        let Some(role) = existing.get(name.as_str()) else { continue };
        let surplus = |what: &str, statement: String| {
            Err(DbError::UnsafeRole(format!(
                "the database role {name} must not {what}; choose another name in [database], or run `{statement}`"
            )))
        };
        if let Some(attribute) = role.attributes.first() {
            return surplus(
                &format!("have the attribute {attribute}"),
                format!("alter role {name} no{attribute}").to_lowercase(),
            );
        }
        let is_owner = *name == roles.owner;
        if is_owner && role.can_log_in {
            return surplus("be able to log in", format!("alter role {name} nologin"));
        }
        let may_be_member = |of: &String| is_owner && *of == roles.worker.as_str();
        if let Some(other) = role.memberships.iter().find(|other| !may_be_member(other)) {
            return surplus(&format!("be a member of {other}"), format!("revoke {other} from {name}"));
        }
    }
    Ok(())
}

/// Returns whether another process has executed the same statement at the same time.
fn is_concurrent_change(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    // Unique violation and duplicate object; PostgreSQL reports a concurrent update of a catalog as an internal error.
    let is_known = |code: &str| ["23505", "42710"].contains(&code);
    error.is_some_and(|error| {
        error.code().is_some_and(|code| is_known(&code)) || error.message().contains("concurrently")
    })
}

/// Lets the roles use the schema `public`, only the owner create objects in it, and no other role create temporary
/// tables, which could take the place of the tables that a function reads. Returns the number of executed statements.
pub(super) async fn prepare_schema(connection: &mut PgConnection, roles: &DatabaseRoles) -> Result<usize> {
    let names = [&roles.owner, &roles.api, &roles.worker].map(ToString::to_string);
    let state = sqlx::query!(
        r#"/* db::migration::roles::prepare_schema */
        with acl as (
            select a.grantee, a.privilege_type from pg_namespace, aclexplode(nspacl) a where nspname = 'public')
        select quote_ident(d.datname) as "database!",
            exists (select from acl where grantee = 0 and privilege_type = 'CREATE') as "public_can_create!",
            exists (select from acl a join pg_roles r on r.oid = a.grantee
                where r.rolname = $2 and a.privilege_type = 'CREATE') as "owner_can_create!",
            array(select r.rolname::text from pg_roles r
                where r.rolname = any($1) and not has_schema_privilege(r.oid, 'public', 'USAGE')
                order by 1) as "without_usage!",
            pg_has_role(current_user, d.datdba, 'USAGE') and exists (
                select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
                where a.grantee = 0 and a.privilege_type = 'TEMPORARY') as "public_can_create_temporary!"
        from pg_database d where d.datname = current_database()"#,
        &names,
        roles.owner.as_str(),
    );
    let state = state.fetch_one(&mut *connection).await?;
    let mut statements = Vec::new();
    if state.public_can_create {
        statements.push("revoke create on schema public from public".to_owned());
    }
    if !state.owner_can_create {
        statements.push(format!("grant usage, create on schema public to \"{}\"", roles.owner));
    }
    let others = state.without_usage.iter().filter(|role| **role != roles.owner.as_str());
    statements.extend(others.map(|role| format!("grant usage on schema public to \"{role}\"")));
    if state.public_can_create_temporary {
        statements.push(format!("revoke temporary on database {} from public", state.database));
    }
    execute_all(connection, &statements).await?;
    Ok(statements.len())
}

/// Gives the roles of API and worker the passwords of the configuration, if any. Returns the roles, and the roles that
/// the user of the connection may not alter.
///
/// PostgreSQL receives and logs a verifier, never the password.
pub(super) async fn set_passwords(
    connection: &mut PgConnection,
    config: &Database,
) -> Result<(Vec<RoleName>, Vec<RoleName>)> {
    let passwords = [(&config.api_role, &config.api_password), (&config.worker_role, &config.worker_password)];
    let (mut changed, mut refused) = (Vec::new(), Vec::new());
    for (role, password) in passwords.into_iter().filter_map(|(role, password)| Some((role, password.as_ref()?))) {
        let no_salt =
            || DbError::UnsafeRole(format!("the password of {role} needs random numbers, and the system has none"));
        let verifier = scram::verifier(password).ok_or_else(no_salt)?;
        let statement = format!("alter role \"{role}\" password '{verifier}'");
        for attempt in 1.. {
            match execute_all(connection, std::slice::from_ref(&statement)).await {
                Ok(()) => {
                    changed.push(role.clone());
                    break;
                }
                // An administrator sets the password once; a deployment that migrates each time must not fail.
                Err(DbError::MissingPrivilege { .. }) => {
                    refused.push(role.clone());
                    break;
                }
                Err(DbError::Sql(error)) if attempt < MAX_ATTEMPTS && is_concurrent_change(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok((changed, refused))
}

/// Makes `owner` the owner of the tables, views and functions with these names. Returns the number of changed objects.
pub(super) async fn take_over_objects(
    connection: &mut PgConnection,
    owner: &RoleName,
    names: &[String],
) -> Result<usize> {
    // The sequences of identity columns follow their tables.
    let statements = sqlx::query_scalar!(
        r#"/* db::migration::roles::take_over_objects */
        select format('alter %s %s owner to %I', o.kind, o.name, $1::text) as "statement!" from (
            select case when c.relkind = 'v' then 'view' else 'table' end as kind, c.oid::regclass::text as name,
                c.relname::text as plain, c.relowner as owner
            from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
            union all
            select 'function', p.oid::regprocedure::text, p.proname::text, p.proowner
            from pg_proc p where p.pronamespace = 'public'::regnamespace
        ) o join pg_roles r on r.oid = o.owner
        where o.plain = any($2) and r.rolname <> $1 order by 1"#,
        owner.as_str(),
        names,
    );
    let statements = statements.fetch_all(&mut *connection).await?;
    execute_all(connection, &statements).await?;
    Ok(statements.len())
}
