//! Execution of statements that change roles, owners and privileges.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::db::{DbError, Result};

/// SQLSTATE `insufficient_privilege` (PostgreSQL, "Error Codes").
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Executes statements that the program has composed of checked or quoted names.
///
/// Fails with [`DbError::MissingPrivilege`], which contains the statements that were not executed.
pub(super) async fn execute_all(connection: &mut PgConnection, statements: &[String]) -> Result<()> {
    for (index, statement) in statements.iter().enumerate() {
        sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut *connection).await.map_err(|error| {
            let refusal = error
                .as_database_error()
                .filter(|error| error.code().is_some_and(|code| code == INSUFFICIENT_PRIVILEGE));
            match refusal.map(|refusal| refusal.message().to_owned()) {
                Some(reason) => DbError::MissingPrivilege { reason, statements: statements[index..].to_vec() },
                None => error.into(),
            }
        })?;
    }
    Ok(())
}
