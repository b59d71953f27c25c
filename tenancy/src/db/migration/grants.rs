//! Grants API and worker the privileges of [`table`], and revokes all others.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};

use super::statements::execute_all;
use crate::config::DatabaseRoles;
use crate::db::{DbError, Result};

/// Privilege of a role on an object or on one of its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Privilege {
    /// Name of the role; `None` for all roles.
    role: Option<String>,
    is_function: bool,
    /// Name of a table or view, or signature of a function.
    object: String,
    action: String,
    column: Option<String>,
}

/// Objects of the database that have declared privileges.
struct Objects {
    /// Columns by name of the table or view.
    tables: BTreeMap<String, Vec<String>>,
    /// Name of each function, by its signature.
    functions: BTreeMap<String, String>,
}

/// Returns the names of all tables, views and functions that have declared privileges.
pub fn object_names() -> Vec<String> {
    table::TABLES.iter().chain(table::FUNCTIONS).map(|(name, ..)| (*name).to_owned()).collect()
}

/// Makes the privileges of API and worker equal to the declared ones. Returns the number of executed statements.
///
/// The session must act as the owner of the objects.
pub(super) async fn apply(connection: &mut PgConnection, roles: &DatabaseRoles) -> Result<usize> {
    let mut tx = connection.begin().await?;
    sqlx::query!("/* db::migration::grants::apply */ select pg_advisory_xact_lock(hashtextextended('grants', 3))")
        .execute(&mut *tx)
        .await?;
    let surplus = revoke_surplus(&mut tx, roles).await?;
    let declared = declared(&objects(&mut tx).await?, roles)?;
    let existing = existing(&mut tx, roles).await?;
    let revoked = statements("revoke", "from", existing.difference(&declared));
    execute_all(&mut tx, &revoked).await?;
    // Revoking a privilege on a table also revokes it on the columns.
    let existing = if revoked.is_empty() { existing } else { self::existing(&mut tx, roles).await? };
    let granted = statements("grant", "to", declared.difference(&existing));
    execute_all(&mut tx, &granted).await?;
    tx.commit().await?;
    Ok(surplus + revoked.len() + granted.len())
}

/// Returns one statement for each role and object.
fn statements<'a>(verb: &str, preposition: &str, privileges: impl Iterator<Item = &'a Privilege>) -> Vec<String> {
    // Columns of each action on an object. An action on columns and the same action on the whole object are two
    // entries.
    type Actions<'a> = BTreeMap<(&'a str, bool), Vec<&'a str>>;
    let mut actions: BTreeMap<(&Option<String>, bool, &str), Actions<'_>> = BTreeMap::new();
    for one in privileges {
        let of_object = actions.entry((&one.role, one.is_function, &one.object)).or_default();
        of_object.entry((&one.action, one.column.is_some())).or_default().extend(one.column.as_deref());
    }
    let with_columns = |((action, _), columns): ((&str, bool), Vec<&str>)| {
        let columns: Vec<_> = columns.into_iter().map(quote).collect();
        if columns.is_empty() { action.to_owned() } else { format!("{action} ({})", columns.join(", ")) }
    };
    let statement = |((role, is_function, object), actions): ((&Option<String>, bool, &str), Actions<'_>)| {
        let actions = actions.into_iter().map(with_columns).collect::<Vec<_>>().join(", ");
        let object = if is_function { format!("function {object}") } else { quote(object) };
        let role = role.as_deref().map_or_else(|| "public".to_owned(), quote);
        format!("{verb} {actions} on {object} {preposition} {role}")
    };
    actions.into_iter().map(statement).collect()
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn objects(connection: &mut PgConnection) -> Result<Objects> {
    let tables = sqlx::query!(
        r#"/* db::migration::grants::objects */
        select c.relname::text as "name!", array(
            select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        ) as "columns!"
        from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')"#
    );
    let tables = tables.fetch_all(&mut *connection).await?.into_iter().map(|row| (row.name, row.columns)).collect();
    let functions = sqlx::query!(
        r#"/* db::migration::grants::objects */
        select p.oid::regprocedure::text as "signature!", p.proname::text as "name!"
        from pg_proc p where p.pronamespace = 'public'::regnamespace"#
    );
    let functions = functions.fetch_all(connection).await?.into_iter().map(|row| (row.signature, row.name)).collect();
    Ok(Objects { tables, functions })
}

/// Returns the declared privileges on the objects that exist.
fn declared(objects: &Objects, roles: &DatabaseRoles) -> Result<BTreeSet<Privilege>> {
    let mut privileges = BTreeSet::new();
    for (name, api, worker) in table::TABLES {
        let Some(columns) = objects.tables.get(*name) else { continue };
        for (role, text) in [(&roles.api, api), (&roles.worker, worker)] {
            let parsed =
                parse(text, columns).map_err(|problem| DbError::UnexpectedValue(format!("{name}: {problem}")))?;
            privileges.extend(parsed.into_iter().map(|(action, column)| Privilege {
                role: Some(role.to_string()),
                is_function: false,
                object: (*name).to_owned(),
                action,
                column,
            }));
        }
    }
    for (name, api, worker) in table::FUNCTIONS {
        for (signature, _) in objects.functions.iter().filter(|(_, known)| known == name) {
            for role in [(&roles.api, api), (&roles.worker, worker)].into_iter().filter(|(_, text)| !text.is_empty()) {
                privileges.insert(Privilege {
                    role: Some(role.0.to_string()),
                    is_function: true,
                    object: signature.clone(),
                    action: (*role.1).to_owned(),
                    column: None,
                });
            }
        }
    }
    Ok(privileges)
}

