//! Tests that Freehold rejects a database whose applied migrations do not match the migrations of this version.

use freehold_tenancy::config;
use freehold_tenancy::db::{self, DbError};
use freehold_tests::database::Database;
use freehold_tests::fixture::CONFIG;

use crate::cli::process::{freehold, text};

/// Creates a database that no other test uses, and executes the statements `changes`, which modify the table of applied
/// migrations.
async fn database(changes: &str) -> Database {
    let database = Database::new().await;
    database.do_not_reuse();
    sqlx::raw_sql(sqlx::AssertSqlSafe(changes)).execute(&database.pool).await.unwrap();
    database
}

/// Returns a statement that inserts `versions` into the table of applied migrations.
fn insert_migrations(versions: &str) -> String {
    format!(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         select version, 'another version', true, 'checksum', 0 from {versions} version;"
    )
}

const CHANGED: &str = "update _sqlx_migrations set checksum = 'another' where version = 1;";

#[tokio::test]
async fn a_database_with_other_migrations_is_rejected() {
    let removed = "delete from _sqlx_migrations;".to_owned();
    let cases = [
        ("another checksum", CHANGED.to_owned(), 1),
        ("another lineage of 25 migrations", removed.clone() + insert_migrations("generate_series(1, 25)").as_str(), 1),
        ("an unknown migration before this version's", insert_migrations("generate_series(0, 0)"), 0),
        (
            "an unknown migration without this version's",
            removed + insert_migrations("generate_series(7, 9)").as_str(),
            7,
        ),
    ];
    for (case, changes, migration) in cases {
        let database = database(&changes).await;
        let results = [
            db::is_migrated(&database.pool).await.map(drop),
            db::check_schema(&database.pool).await,
            db::migrate(&database.pool, &config::Database::default()).await.map(drop),
        ];
        for result in results {
            assert!(
                matches!(result, Err(DbError::ForeignSchema(version)) if version == migration),
                "{case}: {result:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_rejected_database_is_reported_with_the_fix() {
    // A different schema may lack the column that this version reads first.
    let database = database(&format!("{CHANGED} alter table installation rename kind to type;")).await;
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let config = config.to_str().unwrap();
    for command in ["migrate", "api", "sandbox"] {
        let url = if command == "api" { &database.api_url } else { &database.url };
        let output = freehold(&[command, "--config", config, "--database-url", url]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {message}");
        assert!(
            message.contains("migration 1 differs") && message.contains("--data directory"),
            "{command}: {message}"
        );
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_used_but_not_migrated() {
    let database = database(&insert_migrations("generate_series(1001, 1002)")).await;
    assert!(db::is_migrated(&database.pool).await.unwrap());
    let refused = db::migrate(&database.pool, &config::Database::default()).await.unwrap_err();
    assert!(matches!(refused, DbError::NewerSchema(1001)), "{refused}");
}

#[tokio::test]
async fn a_database_without_a_migration_is_not_migrated() {
    let database = database("drop table _sqlx_migrations").await;
    assert!(!db::is_migrated(&database.pool).await.unwrap());
}