/// Parses declared privileges into actions, each with its column or `None` for the whole table.
fn parse(text: &str, columns: &[String]) -> std::result::Result<Vec<(String, Option<String>)>, String> {
    let mut parsed = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (action, is_except) = match name.trim().strip_suffix(" except") {
            Some(action) => (action, true),
            None => (name.trim(), false),
        };
        if !["select", "insert", "update", "delete"].contains(&action) {
            return Err(format!("`{action}` is not a privilege of a table"));
        }
        rest = after;
        if let Some(list) = after.strip_prefix('(') {
            let (list, after) = list.split_once(')').ok_or_else(|| format!("`{text}` has no closing parenthesis"))?;
            let listed: Vec<_> = list.split(',').map(str::trim).collect();
            if let Some(unknown) = listed.iter().find(|name| !columns.iter().any(|column| column == *name)) {
                return Err(format!("`{unknown}` is not a column"));
            }
            let chosen = columns.iter().filter(|column| listed.contains(&column.as_str()) != is_except);
            parsed.extend(chosen.map(|column| (action.to_owned(), Some(column.clone()))));
            rest = after;
        } else {
            parsed.push((action.to_owned(), None));
        }
        rest = rest.trim_start_matches(',').trim();
    }
    Ok(parsed)
}

/// Returns the privileges that exist: those of the two roles on all objects of the schema, and those that all roles
/// have on the declared objects.
async fn existing(connection: &mut PgConnection, roles: &DatabaseRoles) -> Result<BTreeSet<Privilege>> {
    let rows = sqlx::query!(
        r#"/* db::migration::grants::existing */
        select r.rolname::text as "role?", a.is_function as "is_function!", a.object as "object!",
            lower(a.privilege_type) as "action!", a.column_name as "column?"
        from (
            select c.relname::text as plain, c.relname::text as object, false as is_function, c.relowner as owner,
                x.grantee, x.privilege_type, null::text as column_name
            from pg_class c, aclexplode(c.relacl) x
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
            union all
            select c.relname::text, c.relname::text, false, c.relowner, x.grantee, x.privilege_type, t.attname::text
            from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) x
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not t.attisdropped
            union all
            select p.proname::text, p.oid::regprocedure::text, true, p.proowner, x.grantee, x.privilege_type, null
            from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
            where p.pronamespace = 'public'::regnamespace
        ) a
        left join pg_roles r on r.oid = a.grantee
        -- Only the owner of an object can revoke a privilege.
        where a.owner = (select oid from pg_roles where rolname = current_user)
            and (r.rolname = any($1) or a.grantee = 0 and a.plain = any($2))"#,
        &[roles.api.to_string(), roles.worker.to_string()],
        &object_names(),
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    let privileges = rows.map(|row| Privilege {
        role: row.role,
        is_function: row.is_function,
        object: row.object,
        action: row.action,
        column: row.column,
    });
    Ok(privileges.collect())
}

/// Revokes the rights to grant privileges, together with what was granted with them, and the privileges on sequences:
/// an identity column needs none. Returns the number of executed statements.
async fn revoke_surplus(connection: &mut PgConnection, roles: &DatabaseRoles) -> Result<usize> {
    let statements = sqlx::query_scalar!(
        r#"/* db::migration::grants::revoke_surplus */
        select distinct format(
            'revoke %s on %s %s from %s cascade',
            case when a.kind = 'sequence' then 'all' else 'grant option for ' || a.privilege_type || a.column_list end,
            a.kind, a.object, coalesce(quote_ident(r.rolname), 'public')
        ) as "statement!"
        from (
            select case when c.relkind = 'S' then 'sequence' else 'table' end as kind, quote_ident(c.relname) as object,
                '' as column_list, c.relowner as owner, x.grantee, x.privilege_type, x.is_grantable
            from pg_class c, aclexplode(c.relacl) x
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
            union all
            select 'table', quote_ident(c.relname), ' (' || quote_ident(t.attname) || ')', c.relowner, x.grantee,
                x.privilege_type, x.is_grantable
            from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) x
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not t.attisdropped
            union all
            select 'function', p.oid::regprocedure::text, '', p.proowner, x.grantee, x.privilege_type, x.is_grantable
            from pg_proc p, aclexplode(p.proacl) x
            where p.pronamespace = 'public'::regnamespace
        ) a
        left join pg_roles r on r.oid = a.grantee
        where a.owner = (select oid from pg_roles where rolname = current_user)
            and (r.rolname = any($1) and (a.is_grantable or a.kind = 'sequence')
                or a.grantee = 0 and a.kind = 'sequence')
        order by 1"#,
        &[roles.api.to_string(), roles.worker.to_string()],
    );
    let statements = statements.fetch_all(&mut *connection).await?;
    execute_all(connection, &statements).await?;
    Ok(statements.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> std::result::Result<Vec<String>, String> {
        let columns = ["id", "name", "state"].map(str::to_owned);
        let parsed = parse(text, &columns)?;
        Ok(parsed.into_iter().map(|(action, column)| format!("{action}:{}", column.unwrap_or_default())).collect())
    }

    #[test]
    fn a_privilege_can_be_limited_to_columns() {
        assert_eq!(columns("").unwrap(), [""; 0]);
        assert_eq!(columns("select, delete").unwrap(), ["select:", "delete:"]);
        assert_eq!(columns("select, update(name, state), delete").unwrap().len(), 4);
        assert_eq!(columns("update except(id)").unwrap(), ["update:name", "update:state"]);
        for wrong in ["truncate", "update(title)", "update except(title)", "select insert", "update(name"] {
            assert!(columns(wrong).is_err(), "{wrong}");
        }
    }
}
